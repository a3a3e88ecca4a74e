"""The command line: `python -m trainer COMMAND --config=FILE --workdir=DIR`."""

import traceback

from trainer import commands, console, exit_codes
from trainer.cluster import termination


def main(argv: list[str]) -> int:
    """Runs one command; returns the exit code."""
    if not console.is_open():
        return exit_codes.UNUSABLE
    # Before TensorFlow is imported, whose threads would see it.
    with termination.sigterm_blocked():
        try:
            return commands.run(argv)
        except (Exception, KeyboardInterrupt) as error:
            code = exit_codes.from_error(error)
            if code == exit_codes.BUG:
                traceback.print_exc()
            termination.report_end(console.shorten(_reason(error, code)), code)
            return code


def _reason(error: BaseException, code: int) -> str:
    """The sentence that says why the command ends."""
    if code == exit_codes.BUG:
        return f"this is a bug: {type(error).__name__}: {error}"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; start the same command again to go on"
    if type(error).__name__ == "ResourceExhaustedError":
        # Loads TensorFlow, whose error it is.
        from trainer.devices import memory

        return memory.OUT_OF_MEMORY
    return str(error)
