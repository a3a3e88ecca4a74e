"""Manifests that the launcher prints, for tests to look at."""

import contextlib
import functools
import io
import pathlib

import pytest
import yaml

from launch import main
from tests.helpers.repository import REPOSITORY

IMAGE = "registry.example/alambic@sha256:" + "0a" * 32
JOB = (
    "--name=demo",
    "--namespace=ml",
    f"--image={IMAGE}",
    "--workers=2",
    "--gpus-per-worker=4",
    "--workdir=pvc://alambic/runs/demo",
)
COMMAND = ("python", "-m", "trainer", "run", "--config=configs/mnist_mini.toml")


def launch(*words: str) -> int:
    """The exit code of `python -m launch tfjob WORDS`."""
    return main.main(["launch", "tfjob", *words])


def printed(capsys: pytest.CaptureFixture, *flags: str, command=COMMAND) -> list[dict]:
    """The documents that these flags print, after those of JOB."""
    code = launch(*JOB, *flags, "--", *command)
    out, err = capsys.readouterr()
    assert code == 0, err
    return list(yaml.safe_load_all(out))


@functools.cache
def printed_once(*flags: str) -> list[dict]:
    """The same, for tests that change nothing of it."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.chdir(REPOSITORY):
        assert launch(*JOB, *flags, "--", *COMMAND) == 0
    return list(yaml.safe_load_all(out.getvalue()))


def of_kind(documents: list[dict], kind: str) -> dict:
    [document] = [d for d in documents if d["kind"] == kind]
    return document


def pod_of(tfjob: dict) -> dict:
    return tfjob["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]


def container_of(tfjob: dict) -> dict:
    [container] = pod_of(tfjob)["containers"]
    return container


def write(path: pathlib.Path, documents: list[dict]) -> str:
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)
