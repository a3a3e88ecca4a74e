"""The flags of `python -m launch tfjob`."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from launch.errors import LaunchError
from launch.settings_rules import GRACE_MARGIN_SECS

_WEEK_SECS = 7 * 24 * 3600
_KUBECTL_IMAGE = "registry.k8s.io/kubectl:v1.32.4"

_EPILOG = """\
COMMAND is what each worker runs, such as: python -m trainer run --config=FILE. Its
--config is checked here and travels in a ConfigMap; --workdir is added to it, and
--set=runtime.min_gpus, so that no worker trains on its CPU unseen.

python -m launch tfjob validate FILE                     what is wrong with a manifest
python -m launch tfjob status --name=NAME [--namespace]  what a job and its pods do
python -m launch tfjob logs --name=NAME [--namespace] [--follow]
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are sentences for the launcher to print."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raises what is wrong with the command line.

        Raises:
          LaunchError: always.
        """
        raise LaunchError(f"{message}; see {self.prog} --help")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Reads the flags before the --."""
    parser = Parser(
        prog="python -m launch tfjob",
        usage="%(prog)s FLAG ... -- COMMAND",
        description="Prints the Kubernetes manifest of a job.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--name", required=True, help="of the job; 50 characters, 44 with --cron")
    add("--namespace", default="default", help="%(default)s")
    add("--image", required=True, help="that holds the program; best with its digest")
    add("--workers", type=_count, required=True, metavar="N", help="pods of the job")
    add("--gpus-per-worker", type=_whole, required=True, metavar="N", help="0: CPU")
    folder = "pvc://CLAIM/FOLDER or gs://BUCKET/FOLDER"
    add("--workdir", required=True, metavar="FOLDER", help=folder)
    add("--data-dir", metavar="FOLDER", help="of prepared TFDS data; likewise")
    add("--cpu", default="4", help="cores of a worker; %(default)s")
    add("--memory", default="16Gi", help="of a worker; %(default)s")
    add("--shared-memory", default="8Gi", help="part of it as /dev/shm; %(default)s")
    _add_times(parser)
    _add_places(parser)
    kinds = ("tfjob", "trainjob")
    add("--kind", choices=kinds, default="tfjob", help="trainjob: Kubeflow Trainer v2")
    add("--cron", metavar="SCHEDULE", help="a new job each time, in WORKDIR/JOB; UTC")
    add("--kubectl-image", default=_KUBECTL_IMAGE, help="of --cron; %(default)s")
    add("--submit", action="store_true", help="create the objects with kubectl")
    return parser.parse_args(words)


def _add_times(parser: Parser) -> None:
    for name, default, help in (
        ("grace", None, f"to stop in; runtime.grace_secs + {GRACE_MARGIN_SECS}"),
        ("deadline", _WEEK_SECS, "of the whole job; %(default)s"),
        ("ttl", _WEEK_SECS, "that a finished TFJob stays; %(default)s"),
    ):
        parser.add_argument(
            f"--{name}-secs", type=_count, default=default, metavar="S", help=help
        )


def _add_places(parser: Parser) -> None:
    account = "of the pods; the namespace's default"
    parser.add_argument("--service-account", default="", metavar="NAME", help=account)
    parser.add_argument(
        "--node-selector",
        type=_pair,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a label that nodes must have; repeatable",
    )


def _count(text: str) -> int:
    return _number(text, least=1)


def _whole(text: str) -> int:
    return _number(text, least=0)


def _number(text: str, *, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"must be a whole number, {least} or more, got {text!r}"
        )
    return int(text)


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not (key and sign):
        raise argparse.ArgumentTypeError(f"must be KEY=VALUE, got {text!r}")
    return key, value
