"""A job on Kubernetes, printed, checked and submitted: `launch tfjob`."""

import os
import pathlib
import shlex
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from launch import exit_codes, installed, program
from launch.errors import LaunchError
from launch.kubernetes import (
    assemble,
    cronjob,
    job_flags,
    kubectl,
    running,
    tfjob,
    trainer_command,
    trainjob,
    validate,
    yaml_stream,
)
from launch.kubernetes.findings import Finding
from launch.kubernetes.job import Job
from launch.kubernetes.job_flags import JobFlags
from launch.kubernetes.yaml_stream import Document

_DONE = 0


def command(argv: list[str]) -> int:
    """Runs the command with the words that follow its name; returns the exit code."""
    actions = {"validate": _validate, "status": running.status, "logs": running.logs}
    if argv and argv[0] in actions:
        return actions[argv[0]](argv[1:])
    if argv and not argv[0].startswith("-"):
        raise LaunchError(
            "the word after tfjob must be validate, status or logs, or a flag such as "
            f"--name=NAME, got {argv[0]}; see python -m launch tfjob --help"
        )
    return _print(argv)


def _print(argv: list[str]) -> int:
    end = argv.index("--") if "--" in argv else len(argv)
    flags = job_flags.parse(argv[:end])
    if flags is None:
        return _DONE
    words = installed.command(argv[end + 1 :])
    _check_cron(flags, words)
    trainer_command.check(words, launcher_flags=job_flags.NAMES)
    program.check_for_group(words, num_workers=flags.workers)
    job, settings = assemble.job_of(flags, words)
    documents = _documents(flags, job)
    if _report(validate.findings(documents, settings)):
        return exit_codes.UNUSABLE
    if flags.submit:
        print(kubectl.create(documents), end="")
    else:
        print(_heading(argv) + yaml_stream.dump(documents), end="")
    return _DONE


def _check_cron(flags: JobFlags, words: Sequence[str]) -> None:
    if flags.cron and flags.kind != "tfjob":
        raise LaunchError(f"--cron creates TFJobs, got --kind={flags.kind}; drop one")
    if flags.cron and len(flags.cron.split()) != 5 and not flags.cron.startswith("@"):
        raise LaunchError(
            "--cron must be five fields (minute, hour, day, month, weekday) or @daily "
            f"and the like, got {flags.cron!r}; for example --cron='0 3 * * *'"
        )
    if flags.cron and trainer_command.is_watch(words) and "--once" not in words:
        raise LaunchError(
            "watch must have --once with --cron, whose jobs would not end otherwise, "
            "got none; add it, or drop --cron"
        )


def _documents(flags: JobFlags, job: Job) -> list[Document]:
    if flags.cron:
        image = flags.kubectl_image
        return cronjob.documents(job, schedule=flags.cron, kubectl_image=image)
    if flags.kind == "trainjob":
        return trainjob.documents(job)
    return tfjob.documents(job)


def _heading(argv: Sequence[str]) -> str:
    """The comment above a manifest: the command that printed it."""
    words = " ".join(shlex.join(argv).splitlines())
    return f"# {' '.join(installed.launcher())} tfjob {words}\n"


def _report(found: Sequence[Finding]) -> int:
    """Prints the findings; returns how many of them are errors."""
    for finding in found:
        level = "error" if finding.is_error else "warning"
        print(f"launch: {level}: {finding}", file=sys.stderr, flush=True)
    return sum(finding.is_error for finding in found)


def _validate(argv: list[str]) -> int:
    files = job_flags.read(absl_flags.FlagValues(), argv)
    if files is None:
        return _DONE
    if len(files) != 1:
        raise LaunchError(
            "python -m launch tfjob validate takes one FILE, - for standard input, got "
            f"{' '.join(files) or 'none'}"
        )
    [file] = files
    try:
        text = (
            sys.stdin.read()
            if file == "-"
            else pathlib.Path(os.path.expanduser(file)).read_text("utf-8")
        )
    except OSError as error:
        raise LaunchError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise LaunchError(f"{file} must be text in UTF-8: {error}") from None
    if _report(validate.findings(yaml_stream.load(text, source=file))):
        return exit_codes.UNUSABLE
    print(f"{file}: no error")
    return _DONE
