"""One table of exit codes: its errors exist, and launcher and documents agree."""

import ast
import pkgutil
import re

import pytest
import tensorflow as tf

from launch import exit_codes as of_launch
from tests.helpers.repository import REPOSITORY
from trainer import exit_codes
from trainer.exit_codes import EXIT_CODES

# None of these leaves a command: somebody waits for what they tell, or translates it.
CAUGHT = {
    *("AbsentError", "SecretError", "StrangerError", "TakenError"),
    "UnknownOperationError",
}
OF_SYSTEM = {137, 139, 142}  # signals that the trainer itself never ends with


@pytest.mark.parametrize("code", EXIT_CODES)
def test_each_error_ends_with_the_code_that_names_it(code):
    for name in EXIT_CODES[code].errors:
        kind = pkgutil.resolve_name(name)
        assert f"{kind.__module__}:{kind.__qualname__}" == name
        assert exit_codes.from_error(kind.__new__(kind)) == code


def test_kinds_of_an_error_end_as_it_does_and_others_are_bugs():
    class Held(exit_codes.CheckFailedError):
        pass

    assert exit_codes.from_error(Held()) == 5
    assert exit_codes.from_error(KeyError("x")) == 1
    full = tf.errors.ResourceExhaustedError(None, None, "x")
    assert exit_codes.from_error(full) == 2
    assert exit_codes.from_error(tf.errors.InternalError(None, None, "x")) == 1


def test_every_error_of_the_package_ends_with_a_code_or_is_caught():
    left = set()
    for path in (REPOSITORY / "trainer").rglob("*.py"):
        module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                kind = pkgutil.resolve_name(f"{module}:{node.name}")
                if exit_codes.from_error(kind.__new__(kind)) == exit_codes.BUG:
                    left.add(node.name)
    assert left == CAUGHT


def test_the_launcher_knows_the_same_codes():
    meanings = {code: of_launch.meaning(code) for code in EXIT_CODES}
    assert meanings == {code: row.meaning for code, row in EXIT_CODES.items()}
    assert of_launch._MEANINGS.keys() - EXIT_CODES.keys() == OF_SYSTEM
    for code, row in EXIT_CODES.items():
        assert of_launch.is_worth_a_restart(code) == row.is_restartable


def test_the_page_of_exit_codes_tells_each_and_what_follows():
    text = (REPOSITORY / "docs" / "exit_codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.*) \| (yes|no) \|$", text, flags=re.M)
    told = {int(code): (meaning, again) for code, meaning, again in rows}
    assert told == {
        code: (meaning, "yes" if of_launch.is_worth_a_restart(code) else "no")
        for code, meaning in of_launch._MEANINGS.items()
    }
