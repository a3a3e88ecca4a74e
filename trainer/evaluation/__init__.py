"""Evaluation: exact metrics of a split, calibration, class bias, inference times."""
