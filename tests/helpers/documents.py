"""The documents of the repository, and their parts."""

import re

from tests.helpers.repository import REPOSITORY

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.S | re.M)
_PATTERNS = ("*.md", "*/README.md", "configs/*.md", "docs/*.md")
PAGES = sorted(
    {
        path.relative_to(REPOSITORY).as_posix()
        for pattern in _PATTERNS
        for path in REPOSITORY.glob(pattern)
    }
)


def text(page: str) -> str:
    """The text of a page, by its path in the repository."""
    return (REPOSITORY / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in the languages; those of "" name none."""
    found = _FENCED.findall(text(page))
    return [block for language, block in found if language in languages]


def prose(page: str) -> str:
    """A page without its blocks and spans of code."""
    return re.sub(r"`[^`\n]+`", "code", _FENCED.sub("", text(page)))


def anchors(page: str) -> set[str]:
    """The names by which links reach the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", text(page)), flags=re.M)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }
