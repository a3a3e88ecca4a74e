"""Classes of a user's own images or rows: `python -m trainer predict`.

`running` computes, and loads TensorFlow; the rest does without.
"""

from collections.abc import Sequence

from etils import epath

from trainer import config
from trainer.cluster import termination, tf_config
from trainer.config import Config, ConfigError, NoRun, Override
from trainer.runs.kept_settings import kept_settings
from trainer.storage import files

# What --set may change of the settings that a workdir keeps.
FREE = ("predict", "registry", "runtime")


def run(
    settings: Config | NoRun,
    path: epath.Path | None,
    words: Sequence[str],
    *,
    output: str,
) -> None:
    """Classifies each image, or each row of a table, in what `words` name.

    The predictions of the run in the workdir `path`, if there is one, go to the file
    `output`, which appears when it is complete, or to standard output if that is "". Of
    several workers the chief predicts.

    Raises:
      ConfigError, ReportError: model or output cannot be used.
      CheckFailedError: some could not be read, and are left out.
    """
    own = tf_config.read()
    if own and not own.is_chief:
        return
    file = files.path_of(output, setting="--output") if output else None
    if file and files.is_folder(file):
        raise ConfigError(
            f"--output must name a file, got {output!r}, which is a folder; name a "
            "file in it"
        )
    end = termination.Termination(
        grace_secs=settings.runtime.grace_secs,
        watchdog_secs=settings.runtime.watchdog_secs,
    )
    with end.listening():
        # Loads TensorFlow.
        from trainer.predict import classify

        classify.run(settings, path, words, file)


def settings_of(
    file: str | None, overrides: Sequence[Override], path: epath.Path | None
) -> Config | NoRun:
    """The settings of a config `file`, or those kept in the workdir `path`, or none.

    Raises:
      ConfigError: they break a rule, or the run in the workdir has others.
    """
    if path is None:
        if file:
            return config.load(file, overrides)
        return config.without_run(overrides)
    return kept_settings(file, overrides, path, FREE)
