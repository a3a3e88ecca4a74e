"""Inputs of a report, read from a workdir and checked before anything is drawn.

Shapes: M = examples of the test split, C = classes, K = example images.
"""

import dataclasses
from typing import Any

import numpy as np
from etils import epath

from trainer import console
from trainer.report import beside, problems
from trainer.report.saved_predictions import Predictions, open_arrays, read_predictions
from trainer.storage import files, folders, json_text, seal
from trainer.storage.evaluation_files import ENVIRONMENT, INFERENCE_TIMES
from trainer.storage.workdir import CONFIG, METRICS, PREDICTIONS, RESULTS
from trainer.train import events

NUMBERS = ("examples", "errors", "accuracy", "nll", "ece")  # in every set of metrics

_CORRECTED = "_class_bias"  # ends the name of such a model

# One run of one model: the lines of its metrics.jsonl, in order.
History = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """Everything a report shows."""

    config: dict[str, Any]
    results: dict[str, Any]
    predictions: Predictions
    histories: dict[str, list[History]]  # trained model -> one a seed; may be empty
    thumbnails: dict[int, np.ndarray]  # row -> uint8 [H, W, 1 or 3]; may be empty
    rows: dict[int, dict[str, float]]  # row of a table -> its features; may be empty
    environment: dict[str, Any]  # where it was evaluated; {} where nobody wrote it


def read_results(workdir: epath.Path) -> dict[str, Any]:
    """The checked `results.json` of a workdir, with the times measured beside it.

    Raises:
      ReportError: it is missing or does not hold what a comparison needs.
    """
    path = workdir / RESULTS
    results = _read_json(path)
    _check_results(path, results)
    times = beside.read(workdir / INFERENCE_TIMES).get("models", {})
    for role in times.keys() & results["models"].keys():
        results["models"][role] = times[role] | results["models"][role]
    return results


def read_config(workdir: epath.Path) -> dict[str, Any]:
    """The checked `config.json` of a workdir.

    Raises:
      ReportError: it is missing, or what should be a section is none.
    """
    config = _read_json(workdir / CONFIG)
    for section in ("data", "teacher", "student", "distill"):
        if not isinstance(config.get(section) or {}, dict):
            raise problems.of_file(workdir / CONFIG, f"`{section}` is not a section")
    return config


def read(workdir: epath.Path) -> Inputs:
    """Reads and checks `config.json`, `results.json`, `predictions.npz`, histories.

    A model without `metrics.jsonl` has no history: a teacher may come as weights.

    Raises:
      ReportError: a file is missing or does not hold what the report needs.
    """
    config = read_config(workdir)
    results = read_results(workdir)
    names = model_names(results)
    _check_files(workdir, results)
    predictions = read_predictions(workdir / PREDICTIONS, names)
    num_classes = len(results["models"][names[0]]["test"]["confusion_matrix"])
    if num_classes != len(predictions.class_names):
        raise problems.of_file(
            workdir / PREDICTIONS,
            f"has {len(predictions.class_names)} classes, results.json {num_classes}",
        )
    histories = {  # corrected ones have trained nothing
        name: read_histories(workdir / name) for name in names if not is_corrected(name)
    }
    if "member" in histories:
        # They lie under the teacher, which has no training of its own.
        histories |= {"member": histories["teacher"], "teacher": []}
    environment = beside.read(workdir / ENVIRONMENT)
    num_examples = len(predictions.labels)
    return Inputs(
        config=config,
        results=results,
        predictions=predictions,
        histories=histories,
        thumbnails=beside.read_thumbnails(workdir, environment, num_examples),
        rows=beside.read_rows(workdir, environment, num_examples),
        environment=environment,
    )


def read_classes(workdir: epath.Path) -> tuple[list[str], tuple[int, ...]]:
    """The names of the classes of a run, and the shape of an image it was tested on.

    Of a table the shape is not that of an image.

    Raises:
      ReportError: `predictions.npz` is missing or malformed, or not the results'.
    """
    if files.exists(workdir / RESULTS):
        _check_files(workdir, _read_json(workdir / RESULTS))
    with open_arrays(workdir / PREDICTIONS) as file, np.load(file) as arrays:
        names = [str(name) for name in arrays["class_names"]]
        return names, arrays["example_images"].shape[1:]


def model_names(results: dict[str, Any]) -> list[str]:
    """Names of the models: the teacher first, the others as the results give them."""
    return sorted(results["models"], key=lambda name: name != "teacher")


