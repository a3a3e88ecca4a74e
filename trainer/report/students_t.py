"""Student's t: the width of intervals of few values, and how many make them narrow."""

import math

# Two-sided 95% points for 1, 2, ... degrees of freedom.
_T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_NORMAL = 1.959964
MOST = 30  # values that are worth naming


def t_95(degrees: int) -> float:
    """The two-sided 95% point for 1 or more degrees of freedom.

    Past ten it is Fisher's expansion (Abramowitz and Stegun, 26.7.5), right to four
    digits.
    """
    if degrees <= len(_T_95):
        return _T_95[degrees - 1]
    z = _NORMAL
    return (
        z
        + (z**3 + z) / (4 * degrees)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    )


def needed(mean: float, deviation: float) -> int | None:
    """The fewest values, two or more, whose 95% interval would leave zero out.

    They are taken to have the same `mean` and the same `deviation`, that of a sample.
    None where it takes more than MOST.
    """
    for count in range(2, MOST + 1):
        if t_95(count - 1) * deviation / math.sqrt(count) < abs(mean):
            return count
    return None
