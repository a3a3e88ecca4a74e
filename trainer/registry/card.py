"""The card of a version: card.json for programs, card.md for people."""

import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from trainer.config import EvaluateView
from trainer.storage import files, json_text, seal

CARD, PAGE = "card.json", "card.md"
FORMAT = 1

Card = dict[str, Any]

# (name in the metrics, what people read, factor, digits)
METRICS = (
    ("examples", "examples", 1, 0),
    ("errors", "errors", 1, 0),
    ("accuracy", "accuracy %", 100, 2),
    ("nll", "NLL", 1, 4),
    ("ece", "ECE", 1, 4),
    ("agreement", "agreement with the teacher %", 100, 2),
)


def texts(card: Card) -> dict[str, str]:
    """The files of a card, with a checksum of its own."""
    sealed = seal.add_checksum({"format": FORMAT, **card})
    return {CARD: json.dumps(sealed, indent=2) + "\n", PAGE: page(card)}


def read(folder: epath.Path) -> Card:
    """The card of the version in `folder`.

    Raises:
      StorageError: it is damaged, or of a format that is not known here.
    """
    path = folder / CARD
    try:
        with files.wrap_read_errors(path):
            content = path.read_bytes()
        found = json_text.parse(content)
        card = seal.check_checksum(found)
        if not seal.is_sealed(found):
            raise ValueError("it has no checksum")
        number = card.pop("format")
    except files.StorageError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise files.StorageError(
            f"{path} must be the card of a registered model, got a damaged one "
            f"({error}); restore it, or register the model again"
        ) from error
    if number != FORMAT:
        raise files.StorageError(
            f"{path} must have format {FORMAT}, got {number!r}; use the release of "
            "Alambic that wrote it"
        )
    return card


def page(card: Card) -> str:
    """The card as Markdown."""
    model, teachers = card["model"], card["teachers"]
    height = "x".join(map(str, card["input"]["shape"]))
    lines = [
        f"# {card['name']}, version {card['version']}",
        "",
        f"{model['architecture']} with {model['parameters']:,} parameters, the "
        f"{card['role']} of the run {card['run']!r}, seed {card['seed']}. Takes "
        f"{card['input']['dtype']} [{height}]{_view(card)}, gives the probabilities "
        f"(T = 1) of {len(card['classes'])} classes.",
        "",
        *_table(["split", *(label for _, label, _, _ in METRICS)], _rows(card)),
        "",
        *_table(["batch", "ms an example"], _latency(card)),
        "",
        f"On {card['latency']['device']}.",
        "",
        *_table(["file", "bytes", "SHA-256"], _files(card)),
        "",
        f"- registered: {card['created']}",
        f"- weights: {model['fingerprint']}",
        *(f"- {x['role']}: {x['architecture']}, {x['fingerprint']}" for x in teachers),
        *(
            f"- data: {card['data']['dataset']}, {split}, {fingerprint}"
            for split, fingerprint in card["data"]["fingerprints"].items()
        ),
        f"- code: {_code(card['code'])}",
        f"- classes: {', '.join(card['classes'])}",
        "",
        "```json",
        json.dumps(card["config"], indent=2),
        "```",
    ]
    return "\n".join(lines) + "\n"


def number_text(value: object, *, factor: float = 1, digits: int = 0) -> str:
    """A number of a card as people read it; "-" where there is none."""
    if not isinstance(value, int | float):
        return "-"
    return f"{factor * value:,.{digits}f}"


def _view(card: Card) -> str:
    """The part of images of another size that the model takes, where it is told."""
    if "evaluate_view" not in card["input"]:
        return ""
    return f" ({EvaluateView.of(card['input']).text} of other sizes)"


def _rows(card: Card) -> list[list[str]]:
    return [
        [
            split,
            *(
                number_text(metrics.get(name), factor=factor, digits=digits)
                for name, _, factor, digits in METRICS
            ),
        ]
        for split, metrics in card["metrics"].items()
    ]


def _latency(card: Card) -> list[list[str]]:
    times = card["latency"]["ms_per_example"]
    return [[size, number_text(ms, digits=3)] for size, ms in times.items()]


def _files(card: Card) -> list[list[str]]:
    return [
        [name, f"{card['sizes'][name]:,}", checksum]
        for name, checksum in card["files"].items()
    ]


def _code(code: Mapping[str, Any]) -> str:
    text = ", ".join(
        f"{name} {code[name]}" for name in ("alambic", "tensorflow", "keras")
    )
    git = code["git"]
    if not git:
        return text
    return f"{text}, git {git['revision']}{' with changes' * git['is_changed']}"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(row)} |" for row in (header, ruler, *rows)]
