"""Groups: neighbours of the global batch that a loss between examples sees together."""

from trainer.config.distill import Distill
from trainer.config.errors import ConfigError
from trainer.config.training import TrainConfig

_MOST = 64  # of a default group
_LEAST = 8  # of one that eight replicas share
_REPLICAS = 8
_TOLD = 8  # sizes in a message
_SMALLEST = 3  # two values have a correlation of 1 or -1


def group_size(distill: Distill, train: TrainConfig) -> int:
    """Examples of a group, the set size or else the default one; 0: no groups.

    The default is the largest even divisor up to 64 of the share of one replica in
    eight, or of the whole micro-batch where that is below 8: it depends on the config
    alone, and so does the loss.
    """
    if distill.group_size or not _needs_groups(distill):
        return distill.group_size
    for replicas, least in ((_REPLICAS, _LEAST), (1, _SMALLEST)):
        share, rest = divmod(train.global_batch_size, replicas * train.accumulate)
        sizes = [n for n in _even_sizes(share) if least <= n <= _MOST]
        if sizes and not rest:
            return sizes[-1]
    raise ConfigError(
        "student.train.global_batch_size must have an even divisor above 2 in each "
        f"micro-batch for losses between examples, got {train.global_batch_size} and "
        f"student.train.accumulate = {train.accumulate}; set a multiple of 8, or "
        "distill.group_size"
    )


def check(distill: Distill, train: TrainConfig) -> None:
    """Refuses a group size that nobody needs, or that cuts a micro-batch."""
    size = group_size(distill, train)
    if not size:
        return
    if not (_needs_groups(distill) or any(term.is_own for term in distill.terms)):
        raise ConfigError(
            "distill.group_size needs a term between examples, such as 'dist', got "
            f"{size} and {', '.join(term.loss for term in distill.terms)}; remove it"
        )
    share, rest = divmod(train.global_batch_size, train.accumulate)
    mixes = distill.mixes or train.mixes
    if size < _SMALLEST or rest or share % size or (mixes and size % 2):
        even = "even, because pairs are mixed, " if mixes else ""
        raise ConfigError(
            f"distill.group_size must be {even}at least {_SMALLEST} and a divisor of "
            f"student.train.global_batch_size / accumulate ({share}), got {size}; "
            f"these fit: {fitting_sizes(share) or 'none'}"
        )


def fitting_sizes(share: int) -> str:
    """Sizes of groups that a micro-batch can be cut into, even ones if possible."""
    odd = [n for n in range(_SMALLEST, share + 1, 2) if share % n == 0]
    return ", ".join(map(str, (_even_sizes(share) or odd)[-_TOLD:]))


def _even_sizes(share: int) -> list[int]:
    return [n for n in range(_SMALLEST + 1, share + 1, 2) if share % n == 0]


def _needs_groups(distill: Distill) -> bool:
    return any(term.row.needs_groups for term in distill.terms)
