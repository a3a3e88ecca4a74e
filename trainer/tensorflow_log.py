"""The log that TensorFlow's compiled parts write to stderr, and its import in silence.

TensorFlow 2.21 heeds TF_CPP_MIN_LOG_LEVEL, but reads it after two of its libraries have
logged while they were loaded. Nothing but stderr itself can be turned aside for that.
"""

import contextlib
import ctypes
import importlib.abc
import importlib.machinery
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

from trainer import console

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ALL, _FATAL = "0", "3"  # of what it tells, and only why it ends the process

# The libraries that log when they are loaded, each by a copy of the log of its own.
_EARLY = (
    "libtensorflow_framework.so.2",
    "python/profiler/internal/_pywrap_profiler_plugin.so",
)
_LOAD = "import ctypes, sys\nfor path in sys.argv[1:]: ctypes.CDLL(path)"
_LOGGED = re.compile(rb"[IWE]\d{4} \d\d:|WARNING: All log messages before absl::")


def tell_all() -> None:
    """Has TensorFlow tell all that it logs, unless a level is set from outside."""
    os.environ.setdefault(_LEVEL, _ALL)


@contextlib.contextmanager
def hushed(announced: str = "") -> Iterator[None]:
    """In the body a first import of TensorFlow says what is `announced` and no more.

    What it logs later is left out too, but for why it ends the process. A level that is
    set from outside holds, and a TensorFlow that is there already stays as it is.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    is_set = _LEVEL in os.environ
    os.environ.setdefault(_LEVEL, _FATAL)
    finder = _Finder(announced, is_hushed=os.environ[_LEVEL] == _FATAL)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(finder)
        if not is_set:  # TensorFlow has read it, and other programs have their own
            os.environ.pop(_LEVEL, None)


class _Finder(importlib.abc.MetaPathFinder):
    """Is asked for modules before any other, and acts when it is for TensorFlow.

    Many files import it first, of ours, of Keras and of users.
    """

    def __init__(self, announced: str, *, is_hushed: bool) -> None:
        self._announced = announced
        self._is_hushed = is_hushed

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "tensorflow":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name)
        # Some only look whether it is installed.
        if spec and spec.loader:
            spec.loader = _Loader(spec.loader, before=self._prepare)
        return spec

    def _prepare(self) -> None:
        sys.meta_path.remove(self)
        if self._announced:
            console.log(self._announced)
        if self._is_hushed and (libraries := _early_libraries()):
            load_quietly(libraries)


class _Loader(importlib.abc.Loader):
    """The loader of a module, which calls a function before it executes that."""

    def __init__(
        self, loader: importlib.abc.Loader, *, before: Callable[[], None]
    ) -> None:
        self._loader = loader
        self._before = before

    def create_module(
        self, spec: importlib.machinery.ModuleSpec
    ) -> types.ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        self._before()
        if module.__spec__:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)


def _early_libraries() -> list[str]:
    spec = importlib.machinery.PathFinder.find_spec("tensorflow")
    folders = spec.submodule_search_locations if spec else None
    paths = [pathlib.Path(folder, name) for folder in folders or () for name in _EARLY]
    return [str(path) for path in paths if path.is_file()]


def load_quietly(libraries: Sequence[str]) -> None:
    """Loads shared libraries, and leaves out what they log meanwhile.

    An abort there, for a processor that lacks AVX say, would take the last words with
    it. So a child loads them first: where it fails, nothing is left out. The whole
    import, or all of the run, is not held back: what passes through a pipe comes late,
    in another order, and is lost with the process that reads it.
    """
    if not (sys.executable and _loads_well(libraries)):
        return
    with tempfile.TemporaryFile() as held:
        with _stderr_to(held):
            for library in libraries:
                ctypes.CDLL(library)
        held.seek(0)
        _tell_others(held)


def _loads_well(libraries: Sequence[str]) -> bool:
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LOAD, *libraries],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return loaded.returncode == 0


@contextlib.contextmanager
def _stderr_to(file: BinaryIO) -> Iterator[None]:
    """In the body `file` gets what any part of the process writes to descriptor 2."""
    own = os.dup(2)
    try:
        os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


def _tell_others(lines: Iterable[bytes]) -> None:
    """Passes on what another thread wrote meanwhile."""
    for line in lines:
        if not _LOGGED.match(line):
            os.write(2, line)
