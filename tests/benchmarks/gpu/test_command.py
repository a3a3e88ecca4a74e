"""The command of the kit: its flags, and what it needs to be installed."""

import importlib.metadata
import itertools
import re
import sys

import pytest

from tests.benchmarks.gpu import plan
from tests.benchmarks.gpu.__main__ import main
from tests.helpers.imports import imported
from tests.helpers.messages import assert_states
from tests.helpers.repository import REPOSITORY

OWN = {"tests", "trainer", "launch"}


def test_help_tells_flags_and_parts(capsys):
    assert main(["gpu", "--help"]) == 0
    out, err = capsys.readouterr()
    assert_states(out, "--json=FILE", "--small", "numbers", "speed W1", "soak")
    assert "Traceback" not in out + err


@pytest.mark.parametrize("word", ["--smal", "--gpus=4", "speed W9"])
def test_what_is_unknown_is_refused_in_one_sentence(word, capsys):
    assert main(["gpu", word]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert_states(err, word.lstrip("-").partition("=")[0], "--help")


def test_each_part_of_each_size_can_be_named():
    assert {"numbers", "speed R1", "speed W3", "scaling 8", "doctor"} <= set(
        plan.names()
    )


def modules_of_kit():
    """Files of tests that any file of the kit imports, itself or by others."""
    kit = (REPOSITORY / "tests/benchmarks/gpu").glob("*.py")
    files = {path for path in kit if not path.name.startswith("test_")}
    while True:
        found = set(files)
        for path in files:
            for parts in imported(REPOSITORY, path):
                names = (parts, parts[:-1]) if parts[0] == "tests" else ()
                for name in filter(None, names):
                    file = REPOSITORY.joinpath(*name).with_suffix(".py")
                    found |= {file} if file.exists() else set()
        if found == files:
            return files
        files = found


def installed_with_gpu():
    """The modules of what the package needs without an extra, and what these need."""
    names, known = ["alambic"], set()
    while names:
        name = names.pop()
        if name in known:
            continue
        known.add(name)
        for line in importlib.metadata.requires(name) or []:
            own = re.split(r"[^\w.-]", line, maxsplit=1)[0].lower()
            if "extra ==" not in line and "_version <" not in line:
                names += [own] if own in _DISTRIBUTIONS else []
    modules = importlib.metadata.packages_distributions().items()
    return {
        module
        for module, owners in modules
        if known & {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners}
    }


_DISTRIBUTIONS = {
    re.sub(r"[-_.]+", "-", found.name).lower()
    for found in importlib.metadata.distributions()
}


def test_the_kit_imports_nothing_but_what_the_extra_gpu_brings():
    files = modules_of_kit()
    assert REPOSITORY / "tests/helpers/whole_run.py" in files
    used = {
        parts[0]
        for parts in itertools.chain(*(imported(REPOSITORY, path) for path in files))
    }
    known = installed_with_gpu() | OWN | sys.stdlib_module_names
    assert {"numpy", "tensorflow"} <= used & known
    assert used - known == set()
