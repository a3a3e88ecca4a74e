"""The embedding of a teacher, as caches keep it."""

import keras
import numpy as np

from trainer import models
from trainer.config import EMBEDDING, ConfigError
from trainer.soft_targets import EmbeddingFormat


def embedding_format(
    model: keras.Model, examples: np.ndarray, *, role: str, dtype: str
) -> EmbeddingFormat:
    """The embedding of the teacher in a role, of which a few inputs are given.

    Raises:
      ConfigError: it has none that is one vector.
    """
    setting = f"distill.cache_embedding of {role}"
    taps = models.find_taps(model, [EMBEDDING], setting=setting)
    try:
        shapes = models.shapes_of(model, taps, examples)
        path = models.embedding_path(model, examples)
    except ConfigError as error:
        raise ConfigError(f"{setting}: {error}") from error
    if len(shapes[EMBEDDING]) != 1:
        raise ConfigError(
            f"{setting} needs a last Dense layer of one vector an example, got "
            f"{path!r} of {list(shapes[EMBEDDING])}; learn online"
        )
    return EmbeddingFormat(layer=path, size=shapes[EMBEDDING][0], dtype=dtype)
