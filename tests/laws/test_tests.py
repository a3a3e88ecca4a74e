"""The law of the tests: what several files need stands in helpers or in conftest.py."""

import pytest

from tests.helpers.imports import imported, named_in_strings
from tests.helpers.repository import REPOSITORY


def borrowed(root):
    """Each import of a test file or of a conftest.py, by whatever file of tests/."""
    for path in sorted((root / "tests").rglob("*.py")):
        own = path.relative_to(root).with_suffix("").parts
        # The examples below are strings of this file.
        named = () if path.samefile(__file__) else named_in_strings(path)
        for parts in (*imported(root, path), *named):
            if parts[: len(own)] == own or parts[0] != "tests":
                continue
            if any(part == "conftest" or part.startswith("test_") for part in parts):
                yield f"{'/'.join(own)}.py imports {'.'.join(parts)}"


def test_no_file_imports_a_test_or_a_conftest():
    broken = list(borrowed(REPOSITORY))
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("path", "line", "broken"),
    [
        ("trainer/test_a.py", "from tests.helpers import configs", False),
        ("trainer/test_a.py", "from tests.trainer import test_b", True),
        ("trainer/test_a.py", "from tests.trainer.test_b import built", True),
        ("trainer/test_a.py", "from . import test_b", True),
        ("trainer/test_a.py", "import tests.trainer.test_b", True),
        ("trainer/test_a.py", "def f():\n  from tests.conftest import store", True),
        ("helpers/a.py", "from tests.trainer.test_b import built", True),
        ("benchmarks/a.py", "PROGRAM = 'from tests.runs.test_b import built'", True),
        ("trainer/test_a.py", "MODEL = 'tests.trainer.test_b:model'", True),
        ("trainer/test_a.py", "MODEL = 'tests.trainer.test_a:model'", False),
        ("trainer/test_a.py", "from trainer import test_b", False),
    ],
)
def test_the_law_sees_an_import(tmp_path, path, line, broken):
    file = tmp_path / "tests" / path
    file.parent.mkdir(parents=True)
    file.write_text(line)
    assert bool(list(borrowed(tmp_path))) == broken
