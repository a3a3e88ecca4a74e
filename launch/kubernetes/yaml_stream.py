"""YAML documents as Kubernetes reads them."""

import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from launch.errors import LaunchError

Document = dict[str, Any]

# Kubernetes reads "y", "1e3" and "12e4567" as no strings; PyYAML would not quote them.
_PLAIN = re.compile(r"[A-Za-z/][\w./:@=-]+")


def dump(documents: Iterable[Document]) -> str:
    """The documents as one stream, keys in the order they have."""
    yaml = _pyyaml()

    class Dumper(yaml.SafeDumper):  # type: ignore[name-defined]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None if _PLAIN.fullmatch(value) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    stream: str = yaml.dump_all(
        documents,
        Dumper=Dumper,
        sort_keys=False,
        width=10_000,  # no line is folded
        explicit_start=True,
        allow_unicode=True,
    )
    return stream


def load(text: str, *, source: str) -> list[Document]:
    """The documents of a stream, without empty ones.

    Raises:
      LaunchError: `source`, which the text comes from, is not YAML or holds a document
        that is no object.
    """
    yaml = _pyyaml()
    try:
        documents = [part for part in yaml.safe_load_all(text) if part is not None]
    except yaml.YAMLError as error:
        sentence = " ".join(str(error).split())
        raise LaunchError(f"{source} must be YAML: {sentence}") from None
    for document in documents:
        if not isinstance(document, dict):
            raise LaunchError(
                f"{source} must hold objects of Kubernetes, got {document!r:.60}; "
                "separate documents by a line of ---"
            )
    return documents


def _pyyaml() -> ModuleType:
    try:
        import yaml
    except ImportError:
        raise LaunchError(
            "manifests need PyYAML, which is not installed; "
            "pip install '.[kubernetes]' brings it"
        ) from None
    module: ModuleType = yaml
    return module
