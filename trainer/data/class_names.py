"""The order of classes, which says which label is which class."""

import decimal
import re
from collections.abc import Iterable

# Digits of ASCII alone: those of other scripts, and 1_000, are names.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")

# Thousands, and not a range or a month such as 10_20.
_DIGITS_APART = re.compile(r"[+-]?[0-9]{1,3}(_[0-9]{3})+")


def text_of(label: object) -> str:
    """The name of the class that a cell of a table names, without spaces around it.

    Raises:
      ValueError: it names none, or one that Python alone would take for a number.
    """
    text = label.decode() if isinstance(label, bytes) else str(label)
    text = text.strip()
    if not text:
        raise ValueError("an empty cell")
    if text.lower().lstrip("+-") in ("nan", "inf"):
        raise ValueError(f"{text!r}, which is no number")
    if _DIGITS_APART.fullmatch(text):
        raise ValueError(f"{text!r}; write {text.replace('_', '')}")
    return text


def order(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in the order of the numbers they are, or else of the alphabet.

    Names of one number, such as "1" and "01", are in the order of the alphabet.
    """
    alphabetic = sorted(set(names))
    if not all(map(is_number, alphabetic)):
        return tuple(alphabetic)
    return tuple(sorted(alphabetic, key=decimal.Decimal))


def is_number(name: str) -> bool:
    """Whether the name of a class is a number, also one such as 1.0."""
    return bool(_NUMBER.fullmatch(name))


def is_fraction(number: str) -> bool:
    """Whether a number is not a whole one."""
    value = decimal.Decimal(number)
    return value != value.to_integral_value()
