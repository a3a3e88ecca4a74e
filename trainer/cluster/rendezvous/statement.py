"""The statement of a worker: what it is about to do, which all have to do alike."""

import hashlib
import itertools
import json
from collections.abc import Mapping

from trainer.cluster.tf_config import Cluster

Statement = Mapping[str, object]  # name by name

# A whole statement has to fit into a line.
_MAX_BYTES = 48 * 1024
_MAX_VALUE_CHARS = 300


def bound(statement: Statement) -> Statement:
    """The statement in JSON's types, with hashes in place of what would be too long.

    These are long values; of a statement with too many values, whole sections.
    """
    short = {name: _short(json.dumps(value)) for name, value in statement.items()}
    if len(json.dumps(short)) <= _MAX_BYTES:
        return short
    folded: dict[str, object] = {}
    groups = itertools.groupby(sorted(short), lambda name: name.partition(".")[0])
    for section, names in groups:
        values = {name: short[name] for name in names}
        folded |= values if len(values) == 1 else {section: _short(json.dumps(values))}
    return folded


def disagreement(cluster: Cluster, statements: Mapping[int, Statement]) -> str:
    """Names what differs between the workers' statements; "" where they agree."""
    first = statements[0]
    for rank in range(1, cluster.size):
        other = statements[rank]
        different = [
            f"{name} ({first.get(name)!r} and {other.get(name)!r})"
            for name in [*first, *(other.keys() - first.keys())]
            if first.get(name) != other.get(name)
        ]
        if different:
            return (
                "all workers must be about to do the same, but "
                f"{cluster.names[0]} and {cluster.names[rank]} differ in "
                f"{', '.join(different[:5])}; start every worker with the same "
                "command, files and installation"
            )
    return ""


def _short(text: str) -> object:
    """The value of the JSON `text`, or its hash."""
    if len(text) <= _MAX_VALUE_CHARS:
        return json.loads(text)
    return (
        f"{len(text)} characters, SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"
    )
