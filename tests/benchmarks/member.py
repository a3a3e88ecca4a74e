"""One worker of a benchmark; tests/benchmarks/turns.py starts it and calls it up.

It joins the others exactly as a worker of `python -m trainer run` does, makes ready
what is to be timed, and times it whenever it is its group's turn; see calls.py.
"""

from absl import flags
from etils import epath

from tests.benchmarks import calls
from trainer import commands, config
from trainer.cluster import termination, tf_config
from trainer.storage import workdir


def work(argv: list[str]) -> None:
    """Takes the trainer's flags, and --floats for an all-reduce in place of steps."""
    values = commands.define_flags()
    flags.DEFINE_multi_integer("floats", [], "of the vectors", flag_values=values)
    values(argv)
    settings = config.load(values.config, values.set)
    path = epath.Path(values.workdir)
    own = tf_config.read()
    rank = own.rank if own else 0
    if rank == 0:
        workdir.claim(path, settings)
    end = termination.Termination(
        grace_secs=settings.runtime.grace_secs,
        watchdog_secs=settings.runtime.watchdog_secs,
    )
    with end.listening():
        # TensorFlow, once SIGTERM is blocked.
        from tests.benchmarks import timing
        from trainer.session import open_session

        session = open_session(settings, path, own, end, command="scaling")
        with session.devices.workers.leaving_together(end):
            if values.floats:
                timers = timing.all_reduces(session, values.floats)
            else:
                timers = [timing.steps(session)]
            calls.serve(
                path,
                rank,
                [timer.facts for timer in timers],
                lambda: [timer.time() for timer in timers],
            )


if __name__ == "__main__":
    calls.run(work)
