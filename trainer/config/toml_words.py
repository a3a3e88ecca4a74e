"""Explanations of what is no TOML, by what people write in other languages."""

import re

_TRUE, _FALSE = ("True", "TRUE"), ("False", "FALSE")
_NOTHING = ("none", "null", "nil", "undefined")
_AT = re.compile(r"\(at line (?P<line>\d+), column (?P<column>\d+)\)")
_TWICE = re.compile(r"Cannot (overwrite a value|declare .* twice)|already")


def is_bare(text: str) -> bool:
    """Whether a text may stand for itself without quotes."""
    is_other = text in (*_TRUE, *_FALSE) or is_nothing(text)
    return not is_other and text[:1] not in tuple("\"'[{(") and text.isprintable()


def is_nothing(text: str) -> bool:
    """Whether a text is a word for no value, which TOML has not."""
    return text.lower() in _NOTHING


def way_out(text: str, *, unset: str = "") -> str:
    """The TOML of a value that is written as elsewhere; "" where nobody can tell.

    `unset` is the flag that leaves the setting out.
    """
    text = text.strip()
    word = text.rstrip(",;")
    if word in (*_TRUE, *_FALSE):
        return f"TOML writes {word.lower()}"
    if is_nothing(word):
        flag = f", or {unset}" if unset else ""
        return f"TOML has no word for nothing: leave the setting out{flag}"
    if re.fullmatch(r"[+-]?\.\d+(e[+-]?\d+)?", word):
        return f"TOML writes {word.replace('.', '0.', 1)}"
    if re.fullmatch(r"[+-]?\d+\.(e[+-]?\d+)?", word):
        return f"TOML writes {word.replace('.', '.0', 1)}"
    if re.fullmatch(r"\d{1,3}(,\d{3})+", text):
        return f"TOML writes {text.replace(',', '_')}"
    if re.fullmatch(r"\(.*\)", text):
        return f"TOML writes lists in brackets: [{text[1:-1].strip(', ')}]"
    if re.fullmatch(r"[\d.]+\s*(\*\*?|/|\+|-|\^)\s*[\d.e-]+", word):
        return "TOML does not calculate: write the number"
    if re.fullmatch(r"\[[^\[\]\"'{}]*\]", text):
        items = [item.strip() for item in text[1:-1].split(",") if item.strip()]
        if not any(re.fullmatch(r"[+-]?[\d._e]+", item) for item in items):
            return f"texts need quotes: [{', '.join(map(_quoted, items))}]"
    return ""


def _quoted(text: str) -> str:
    return f'"{text}"'


def explain(content: str, error: Exception) -> str:
    """The line on which a file is no TOML, and the way out; "" where none is known."""
    at = _AT.search(str(error))
    lines = content.splitlines()
    if not at or not 0 < int(at["line"]) <= len(lines):
        # At the end of the document.
        return _unclosed(str(error))
    number = int(at["line"])
    line = lines[number - 1]
    found = _of_line(line, str(error))
    return f"line {number}, {line.strip()[:60]!r}: {found}" if found else ""


def _unclosed(error: str) -> str:
    what = re.search(r"Unclosed (\w+ \w+|\w+)|Unterminated (\w+)", error)
    return "a bracket or a quote is opened and not closed" if what else ""


def _of_line(line: str, error: str) -> str:
    if _TWICE.search(error):
        return "it is set or declared above already; remove one of them"
    if "scape" in error or "hex value" in error:
        return "a backslash needs a text in single quotes, as in 'C:\\data', or write /"
    if re.search("[\u201c\u201d\u2018\u2019]", line):
        return "quotes must be straight ones"
    name, equals, value = line.partition("=")
    if not equals:
        if re.match(r"\s*[\w.-]+\s*:", line):
            setting, _, value = line.partition(":")
            return f"TOML writes {setting.strip()} = {value.strip()}"
        if re.match(r"\s*(//|;|--|%)", line):
            return "a comment begins with #"
        return "a setting is written name = value, a section [name]"
    value = _without_comment(value)
    if found := way_out(value):
        return found
    if re.search(r"(//|;)", value):
        return "a comment begins with #"
    if re.fullmatch(r"\s*\{.*:.*\}\s*", value):
        return "a table in a line is written {name = value}"
    if re.fullmatch(r"\s*[A-Za-z_./~][^\"'=\[\]{}]*", value):
        return f"a text needs quotes: {name.strip()} = {_quoted(value.strip())}"
    if not value.strip():
        return (
            f'a value is missing; a text that is empty is written {name.strip()} = ""'
        )
    return ""


def _without_comment(value: str) -> str:
    is_quoted = value.strip()[:1] in ('"', "'")
    return value if is_quoted else value.partition("#")[0]
