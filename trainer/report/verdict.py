"""The verdict on a run, in one sentence of plain ASCII, and what would settle it."""

from collections.abc import Sequence
from typing import Any

from trainer.report import students_t
from trainer.report.amounts import format_count, gain_interval

UNMEASURED = "not measured: there is no student and baseline to compare"

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def verdict(results: dict[str, Any]) -> str:
    """The gain of the student over its baseline, and whether to trust it.

    A gain is more than noise where the 95% interval of Student's t around the mean of
    the paired differences leaves zero out. Where it does not, the sentence says how
    many more seeds would be needed if they spread as those that there are.
    """
    gain = _gain(results)
    if gain is None:
        return UNMEASURED
    seeds = len(gain["per_seed"])
    examples = int(results["models"]["student"]["mean"]["examples"])
    about = f"of {examples:,} ({seeds} seed{'' if seeds == 1 else 's'})"
    if gain["mean"] == 0 and not gain.get("standard_error"):
        start = f"the same as the baseline: 0 errors {about}"
    else:
        side = "worse" if gain["mean"] < 0 else "better"
        count = format_count(abs(gain["mean"]), gain.get("standard_error"))
        start = f"{side} than the baseline by {count} {about}"
    return f"{start}: {_trust(gain)}"


def enough_seeds(results: dict[str, Any]) -> list[int]:
    """The seeds of the run and those that are missing; none where none are."""
    gain = _gain(results)
    more = _seeds_missing(gain) if gain else 0
    if not more:
        return []
    seeds = [int(seed["seed"]) for seed in results["models"]["student"]["seeds"]]
    return [*seeds, *_others(seeds, more)]


def line(results: dict[str, Any], way: str = "") -> str:
    """The verdict, as the last line of a terminal, with the `way` to more seeds."""
    return f"verdict: {verdict(results)}{f': {way}' if way else ''}"


def _gain(results: dict[str, Any]) -> dict[str, Any] | None:
    is_there = {"student", "baseline"} <= results["models"].keys()
    found = (results.get("gain") or {}).get("errors") if is_there else None
    return dict(found) if found else None


def _trust(gain: dict[str, Any]) -> str:
    interval = gain_interval(gain)
    if interval is None:
        return "one seed cannot be told from noise; two more would say more"
    low, high = interval
    if low > 0 or high < 0:
        return f"more than noise, 95% interval of the gain {low:.1f} to {high:.1f}"
    more = _seeds_missing(gain)
    if not more:
        return (
            f"cannot be told from noise, nor would {students_t.MOST} seeds: take it "
            "for no difference"
        )
    word = _WORDS[more] if more < len(_WORDS) else str(more)
    noun = "seed" if more == 1 else "seeds"
    return f"cannot be told from noise yet; {word} more {noun} would"


def _seeds_missing(gain: dict[str, Any]) -> int:
    """The seeds to add; none where it is settled or too many are needed."""
    count = len(gain["per_seed"])
    interval = gain_interval(gain)
    if interval is None:
        return 2
    if interval[0] > 0 or interval[1] < 0:
        return 0
    deviation = gain["standard_error"] * count**0.5
    needed = students_t.needed(gain["mean"], deviation)
    # Rounding aside, more than there are: these were not enough.
    return max(needed - count, 1) if needed else 0


def _others(seeds: Sequence[int], count: int) -> list[int]:
    """The first numbers from 0 on that are no seeds yet."""
    found = (number for number in range(len(seeds) + count) if number not in seeds)
    return [number for number, _ in zip(found, range(count), strict=False)]
