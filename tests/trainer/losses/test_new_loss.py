"""The page on losses: its tables, and a new loss made as it says."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import configs
from tests.helpers.oracle import softmax
from tests.helpers.repository import REPOSITORY
from trainer.config.losses import LOSSES

PAGE = (REPOSITORY / "docs" / "losses.md").read_text()

# Reads a config with the loss, and computes it as a step does.
SCRIPT = """
import json, sys
import tensorflow as tf
from trainer.config import load
from trainer.losses import Member, SoftTargets, TeacherPredictions
from trainer.train.feature_loss import StudentOutputs
from trainer.train.terms import build_term

terms = 'distill={terms=[{loss="hellinger", temperature=2.0}]}'
(term,) = load(sys.argv[1], [terms]).distill.terms
built = build_term(
    term, name="hellinger", setting="distill.terms[0]", num_steps=9,
    steps_per_epoch=3.0, group_size=0, logs_weight=False,
)
student, teacher = json.loads(sys.argv[2])
targets = SoftTargets(logits=tf.constant(teacher))
values = built.run(
    StudentOutputs(logits=tf.constant(student)),
    TeacherPredictions(members=[Member(at=lambda temperature: targets)]),
    tf.constant([0, -1]),
    tf.constant(0),
)
print(json.dumps(values.numpy().tolist()))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_tells_of_every_loss_and_its_options():
    first = PAGE[: PAGE.index("| Needs labels |")]
    for name, loss in LOSSES.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", first, flags=re.MULTILINE)
        for option in dataclasses.fields(loss.options):
            value = str(option.default).lower().removesuffix(".0")
            assert re.search(rf"`{option.name}`( {value}\b|.*both {value}\b)", row)


@pytest.mark.parametrize(
    ("column", "has"),
    [
        (1, lambda loss: loss.needs_labels),
        (2, lambda loss: loss.needs_groups),
        (3, lambda loss: loss.serves_top_k),
    ],
    ids=["labels", "groups", "top k"],
)
def test_the_page_tells_what_each_loss_needs(column, has):
    table = PAGE[PAGE.index("| Needs labels |") :].split("\n\n")[0]
    told = {}
    for row in table.splitlines()[2:-1]:
        cells = row.split("|")[1:]
        told |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), cells[column].strip())
    assert told == {name: "yes" if has(loss) else "no" for name, loss in LOSSES.items()}


@pytest.mark.slow
def test_a_new_loss_is_one_file_and_one_row(tmp_path):
    shutil.copytree(REPOSITORY / "trainer", tmp_path / "trainer")
    file, row = blocks("python")[1:]
    (tmp_path / "trainer" / "losses" / "hellinger.py").write_text(file)
    table = tmp_path / "trainer" / "config" / "losses.py"
    first = '    "kl": Loss('
    assert first in table.read_text()
    table.write_text(table.read_text().replace(first, row + first))
    (tmp_path / "small.toml").write_text(configs.RUN)
    run = subprocess.run(
        [
            *(sys.executable, "-c", SCRIPT, "small.toml"),
            "[[[1.0, 2.0, -1.0], [0.0, 0.5, 0.0]], [[3.0, 1.0, 0.0], [2.0, 0.0, 1.0]]]",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    student, teacher = (
        softmax(np.array(logits), 2.0)
        for logits in (
            [[1.0, 2.0, -1.0], [0.0, 0.5, 0.0]],
            [[3.0, 1.0, 0.0], [2.0, 0.0, 1.0]],
        )
    )
    distances = np.square(np.sqrt(student) - np.sqrt(teacher)).sum(axis=1) / 2
    np.testing.assert_allclose(json.loads(run.stdout), 2.0**2 * distances, rtol=1e-5)