def is_corrected(name: str) -> bool:
    """Whether a model is another one of the results with a class bias."""
    return name.endswith(_CORRECTED)


def original(name: str) -> str:
    """The model that was trained, of a corrected one or of any other."""
    return name.removesuffix(_CORRECTED)


def display_name(name: str) -> str:
    """The name of a model as people read it."""
    return f"{original(name)} + class bias" if is_corrected(name) else name


def setting(config: dict[str, Any], section: str, key: str) -> Any:
    """`config[section][key]`, or None where a run has no such section or key."""
    return (config.get(section) or {}).get(key)


def teacher(config: dict[str, Any]) -> Any:
    """The teacher's model, or those of an ensemble; None where the config has none."""
    members = setting(config, "teacher", "members")
    if members is None:
        is_here = setting(config, "distill", "soft_targets") != "imported"
        return setting(config, "teacher", "model") if is_here else "imported answers"
    return "average of " + ", ".join(str(member.get("model")) for member in members)


def _read_json(path: epath.Path) -> dict[str, Any]:
    try:
        value = seal.parse(path.read_bytes())
    except OSError as error:
        raise problems.of_file(
            path, f"cannot be read ({error.strerror or error})"
        ) from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise problems.of_file(
            path, f"is not JSON as it was written ({error})"
        ) from error
    return value


def _check_results(path: epath.Path, results: dict[str, Any]) -> None:
    models = results.get("models")
    if not (isinstance(models, dict) and models):
        raise problems.of_file(path, "holds no `models`")
    for name, model in models.items():
        try:
            _check_model(model)
        except (KeyError, TypeError, ValueError) as error:
            raise problems.of_file(
                path, f"`models.{name}` is malformed ({error!r})"
            ) from error
    gain = results.get("gain")
    try:
        if gain is not None:
            float(gain["errors"]["mean"])
            list(gain["errors"]["per_seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise problems.of_file(path, f"`gain` is malformed ({error!r})") from error


def _check_model(model: dict[str, Any]) -> None:
    """Raises KeyError, TypeError or ValueError for a model the report cannot show."""
    int(model["parameters"] or 0)  # None of a teacher that is elsewhere
    if not model["seeds"]:
        raise ValueError("no seeds")
    selected = [seed[which] for seed in model["seeds"] for which in ("last", "best")]
    for metrics in (model["mean"], model["test"], *selected):
        for key in NUMBERS:
            float(metrics[key])
    for metrics in selected:
        if metrics["step"] is not None:
            int(metrics["step"])
    dict(model["std"])
    counts = np.asarray(model["test"]["confusion_matrix"], dtype=np.int64)
    num_classes = len(model["test"]["per_class_accuracy"])
    if counts.shape != (num_classes, num_classes):
        raise ValueError(f"confusion matrix {counts.shape} of {num_classes} classes")


def _check_files(workdir: epath.Path, results: dict[str, Any]) -> None:
    """Finds the files that the results tell of as they were."""
    known = results.get("files", {})
    if not known:
        console.log(
            f"{workdir / RESULTS} is of an earlier version, which kept no checksum of "
            f"it and of {PREDICTIONS}: whether they changed since is not known"
        )
    for name, checksum in known.items():
        path = workdir / name
        if files.exists(path) and folders.checksum(path) != checksum:
            raise problems.of_file(
                path, f"is not the one that {RESULTS} was written with"
            )
    for name, checksum in results.get("histories", {}).items():
        path = workdir / name
        if files.exists(path) and checksum != events.checksum(
            events.read_metrics(path)
        ):
            raise problems.of_file(
                path, f"has other lines than when {RESULTS} was written"
            )


def read_histories(folder: epath.Path) -> list[History]:
    """Reads the histories in `folder` or in its folders: one a seed; there may be none.

    Raises:
      ReportError: a `metrics.jsonl` is malformed.
    """
    paths = sorted(path for path in files.walk(folder) if path.name == METRICS)
    return [_read_history(path) for path in paths if folder in list(path.parents)[:2]]


def _read_history(path: epath.Path) -> History:
    history = []
    try:
        for line in (files.read(path) or b"").decode().splitlines():
            row = json_text.parse(line)
            int(row["step"])
            history.append(row)
    except OSError as error:
        raise problems.of_file(
            path, f"cannot be read ({error.strerror or error})"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        line_number = len(history) + 1
        raise problems.of_file(
            path, f"line {line_number} is malformed ({error!r})"
        ) from error
    return history
