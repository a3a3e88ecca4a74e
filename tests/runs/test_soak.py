"""A run that is killed and stopped again and again ends like one that is not."""

import pytest

from launch.local import faults as launcher
from tests.tools import soak


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_four_faults_leave_no_trace_in_the_models(tmp_path, tfds_dir):
    faults = [
        "term:worker:2@step=200",
        "kill:worker:0@secs=9",
        "kill:worker:1@step=700",
    ]
    faults += ["term:worker:0@step=1100"]
    outcome = soak.soak(
        tmp_path,
        tfds_dir,
        faults,
        [
            "seeds=[0]",
            "teacher.train.steps=1500",
            "student.train.steps=300",
            "runtime.save_every_steps=100",
            "runtime.eval_every_steps=100",
            "runtime.log_every_steps=50",
        ],
    )
    assert outcome.code == 0, outcome.log
    assert sorted(outcome.faults) == sorted(faults), outcome.log
    assert outcome.differences == []


def test_faults_are_as_random_as_their_seed():
    faults = soak.random_faults(20, 0)
    assert faults == soak.random_faults(20, 0) != soak.random_faults(20, 1)
    assert {fault.split(":")[0] for fault in faults} == {"kill", "term"}
    for fault in faults:
        launcher.parse(fault, num_workers=soak.NUM_WORKERS)
