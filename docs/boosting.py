"""Gradient boosting answers on the rows that a run lists: python boosting.py IDS DIR.

It needs scikit-learn, and nothing of Alambic.
"""

import csv
import pathlib
import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_predict

table = np.load("configs/data/magic_gamma.npz")
features = np.stack([table[name] for name in table.files if name != "class"], axis=1)
labels = table["class"]

ids: dict[str, list[int]] = {}
with open(sys.argv[1], newline="") as file:
    for line in csv.DictReader(file):
        ids.setdefault(line["part"], []).append(int(line["id"]))

teacher = HistGradientBoostingClassifier(random_state=0)
teacher.fit(features[ids["train"]], labels[ids["train"]])
folder = pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
for part, rows in ids.items():
    answers = teacher.predict_proba(features[rows])
    if part == "train":
        # Of rows that it has learned by heart it could say little beside their labels.
        answers = cross_val_predict(
            teacher, features[rows], labels[rows], method="predict_proba"
        )
    np.savez(
        folder / f"{part}.npz",
        id=rows,
        probabilities=answers,
        class_names=teacher.classes_,
    )
