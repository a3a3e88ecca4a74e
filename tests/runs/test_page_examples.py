"""The sessions that the documents show: what is typed, and what is then printed."""

import re
import shlex

import pytest

from tests.helpers import documents
from tests.helpers.repository import REPOSITORY
from trainer import main

SESSIONS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in documents.PAGES
    for number, block in enumerate(documents.blocks(page, "console"))
]


def steps(session: str) -> list[tuple[str, list[str]]]:
    """The commands of a session, each with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in session.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def is_shown(line: str, told: list[str]) -> bool:
    """Whether a line was printed; "..." stands for what is left out."""
    pattern = ".*".join(map(re.escape, line.rstrip().split("...")))
    return any(re.fullmatch(pattern, one.rstrip()) for one in told)


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_prints_what_the_page_shows(session, tmp_path, monkeypatch, capsys):
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    (tmp_path / "docs").symlink_to(REPOSITORY / "docs")
    monkeypatch.chdir(tmp_path)
    code = 0
    for command, shown in steps(session):
        if command == "echo $?":
            assert shown == [str(code)]
            continue
        words = shlex.split(command)
        assert words[:3] == ["python", "-m", "trainer"]
        code = main.main(words[2:])
        out, err = capsys.readouterr()
        told = (out + err).splitlines()
        assert [line for line in shown if not is_shown(line, told)] == [], out + err


def test_a_line_is_compared_as_a_whole():
    told = ["a line with 12 words", "  another"]
    assert is_shown("a line with ... words", told)
    assert is_shown("  another", told)
    assert not is_shown("another", told)
    assert steps("$ a \\\n  b\nx\n$ c\n") == [("a    b", ["x"]), ("c", [])]
