"""Quantities as Kubernetes writes them, such as 500m and 16Gi."""

import re
from decimal import Decimal

_SMALL = {"n": -9, "u": -6, "m": -3}
_DECIMAL = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {f"{letter}i": 10 * i for i, letter in enumerate("KMGTPE", start=1)}
_POWERS = _SMALL | _DECIMAL
_FORM = re.compile(
    r"\+?(\d+\.?\d*|\.\d+)"
    rf"(?:[eE]([+-]?\d{{1,2}})|({'|'.join([*_BINARY, *filter(None, _POWERS)])})?)"
)


def value(text: str) -> Decimal | None:
    """The amount that `text` stands for; None where it is no quantity above zero."""
    match = _FORM.fullmatch(text)
    if not match:
        return None
    digits, exponent, suffix = match.groups()
    number = Decimal(digits)
    if suffix in _BINARY:
        number *= 2 ** _BINARY[suffix]
    else:
        number = number.scaleb(int(exponent) if exponent else _POWERS[suffix or ""])
    return number if number > 0 else None
