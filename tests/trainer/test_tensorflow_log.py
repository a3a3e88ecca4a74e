"""What is left out of stderr when TensorFlow is imported, and what never is."""

import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from tests.helpers.repository import REPOSITORY

# A library that logs when it is loaded, as those of TensorFlow do, and may abort there.
LIBRARY = r"""
#include <stdlib.h>
#include <unistd.h>
static void tell(const char *line, int size) { if (write(2, line, size) < 0) _exit(9); }
#define TELL(line) tell(line, sizeof line - 1)
__attribute__((constructor)) static void loaded(void) {
    TELL("WARNING: All log messages before absl::InitializeLog() is called\n");
    TELL("I0000 00:00:1796002065.215390    9897 port.cc:153] oneDNN is on.\n");
    TELL("W0000 00:00:1796002065.215390    9897 a.cc:1] placer registered\n");
    TELL("E0000 00:00:1796002065.215390    9897 b.cc:1] factory registered\n");
    TELL("another thread's line\n");
    if (ABORTS) { TELL("F0000 00:00:1796002065.2    9897 c.cc:1] no AVX\n"); abort(); }
}
"""
# Stands for TensorFlow: Python code, and a library that it loads.
PACKAGE = """
import ctypes, os
ctypes.CDLL(os.path.join(os.path.dirname(__file__), "libtensorflow_framework.so.2"))
print(os.environ["TF_CPP_MIN_LOG_LEVEL"])
"""
PROGRAM = """
import os, sys
from trainer import tensorflow_log
with tensorflow_log.hushed("about to load"):
    print("before", flush=True)
    import tensorflow
os.write(2, b"E0000 later\\n")
left = [type(finder).__module__ for finder in sys.meta_path]
print("TF_CPP_MIN_LOG_LEVEL" in os.environ, "trainer.tensorflow_log" in left)
"""


def imported(
    folder: pathlib.Path, *, aborts: bool = False, program: str = PROGRAM, **env: str
) -> subprocess.CompletedProcess:
    """A program that imports a package named tensorflow."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("a library that logs needs a C compiler")
    package = folder / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(PACKAGE)
    library = package / "libtensorflow_framework.so.2"
    words = [compiler, "-shared", "-fPIC", f"-DABORTS={int(aborts)}"]
    subprocess.run(
        [*words, "-x", "c", "-", "-o", str(library)],
        input=LIBRARY,
        text=True,
        check=True,
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{folder}:{REPOSITORY}", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_tensorflow_logs_while_it_is_loaded_is_left_out(tmp_path):
    done = imported(tmp_path)
    said = "trainer: about to load\nanother thread's line\nE0000 later\n"
    assert (done.returncode, done.stderr) == (0, said)
    before, level, rest = done.stdout.splitlines()
    assert (before, level) == ("before", "3")
    # Nothing of it stays: no level for other programs, nobody who is asked for modules.
    assert rest == "False False"


def test_an_abort_there_shows_all_that_was_logged(tmp_path):
    done = imported(tmp_path, aborts=True)
    assert done.returncode == -signal.SIGABRT
    said, *logged = done.stderr.splitlines()
    assert said == "trainer: about to load"
    assert [line.split(":")[0][:5] for line in logged] == [
        *("WARNI", "I0000", "W0000", "E0000", "anoth", "F0000"),
    ]


@pytest.mark.parametrize("is_flag", [True, False])
def test_all_is_shown_where_somebody_asks_for_it(tmp_path, is_flag):
    asked, env = "", {"TF_CPP_MIN_LOG_LEVEL": "0"}
    if is_flag:
        asked, env = "from trainer import tensorflow_log as t\nt.tell_all()\n", {}
    done = imported(tmp_path, program=asked + PROGRAM, **env)
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 7)
    assert done.stdout.splitlines()[1] == "0"


def test_a_tensorflow_that_is_there_already_stays_as_it_is(tmp_path):
    program = "import types, sys\nsys.modules['tensorflow'] = types.ModuleType('t')\n"
    done = imported(tmp_path, program=program + PROGRAM)
    assert (done.returncode, done.stderr) == (0, "E0000 later\n")
    assert done.stdout.splitlines()[1].startswith("False")


def test_who_looks_whether_it_is_installed_is_told_nothing(tmp_path):
    program = """
import importlib.util, os
from trainer import tensorflow_log
with tensorflow_log.hushed("about to load"):
    assert importlib.util.find_spec("tensorflow").origin.endswith("__init__.py")
    os.write(2, b"found\\n")
    import tensorflow
"""
    done = imported(tmp_path, program=program)
    said = "found\ntrainer: about to load\nanother thread's line\n"
    assert (done.returncode, done.stderr) == (0, said)


@pytest.mark.slow
def test_the_names_of_the_package_load_tensorflow_in_silence():
    program = """
import os, trainer
trainer.distill
trainer.GivenData
import tensorflow as tf
assert tf.config.list_physical_devices("CPU")
assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
