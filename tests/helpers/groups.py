"""Workers of one cluster, each in a process of its own, started without a launcher."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.helpers import pages, whole_run
from tests.helpers.repository import REPOSITORY

SMALL = (
    "--set=seeds=[0]",
    "--set=teacher.train.steps=40",
    "--set=student.train.steps=20",
)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody has right now."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


class Group:
    """The workers; the output of each goes to files of `folder`."""

    def __init__(self, folder: pathlib.Path, size: int, *, draws: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._program = ("-m",) if draws else ("-c", pages.UNDRAWN)
        self.addresses = [f"127.0.0.1:{port}" for port in free_ports(size)]
        self.workers: dict[int, subprocess.Popen] = {}

    def start(
        self, rank: int, command: list[str], *, wrapper: tuple[str, ...] = ()
    ) -> None:
        """Starts one worker as by `python -m COMMAND`, by a `wrapper` that execs it."""
        cluster = {"worker": self.addresses}
        task = {"type": "worker", "index": rank}
        with (
            open(self._path(rank, "out"), "w") as out,
            open(self._path(rank, "err"), "w") as err,
        ):
            self.workers[rank] = subprocess.Popen(
                [*wrapper, sys.executable, *self._program, *command],
                cwd=REPOSITORY,
                stdout=out,
                stderr=err,
                env=os.environ
                | {
                    "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
                    "TF_NUM_INTRAOP_THREADS": "1",
                },
            )

    def _path(self, rank: int, kind: str) -> pathlib.Path:
        return self._folder / f"worker-{rank}.{kind}"

    def err(self, rank: int) -> str:
        """What a worker has told so far."""
        return self._path(rank, "err").read_text()

    def out(self, rank: int) -> str:
        return self._path(rank, "out").read_text()

    def wait_for(self, rank: int, text: str, secs: float = 120) -> None:
        """Returns once a worker has told `text`."""
        end = time.monotonic() + secs
        while text not in self.err(rank):
            assert self.workers[rank].poll() is None, self.err(rank)
            assert time.monotonic() < end, self.err(rank)
            time.sleep(0.02)

    def codes(self, secs: float = 200) -> dict[int, int]:
        """The exit codes of all workers, once they have ended."""
        end = time.monotonic() + secs
        return {
            rank: worker.wait(max(0.1, end - time.monotonic()))
            for rank, worker in self.workers.items()
        }

    def __enter__(self) -> "Group":
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers.values():
            if worker.poll() is None:
                worker.kill()
                worker.wait()


@contextlib.contextmanager
def running(
    folder: pathlib.Path,
    size: int,
    name: str,
    config: pathlib.Path,
    workdir: pathlib.Path,
    *more: str,
    draws: bool = False,
) -> Iterator[Group]:
    """A group that runs one command of the trainer; what is left of it is killed."""
    with Group(folder, size, draws=draws) as group:
        for rank in range(size):
            group.start(rank, whole_run.command(name, config, workdir, *more))
        yield group


def finish(*args, **more) -> Group:
    """A group that has ended well."""
    with running(*args, **more) as group:
        codes = group.codes()
        assert set(codes.values()) == {0}, [group.err(rank) for rank in codes]
        return group
