"""Words for what a value must be, and ways out where another one came."""

import math
import re
import sys
import typing
from collections.abc import Mapping
from typing import Any, Literal

from trainer.config.errors import ConfigError, settable, show_value
from trainer.config.fields import MISSING, alternatives, fields_of, is_section, split
from trainer.config.rules import Rule
from trainer.config.toml_text import value_text

_TYPES = {
    str: "a string",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    Any: "a value",
}
# Words for a choice that no choice is near to, by what people write elsewhere.
_MEANT = {
    **dict.fromkeys(("fp32", "float", "single", "32"), "float32"),
    **dict.fromkeys(("fp16", "float16", "half", "16", "amp"), "mixed_float16"),
    **dict.fromkeys(("bf16", "bfloat16"), "mixed_bfloat16"),
    **dict.fromkeys(("true", "yes", "enabled", "1"), "on"),
    **dict.fromkeys(("false", "no", "disabled", "0"), "off"),
    **dict.fromkeys(("swish",), "silu"),
    **dict.fromkeys(("f1", "f1_score", "f1_macro"), "macro_f1"),
    **dict.fromkeys(("auroc", "roc_auc", "roc"), "auc"),
    **dict.fromkeys(("acc", "val_accuracy", "top1", "top_1"), "accuracy"),
    **dict.fromkeys(("loss", "val_loss", "log_loss", "cross_entropy"), "nll"),
    **dict.fromkeys(("live",), "online"),
    **dict.fromkeys(("cache", "disk", "offline"), "cached"),
    **dict.fromkeys(("cpu", "gpu", "single_device"), "one_device"),
    **dict.fromkeys(("multi_gpu", "dp", "ddp"), "mirrored"),
    **dict.fromkeys(("distributed", "multi_node"), "multi_worker"),
}
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_THOUSANDS = {"k": 10**3, "m": 10**6, "g": 10**9}


def described(hint: Any) -> str:
    """The values of a type, so that "must be " before it reads as a sentence."""
    inner, rules = split(hint)
    parts = alternatives(inner)
    if len(parts) > 1:
        text = ", or ".join(dict.fromkeys(map(described, parts)))
    elif typing.get_origin(parts[0]) is Literal:
        text = "one of " + ", ".join(map(repr, typing.get_args(parts[0])))
    elif typing.get_origin(parts[0]) is tuple:
        text = "a list"
    elif is_section(parts[0]):
        text = f"a table {{{_needed(parts[0])}}}"
    else:
        text = _TYPES.get(parts[0], "a table")
    told = [rule.text for rule in rules if isinstance(rule, Rule)]
    # A list of so many says that it is one.
    return (
        " ".join([text, *told]) if not (told and told[0].startswith("a ")) else told[0]
    )


def _needed(section: type) -> str:
    return ", ".join(
        f"{name} = {'NUMBER' if _is_number(field.hint) else 'VALUE'}"
        for name, field in fields_of(section).items()
        if field.default is MISSING
    )


def _is_number(hint: Any) -> bool:
    inner, rules = split(hint)
    told = {rule.schema.get("type") for rule in rules if isinstance(rule, Rule)}
    return inner in (int, float) or "number" in told


def number(kind: type, value: float) -> float | None:
    """The same number as one of the kind int or float; None where there is none."""
    if kind is float:
        is_one = abs(value) <= sys.float_info.max  # NaN is not
        return float(value) if is_one else None
    if isinstance(value, int):
        return value
    return int(value) if math.isfinite(value) and value.is_integer() else None


def refusal(
    path: str, text: str, value: object, hint: Any, rule: Rule | None
) -> ConfigError:
    """Says that the setting `path` must be `text`, is not, and may be meant to be."""
    found = meant(hint, value, rule)
    if found is None or path.endswith("]"):
        way = f"change it in the file or with --set={settable(path)}=VALUE"
    else:
        way = f"change it to {value_text(found)} in the file or with "
        way += flag(settable(path), found)
    return ConfigError(f"{path} must be {text}, got {show_value(value)}; {way}")


def flag(path: str, value: object) -> str:
    """The flag that sets a value, as a shell takes it."""
    text = value_text(value)
    if isinstance(value, str) and re.fullmatch(r"[\w.-]+", value):
        text = value  # a text needs no quotes there
    given = f"{path}={text}"
    return f"--set={given}" if re.fullmatch(r"[\w.=+-]+", given) else f"--set='{given}'"


def meant(hint: Any, value: object, rule: Rule | None = None) -> Any:
    """The value that may be meant by another one; None where nobody can tell.

    It holds the `rule` that the other one breaks.
    """
    for part in alternatives(split(hint)[0]):
        kind, rules = split(part)
        found = _percent(value, rule) if rule else _meant_by(kind, value)
        all_rules = [one for one in (rule, *rules) if isinstance(one, Rule)]
        if found is not None and all(one.holds(found) for one in all_rules):
            return found
    return None


def _meant_by(kind: Any, value: object) -> Any:
    origin = typing.get_origin(kind)
    if origin is Literal:
        return _choice(typing.get_args(kind), str(value))
    if kind is bool:
        word = str(value).lower()
        return True if word in _TRUE else False if word in _FALSE else None
    if kind in (int, float):
        return _number_meant(kind, value)
    if (
        origin is tuple
        and not isinstance(value, list | Mapping)
        and (not str(value).startswith("["))
    ):
        return _list_meant(kind, value)
    return None


def _percent(value: object, rule: Rule) -> float | None:
    """The share that so many percent are, where the rule wants one."""
    most = rule.schema.get("maximum", rule.schema.get("exclusiveMaximum"))
    is_percent = type(value) in (int, float) and 5 <= typing.cast(float, value) <= 100
    return typing.cast(float, value) / 100 if is_percent and most == 1 else None


def _choice(choices: tuple[Any, ...], word: str) -> Any:
    by_lower = {str(choice).lower(): choice for choice in choices}
    # A metric may have the name that metrics.jsonl has: "eval/nll".
    word = word.lower().replace("-", "_").rpartition("/")[2]
    known = word if word in by_lower else _MEANT.get(word, "")
    import difflib  # here, for settings without an error

    close = difflib.get_close_matches(word, by_lower, n=1, cutoff=0.65)
    return by_lower.get(known) or (by_lower[close[0]] if close else None)


def _number_meant(kind: type, value: object) -> float | None:
    """The number that a text says, or a list of the same number again."""
    if isinstance(value, list) and len(set(map(repr, value))) == 1:
        return _number_meant(kind, value[0])
    text = re.sub(r"[\s_]", "", str(value)).lower()
    share = text.endswith("%")
    text = text.removesuffix("%")
    # A comma before three digits parts thousands; another one is a decimal point.
    text = re.sub(r",(?=\d{3}(\D|$))", "", text).replace(",", ".")
    factor = _THOUSANDS.get(text[-1:], 1)
    text = text[:-1] if factor > 1 else text
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text):
        return None
    found = float(text) * factor
    return number(kind, found / 100 if share else found)


def _list_meant(kind: Any, value: object) -> Any:
    if isinstance(value, str) and re.fullmatch(r"\(.*\)|.*,.*", value):
        parts = [part.strip() for part in value.strip("()").split(",") if part.strip()]
        return [_item_meant(kind, part) for part in parts]
    return [_item_meant(kind, value)]


def _item_meant(kind: Any, value: object) -> Any:
    item = split(typing.get_args(kind)[0])[0]
    found = _meant_by(item, value) if isinstance(value, str) else None
    return value if found is None else found
