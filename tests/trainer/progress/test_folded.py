"""Tables and sentences on a terminal that is narrower than they are."""

import os
import sys

from tests.helpers import terminal
from tests.helpers.repository import REPOSITORY
from trainer.progress.folded import fold

TABLE = """\
model     parameters  test errors   accuracy %
--------  ----------  ------------  ----------
teacher      113,162           406       79.70
student      101,770  537.3 +- 2.4       73.13
mean +- standard deviation over 3 seeds
report: /a/long/path/without/any/space/in/it/index.html"""


def test_a_wide_table_is_folded_and_keeps_its_first_column():
    assert fold(TABLE, 36) == (
        "model     parameters  test errors\n"
        "--------  ----------  ------------\n"
        "teacher      113,162           406\n"
        "student      101,770  537.3 +- 2.4\n"
        "\n"
        "model     accuracy %\n"
        "--------  ----------\n"
        "teacher        79.70\n"
        "student        73.13\n"
        "mean +- standard deviation over 3\n"
        "seeds\n"
        # A path stays one, which people copy.
        "report:\n"
        "/a/long/path/without/any/space/in/it/index.html"
    )


def test_each_part_has_one_column_at_least():
    folded = fold(TABLE, 12).split("\n")
    assert folded[:4] == [
        "model     parameters",
        "--------  ----------",
        "teacher      113,162",
        "student      101,770",
    ]
    assert sum(line.startswith("model ") for line in folded) == 3


def test_what_fits_stays_as_it_is():
    for text in (TABLE, "", "a\n\n  b  c", "---  ---"):
        assert fold(text, 80) == text
    assert fold(TABLE, 0) == TABLE


def test_a_command_at_the_end_of_a_line_stays_whole():
    command = "python -m trainer run --workdir=runs/a --set='seeds=[0, 1, 2]'"
    line = f"verdict: two more seeds would: {command}"
    assert fold(line, 20).split("\n") == [
        *("verdict: two more", "seeds would:", command),
    ]
    assert fold(line, len(line)) == line


def test_the_terminal_tells_the_width_and_a_file_is_not_folded(tmp_path):
    program = f"from trainer.progress.folded import show\nshow({TABLE!r})\nshow('')"
    words, path = [sys.executable, "-c", program], str(REPOSITORY)
    shown = terminal.run(words, columns=36, PYTHONPATH=path)
    assert (shown.code, shown.lines) == (0, fold(TABLE, 36).split("\n"))
    file = tmp_path / "out"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    kept = terminal.run(words, columns=36, stdout=descriptor, PYTHONPATH=path)
    os.close(descriptor)
    assert (kept.raw, file.read_text()) == ("", TABLE + "\n")
