"""The memory that caches take while students learn from them."""

from trainer import data
from trainer.config import ConfigError
from trainer.session.networks import Networks
from trainer.stages.soft_targets import formats


def check_memory(networks: Networks, *, num_ids: int) -> None:
    """Refuses caches of so many ids that fit no memory and cannot be streamed.

    They are streamed beside the records of one set, and beside nothing else.

    Raises:
      ConfigError: they take more than the memory budget.
    """
    config, examples = networks.config, networks.datasets.transfer
    of_each = sum(form.record.itemsize for form in formats.record_formats(networks))
    views, budget = config.distill.views, config.data.memory_budget_bytes
    needed = num_ids * views * of_each
    if needed <= budget or isinstance(examples, data.RecordExamples):
        return
    raise ConfigError(
        f"data.memory_budget_bytes must cover the cached soft targets, {needed} bytes "
        f"({num_ids} images, distill.views = {views}, {of_each} bytes each), because "
        "they are streamed only with images that are streamed from record files, got "
        f"{budget}; raise it, set distill.soft_targets_dtype, distill.top_k or "
        "distill.views to keep less, or distill.soft_targets = 'online'"
    )
