"""Docstrings open with the thing itself or with what it does, not with a question."""

import ast

from tests.helpers.repository import REPOSITORY

QUESTIONS = (
    *("What", "Of", "Whose", "How", "Which", "Where", "Who", "Why", "When"),
    # Without a noun before.
    *("That", "Those", "These", "This", "It", "They", "As", "Such"),
)


def questions(source: str) -> list[str]:
    """The first lines of docstrings that open with one of the words."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds))
    docstrings = filter(None, map(ast.get_docstring, nodes))
    return [
        docstring.splitlines()[0]
        for docstring in docstrings
        if docstring.split()[0].rstrip(",:") in QUESTIONS
    ]


def test_no_docstring_opens_with_a_question():
    paths = [*REPOSITORY.glob("trainer/**/*.py"), *REPOSITORY.glob("launch/**/*.py")]
    assert len(paths) > 300
    found = {path: lines for path in paths if (lines := questions(path.read_text()))}
    assert not found


def test_the_law_sees_what_it_forbids():
    source = '"""What it is."""\n\n\nclass A:\n    """Of it."""\n'
    assert questions(source) == ["What it is.", "Of it."]
    assert questions('def f():\n    """Offers it."""\n') == []
