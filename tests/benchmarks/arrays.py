"""What contenders other than the trainer start from, in a workload's folder."""

import numpy as np

INPUTS, LABELS, LOGITS = "inputs.npy", "labels.npy", "logits.npy"


def tiled(rows: np.ndarray, count: int) -> np.ndarray:
    """As many rows, the same again and again: [M, ...] -> [count, ...]."""
    times = -(-count // len(rows))
    return np.concatenate([rows] * times)[:count]
