"""The names by which checkpoints know the training that they are of."""

import json
from typing import Any

from trainer.config.identity import identity, named_identity, resolve
from trainer.config.schema import Config


def run_name(config: Config, role: str, seed: int) -> str:
    """Identifies one training: another config, role or seed gives another name.

    Another name of the run does not, nor do seeds that are added to it.
    """
    digest = _digest(dict(sorted(identity(resolve(config)).items())))
    return f"{role}/seed-{seed}/{digest}"


def is_earlier_name(found: str, config: Config, role: str, seed: int) -> bool:
    """Whether an earlier version gave the training the name `found`.

    It had the run's name in it, where a table is, and all its seeds, to which some
    were added since.
    """
    called, is_of_it, digest = found.rpartition(f"/{role}/seed-{seed}/")
    settings = named_identity(resolve(config), tables_may_move=False)
    settings |= {"name": called}
    return bool(is_of_it) and any(
        digest == _digest(settings | {"seeds": list(config.seeds[:count])})
        for count in range(1, len(config.seeds) + 1)
    )


def _digest(settings: dict[str, Any]) -> str:
    import hashlib  # here, for commands that open no checkpoint

    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
