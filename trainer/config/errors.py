"""The error of settings that cannot be used, as many as there are."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

_CHARACTERS = 200  # of a value in a message
_MOST = 20  # problems in a message
_NAMES = 5  # in a message
_CLOSE = 0.6  # of two names: the share of their letters that match
_LISTED = re.compile(r"[a-z.]+\[\d+\]")  # a section of a list

# What other programs have among augmentations, or as settings of the data.
MIXING = {
    name: f"it is a share of a training's pairs: student.train.{name} = 0.5"
    for name in ("mixup", "cutmix")
}


class ConfigError(ValueError):
    """Settings break rules; each problem names one, the rule, the value, a way out."""

    @property
    def problems(self) -> tuple[str, ...]:
        """A sentence on each setting that cannot be used."""
        return tuple(map(str, self.args))

    def within(self, place: object) -> "ConfigError":
        """The same problems, each of which begins with the `place` that they are in."""
        return ConfigError(*(f"{place}: {problem}" for problem in self.problems))

    def __str__(self) -> str:
        told = self.problems[:_MOST]
        if len(told) < 2:
            return "".join(told)
        more = len(self.problems) - len(told)
        lines = [*told, f"and {more} more"] if more else told
        count = len(self.problems)
        return "\n  ".join([f"{count} settings cannot be used:", *lines])


def join_alike(problems: Iterable[str]) -> list[str]:
    """The problems, those once that sections of a list have alike."""
    alike: dict[str, list[str]] = {}
    for problem in problems:
        alike.setdefault(re.sub(r"\[\d+\]", "[]", problem), []).append(problem)
    joined = []
    for same in alike.values():
        # Where they differ in numbers alone, these say it.
        others = [_LISTED.findall(problem)[:1] for problem in same[1:]]
        names = ", ".join(name for found in others for name in found)
        joined.append(f"{same[0]}; likewise {names}" if names else same[0])
    return joined


@contextlib.contextmanager
def gathering() -> Iterator[Callable[..., None]]:
    """Has checks tell all that they find, and not the first of it alone.

    The body is given a function that calls a check with its arguments.

    Raises:
      ConfigError: checks have; it has their problems, each once.
    """
    problems: dict[str, None] = {}

    def gather(check: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            check(*args, **kwargs)
        except ConfigError as error:
            problems.update(dict.fromkeys(error.problems))

    yield gather
    if problems:
        raise ConfigError(*problems)


def header(path: str) -> str:
    """The name of the section `path` in a TOML file; tables of a list share one."""
    return re.sub(r"\[\d+\]", "", path)


def nearest(name: str, known: Iterable[str]) -> str:
    """The ending of a message about an unknown `name`: the nearest known, then all."""
    names = sorted(known)
    told = ", ".join(names) or "none; remove it"
    return f"{suggestion(name, names)}known: {told}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """A question for the nearest known name, and a space; "" where none is near."""
    import difflib  # here, for settings without an error

    if name.lower() in MIXING:
        return f"{MIXING[name.lower()]}; "
    by_lower, word = {one.lower(): one for one in known}, name.lower()
    close = difflib.get_close_matches(word, by_lower, n=1, cutoff=_CLOSE)
    # A name that is cut, or with more behind it, may be far from it by its letters.
    close += [one for one in by_lower if len(word) > 2 and one.startswith(word)]
    close += [one for one in by_lower if len(word) > 4 and one.startswith(word[:4])]
    close += [one for one in by_lower if len(one) > 2 and word.startswith(one)]
    return f"did you mean {by_lower[close[0]]!r}? " if close else ""


def some_names(names: Iterable[object]) -> str:
    """The first of some names or numbers, and how many more there are."""
    every = list(map(str, names))
    shown = ", ".join(every[:_NAMES]) or "none"
    return shown + (f" and {len(every) - _NAMES} more" if len(every) > _NAMES else "")


def quoted(names: Iterable[str]) -> str:
    """The first of some names as Python writes them, and how many more there are."""
    return some_names(map(repr, names))


def check_known(names: Iterable[str], known: Sequence[str], rule: str) -> None:
    """Refuses `names` that are not among the `known`, which is the `rule`.

    Raises:
      ConfigError: it has the nearest known name to the first.
    """
    unknown = sorted(set(names) - set(known))
    if unknown:
        hint = suggestion(unknown[0], known)
        raise ConfigError(
            f"{rule}, got {quoted(unknown)}; {hint}known: {quoted(known)}"
        )


def join(path: str, name: str) -> str:
    """The path of the setting `name` in the section `path`."""
    return f"{path}.{name}" if path else name


def no_section(path: str, settings: object) -> ConfigError:
    """Says that the `settings` that came for the section `path` are none."""
    written = f"[{header(path)}]"
    if path.endswith("]"):
        written = f"[{written}]"  # one of a list
    setting = settable(path)
    way = f"{setting}=VALUE" if setting != path else f"{path}.FIELD=VALUE"
    return ConfigError(
        f"{path} must be a section, got {show_value(settings)}; "
        f"write {written} in the file, or --set={way}"
    )


def settable(path: str) -> str:
    """The setting that --set takes to change `path`: of a list the whole list."""
    return path.partition("[")[0]


def show_value(value: object) -> str:
    """A value in a message: as Python writes it, and cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number of thousands of digits"
    if len(text) <= _CHARACTERS:
        return text
    return f"{text[:_CHARACTERS]}... ({len(text)} characters)"


def rule_error(path: str, rule: str, value: object) -> ConfigError:
    """Says that the setting `path` "must be" + `rule`, and is not: it is `value`."""
    return ConfigError(
        f"{path} must be {rule}, got {show_value(value)}; "
        f"change it in the file or with --set={settable(path)}=VALUE"
    )
