"""Inference times of a run: into its results, or into a file beside them."""

import time
from typing import Any

import keras
import tensorflow as tf

from trainer import console, data
from trainer.config import evaluation
from trainer.evaluation.inference_times import Times, measure
from trainer.session.networks import Networks
from trainer.storage import evaluation_files, files, seal, workdir


def inference_times(networks: Networks, test: data.Examples) -> dict[str, Any]:
    """Inference times for the entries of teacher and student; one process measures."""
    measured = measure(
        _networks(networks),
        test,
        device=_device(networks),
        compiles=networks.devices.compiles,
    )
    return _entries(measured)


def write(networks: Networks, test: data.Examples) -> None:
    """Measures for a few seconds at most, and writes what there is time for.

    The results do without: nothing is written where there is no teacher to compare
    with, and where there is too little memory. The chief measures.

    Raises:
      StorageError: the file cannot be written.
    """
    deadline = time.monotonic() + evaluation.AUTO_SECS
    if not networks.config.teachers or time.monotonic() >= deadline:
        return
    try:
        measured = measure(
            _networks(networks),
            test,
            device=_device(networks),
            compiles=networks.devices.compiles,
            deadline=deadline,
        )
    except tf.errors.ResourceExhaustedError:
        console.log("inference times are not measured: too little memory is left")
        return
    if any(times.rounds for times in measured.values()):
        files.write_json(
            networks.path / evaluation_files.INFERENCE_TIMES,
            seal.add_checksum({"models": _entries(measured)}),
        )


def _networks(networks: Networks) -> dict[str, list[keras.Model]]:
    """The teachers, if they are here, and the first seed's student."""
    config = networks.config

    def network(role: str, seed: int, *, stage: str) -> keras.Model:
        with tf.device(_device(networks)):
            model = networks.build_alone(role, seed)
            folder = networks.folder(role, seed)
            networks.load(model, folder / workdir.FINISHED, stage=stage)
        return model

    members = [
        network(role, section.seed, stage="teacher")
        for role, section in config.teachers.items()
    ]
    student = network("student", config.seeds[0], stage="student")
    return {**({"teacher": members} if members else {}), "student": [student]}


def _device(networks: Networks) -> str:
    return str(networks.devices.strategy.extended.worker_devices[0])


def _entries(measured: dict[str, Times]) -> dict[str, Any]:
    return {
        role: {
            "inference_ms_per_example": times.ms_per_example,
            "inference_rounds": times.rounds,
        }
        for role, times in measured.items()
    }
