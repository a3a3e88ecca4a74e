"""The notebook docs/quickstart.ipynb, as a newcomer executes it."""

import ast
import json
import subprocess
import sys

import pytest

from tests.helpers.repository import REPOSITORY

NOTEBOOK = REPOSITORY / "docs" / "quickstart.ipynb"

# Runs the cells as Jupyter does: in one namespace, with the value of a last line shown.
EXECUTE = """
import ast, json, sys
names = {"__name__": "__main__"}
for number, cell in enumerate(json.load(open(sys.argv[1]))["cells"]):
    if cell["cell_type"] == "code":
        *body, last = ast.parse("".join(cell["source"])).body
        shown = isinstance(last, ast.Expr)
        module = ast.Module(body if shown else [*body, last], [])
        exec(compile(module, f"cell {number}", "exec"), names)
        if shown:
            value = eval(compile(ast.Expression(last.value), "last", "eval"), names)
            print(value if value is not None else "")
"""


def cells(kind: str) -> list[dict]:
    every = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in every if cell["cell_type"] == kind]


def test_the_notebook_is_of_format_4_and_keeps_no_outputs():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in notebook["cells"]]
    assert len(set(names)) == len(names)
    for cell in cells("code"):
        ast.parse("".join(cell["source"]))
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.slow
def test_its_cells_run_in_order_to_the_table_and_the_gain(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, NOTEBOOK],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    first = [line.split()[0] for line in told if line]
    start = first.index("model")
    assert first[start + 2 : start + 5] == ["teacher", "student", "baseline"]
    results = json.loads((tmp_path / "runs/quickstart/results.json").read_text())
    gain = results["gain"]["errors"]
    assert gain["mean"] > 2 * gain["standard_error"]
