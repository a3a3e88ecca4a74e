"""`python -m trainer`, which is called `alambic` where it is installed."""

import os
import sys

try:
    from trainer.main import main
except KeyboardInterrupt:  # before anything was begun
    print("trainer: interrupted; start the same command again", file=sys.stderr)
    os._exit(130)


def alambic() -> None:
    """The installed command: it finds what is in the working directory last.

    So functions of a user's own are found, and no folder stands in for a package.
    """
    sys.path.append("")
    _end(main(sys.argv))


def _end(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream:  # closed from the start otherwise
            stream.flush()
    # Not sys.exit: iterators of distributed datasets tune themselves in threads that
    # look up once a minute, and TensorFlow 2.21 waits for each of them before a process
    # ends.
    os._exit(code)


if __name__ == "__main__":
    _end(main(sys.argv))
