"""Links between documents lead somewhere, and docs/ makes a site."""

import posixpath
import re
import subprocess
import sys

import pytest

from tests.helpers import documents
from tests.helpers.repository import REPOSITORY

_LINK = re.compile(r"\]\((?!https?:)([^\s()]+)\)")


def broken(page: str, text: str) -> list[str]:
    """The links of a text on a page that lead to no file, or to no heading of it."""
    found = []
    for link in _LINK.findall(text):
        path, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        target = target if path else page
        is_there = (REPOSITORY / target).is_file()
        if not is_there or (anchor and anchor not in documents.anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", documents.PAGES)
def test_no_link_is_broken(page):
    assert not broken(page, documents.prose(page))


def test_the_law_sees_what_it_forbids():
    text = "[a](../README.md) [b](nothing.md) [c](results.md#none) [d](https://x.org/y)"
    assert broken("docs/results.md", text) == ["nothing.md", "results.md#none"]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, f"--site-dir={tmp_path / 'site'}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = (tmp_path / "site" / "results" / "index.html").read_text()
    # A link beside docs/ leads to a page of the site.
    assert 'href="../repository/configs/results/demo/"' in made
    assert (tmp_path / "site/repository/configs/results/demo/index.html").is_file()
