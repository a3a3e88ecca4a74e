"""A training job on Kubernetes."""

import argparse
import pathlib
import shlex
import sys
from collections.abc import Sequence

from launch import (
    assemble,
    cronjob,
    job_flags,
    kubectl,
    manifest,
    status,
    trainjob,
    validate,
    yaml_stream,
)
from launch.errors import LaunchError
from launch.findings import Finding, items
from launch.job import Job
from launch.yaml_stream import Document

_DONE, _UNUSABLE = 0, 2


def command(argv: list[str]) -> int:
    """Runs the command with the words that follow its name; returns the exit code."""
    actions = {"validate": _validate, "status": _status, "logs": _logs}
    if argv and argv[0] in actions:
        return actions[argv[0]](argv[1:])
    return _print(argv)


def _print(argv: list[str]) -> int:
    end = argv.index("--") if "--" in argv else len(argv)
    flags = job_flags.parse(argv[:end])
    _check_cron(flags)
    job, settings = assemble.job_of(flags, argv[end + 1 :])
    documents = _documents(flags, job)
    if _report(validate.findings(documents, settings)):
        return _UNUSABLE
    if flags.submit:
        print(kubectl.create(documents), end="")
    else:
        print(_heading(argv) + yaml_stream.dump(documents), end="")
    return _DONE


def _check_cron(flags: argparse.Namespace) -> None:
    if flags.cron and flags.kind != "tfjob":
        raise LaunchError(f"--cron creates TFJobs, got --kind={flags.kind}; drop one")
    if flags.cron and len(flags.cron.split()) != 5 and not flags.cron.startswith("@"):
        raise LaunchError(
            "--cron must be five fields (minute, hour, day, month, weekday) or @daily "
            f"and the like, got {flags.cron!r}; for example --cron='0 3 * * *'"
        )


def _documents(flags: argparse.Namespace, job: Job) -> list[Document]:
    if flags.cron:
        image = flags.kubectl_image
        return cronjob.documents(job, schedule=flags.cron, kubectl_image=image)
    if flags.kind == "trainjob":
        return trainjob.documents(job)
    return manifest.documents(job)


def _heading(argv: Sequence[str]) -> str:
    """How the manifest came to be, in one comment."""
    return f"# python -m launch tfjob {' '.join(shlex.join(argv).splitlines())}\n"


def _report(found: Sequence[Finding]) -> int:
    """Prints the findings; returns how many of them are errors."""
    for finding in found:
        level = "error" if finding.is_error else "warning"
        print(f"launch: {level}: {finding}", file=sys.stderr, flush=True)
    return sum(finding.is_error for finding in found)


def _validate(argv: list[str]) -> int:
    parser = job_flags.Parser(prog="python -m launch tfjob validate")
    parser.add_argument("file", metavar="FILE", help="a manifest; - is standard input")
    file = parser.parse_args(argv).file
    try:
        text = (
            sys.stdin.read() if file == "-" else pathlib.Path(file).read_text("utf-8")
        )
    except (OSError, UnicodeDecodeError) as error:
        raise LaunchError(f"{file} cannot be read: {error}") from None
    if _report(validate.findings(yaml_stream.load(text, source=file))):
        return _UNUSABLE
    print(f"{file}: no error")
    return _DONE


def _parser_of(verb: str, description: str) -> job_flags.Parser:
    parser = job_flags.Parser(
        prog=f"python -m launch tfjob {verb}", description=description
    )
    parser.add_argument("--name", required=True, help="of the job")
    parser.add_argument("--namespace", default="default", help="%(default)s")
    return parser


def _status(argv: list[str]) -> int:
    flags = _parser_of("status", "What a TFJob does.").parse_args(argv)
    job = kubectl.get("tfjobs.kubeflow.org", flags.name, namespace=flags.namespace)
    label = f"--selector={manifest.JOB_NAME_LABEL}={flags.name}"
    pods = kubectl.get("pods", label, namespace=flags.namespace)
    print(status.describe(job, items(pods, "items")))
    return _DONE


def _logs(argv: list[str]) -> int:
    parser = _parser_of("logs", "The logs of all workers of a TFJob.")
    parser.add_argument("--follow", action="store_true", help="until they end")
    flags = parser.parse_args(argv)
    kubectl.become_logs(
        f"{manifest.JOB_NAME_LABEL}={flags.name}",
        container=manifest.CONTAINER,
        namespace=flags.namespace,
        follow=flags.follow,
    )
