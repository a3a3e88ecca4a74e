"""The export command: the model in other formats, and how far they are from it."""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from etils import epath

from trainer import console, data
from trainer import export as formats
from trainer.config import Config, ConfigError
from trainer.exit_codes import CheckFailedError
from trainer.export import onnx_file, tflite
from trainer.progress.folded import show
from trainer.report import exported as tables
from trainer.session import Session
from trainer.session.datasets import Datasets
from trainer.session.selected_model import SelectedModel, select_model
from trainer.stages.report import report
from trainer.storage import files, folders, locks, model_classes, seal, workdir

_WAY_OUT = "choose another --workdir"
_LOCK = "export.lock"  # in the workdir: whoever exports there


def export(session: Session) -> None:
    """Writes export/ with the chosen model in every format of the config.

    An earlier export is replaced, export.json last. The report gets what is printed.
    Another process that exports there is waited for: the files are of one model.

    Raises:
      ConfigError: the model is not trained yet, or a format is not for it, or not for
        what is installed here.
      CheckFailedError: a format's predictions are too far from the model's.
    """
    _check_formats(session.config, session.datasets)
    with _alone(session.path):
        with _replacing(session.path / workdir.EXPORT) as folder:
            problems = _export(session, folder)
        show(tables.render(tables.read(session.path)))
        if workdir.is_evaluated(session.path, session.config):
            report(session)
    if problems:
        raise CheckFailedError("; ".join(problems))


@contextlib.contextmanager
def _alone(path: epath.Path) -> Iterator[None]:
    """In the body no other process exports in the workdir `path`; a store has one."""
    with contextlib.ExitStack() as stack:
        if not files.is_remote(path):
            waits = f"another process exports in {path}: it is waited for"
            with contextlib.suppress(locks.NoLocksError):
                stack.enter_context(
                    locks.hold(path / _LOCK, on_waiting=lambda: console.log(waits))
                )
        yield


@contextlib.contextmanager
def _replacing(target: epath.Path) -> Iterator[epath.Path]:
    """Yields a folder beside `target`, which it replaces when the body has ended well.

    A store has no renames: there it is `target` itself.
    """
    folder = target
    if not files.is_remote(target):
        folder = target.with_name(f".writing-{target.name}")
    try:
        _remove(folder)
        yield folder
        if folder != target:
            _remove(target)
            with files.wrap_write_errors(target):
                os.rename(folder, target)
                files.sync_folder(target.parent)
    finally:
        if folder != target:
            _remove(folder)


def _remove(folder: epath.Path) -> None:
    with files.wrap_write_errors(folder):
        if files.exists(folder):
            folder.rmtree()


def _export(session: Session, folder: epath.Path) -> list[str]:
    """Writes all into `folder`, and gives what is wrong with it."""
    section = session.config.export
    found = select_model(session.networks)
    own = formats.predict_function(found.model)
    written = {"model": (own, 0)}
    for name in section.formats:
        written[name] = _write(
            session.config, session.datasets, found.model, name, _path(name, folder)
        )
    test = session.datasets.read(session.config.data.test_split)
    measured = formats.measure(own, written, test)
    problems: list[str] = formats.find_problems(measured, section=section)
    told = {
        **_described(session.config, found, test),
        "formats": {
            name: dataclasses.asdict(values) for name, values in measured.items()
        },
        "problems": problems,
    }
    file = folder / epath.Path(workdir.EXPORTED).name
    files.write_json(file, seal.add_checksum(told))
    return problems


def _described(
    config: Config, found: SelectedModel, test: data.Examples
) -> dict[str, Any]:
    """The model, and the view of images that it takes where these get another size."""
    view = {"input": config.data.view.settings} if config.data.is_fitted else {}
    return {"role": found.role, "seed": found.seed, "examples": len(test), **view}


def _check_formats(config: Config, datasets: Datasets) -> None:
    lite = [name for name in config.export.formats if name.startswith("tflite_")]
    onnx = [name for name in config.export.formats if name == "onnx"]
    if lite and datasets.source.input_dtype == "float64":
        raise ConfigError(
            f"export.formats must be without {', '.join(lite)} for "
            f"{config.data.dataset!r}, whose features float32 rounds away: "
            "TFLite has no float64; scale them in the table, or leave these formats out"
        )
    if lite and not tflite.is_installed():
        raise ConfigError(
            f"export.formats must be without {', '.join(lite)} where ai-edge-litert is "
            "not installed, which runs them; pip install 'alambic[export]'"
        )
    if onnx and not onnx_file.is_installed():
        raise ConfigError(
            "export.formats must be without onnx where tf2onnx and onnxruntime are not "
            "installed, which write and run it; pip install 'alambic[onnx]'"
        )


def _write(
    config: Config, datasets: Datasets, model: keras.Model, name: str, path: epath.Path
) -> tuple[formats.Predict, int]:
    """Writes one format; gives what was read back, as a function, and its bytes."""
    source, view = datasets.source, config.data.view
    model_classes.write(path, source.class_names, view, data.feature_names(source))
    if name == "saved_model":
        return _saved_model(datasets, model, path)
    if name == "keras":
        with files.atomic_path(path) as temporary:
            model.save(temporary)
        with files.local_copy(path) as local:
            again = keras.models.load_model(str(local), compile=False)
        return formats.predict_function(again), files.num_bytes(path)
    if name == "onnx":
        content, run = _onnx(config, datasets, model), onnx_file.session
    else:
        content, run = _lite(config, datasets, model, name), tflite.interpreter
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(content)
    with files.wrap_read_errors(path):
        return run(path.read_bytes()), files.num_bytes(path)


def _path(name: str, folder: epath.Path) -> epath.Path:
    """The file or folder for the model in the format `name`."""
    if name == "keras":
        return folder / workdir.FINISHED
    if name == "onnx":
        return folder / "model.onnx"
    is_lite = name.startswith("tflite_")
    return folder / (f"{name.removeprefix('tflite_')}.tflite" if is_lite else name)


def _saved_model(
    datasets: Datasets, model: keras.Model, target: epath.Path
) -> tuple[formats.Predict, int]:
    # Written elsewhere first: what TensorFlow says of a full disk is about memory.
    with tempfile.TemporaryDirectory(prefix="alambic-") as temporary:
        local = pathlib.Path(temporary)
        formats.save(model, datasets.source.class_names, local)
        folders.replace(local, target, hint=_WAY_OUT)
        return formats.load(local), folders.num_bytes(target)


def _lite(config: Config, datasets: Datasets, model: keras.Model, name: str) -> bytes:
    calibration = (
        _calibration(config, datasets) if name == "tflite_int8" else np.empty(0)
    )
    return tflite.convert(model, name, calibration=calibration)


def _onnx(config: Config, datasets: Datasets, model: keras.Model) -> bytes:
    try:
        return onnx_file.convert(model, datasets.source.class_names)
    except onnx_file.UnknownOperationError as error:
        raise ConfigError(
            f"export.formats must be without onnx for the model of "
            f"{config.export.role}, which computes what ONNX has no operation for: "
            f"{error}; leave it out"
        ) from error


def _calibration(config: Config, datasets: Datasets) -> np.ndarray:
    """Inputs of the training split, spread over it evenly: [M, ...]."""
    examples: data.Examples = datasets.training
    count = min(config.export.calibration_examples, len(examples))
    return examples.read(np.linspace(0, len(examples) - 1, count).astype(np.int64))
