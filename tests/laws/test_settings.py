"""Every setting says what it means, beside its default and in the schema."""

import dataclasses

from tests.tools import settings_page
from trainer.config import entries, meanings
from trainer.config.json_schema import json_schema


def unexplained(schema: object, path: str = "") -> list[str]:
    """The properties of a schema that have no description, in all of its parts."""
    if isinstance(schema, list):
        return [name for part in schema for name in unexplained(part, path)]
    if not isinstance(schema, dict):
        return []
    # Conditions name properties that are described where they stand.
    is_table = schema.get("type") == "object"
    properties = schema.get("properties", {}) if is_table else {}
    found = [
        f"{path}.{name}"
        for name, part in properties.items()
        if "description" not in part and "$ref" not in part
    ]
    for name, part in schema.items():
        found += unexplained(part, path if name == "properties" else f"{path}.{name}")
    return found


def test_every_setting_has_a_meaning():
    assert len(entries.entries()) > 500
    dumb = [entry.name for entry in entries.entries() if len(entry.meaning) < 10]
    assert not dumb, f"write a comment beside each of these fields: {dumb}"


def test_a_meaning_is_a_sentence():
    for entry in entries.entries():
        first, last = entry.meaning[0], entry.meaning[-1]
        assert first == first.upper(), entry
        assert last == ".", entry


def test_every_setting_of_the_schema_is_explained():
    assert not unexplained(json_schema())


def test_the_page_of_settings_is_made_of_them():
    written = settings_page.PAGE.read_text(encoding="utf-8")
    assert written == settings_page.render(), "python -m tests.tools.settings_page"


def test_the_page_of_settings_has_each_of_them():
    rows = settings_page.render().splitlines()
    for entry in entries.entries():
        name = entry.name.rpartition(".")[2]
        assert any(r.startswith(f"| `{name}` |") and entry.meaning in r for r in rows)


def test_the_laws_see_what_they_forbid():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert unexplained({"properties": {"b": schema}}) == [".b.a"]
    [entry] = [e for e in entries.entries() if e.name == "distill.views"]
    assert "modulo" in entry.meaning
    assert not meanings.meanings(Silent)["size"]
    assert meanings.meanings(Silent)["seed"] == "of the first"


@dataclasses.dataclass
class Silent:
    """A section one of whose settings says nothing."""

    size: int = 0
    seed: int = 0  # of the first
