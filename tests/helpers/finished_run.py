"""The files that a finished run leaves, of networks that answer at random."""

import json

import numpy as np
from etils import epath

from tests.helpers.oracle import cross_entropy
from trainer.evaluation.disagreements import disagreements
from trainer.storage import folders

NUM_EXAMPLES = 200


def measured(logits, labels, **more):
    """Metrics of logits, the last two of which are made up."""
    errors = int(np.sum(logits.argmax(axis=-1) != labels))
    return {
        "examples": len(labels),
        "errors": errors,
        "accuracy": 1 - errors / len(labels),
        "nll": float(cross_entropy(logits, labels).mean()),
        "brier": 0.1,
        "ece": 0.02,
        **more,
    }


def model_results(logits, labels, num_seeds):
    """The entry of a model, each seed of which did the same."""
    num_classes = logits.shape[1]
    counts = np.zeros((num_classes, num_classes), dtype=int)
    np.add.at(counts, (labels, logits.argmax(axis=-1)), 1)
    totals = counts.sum(axis=1)
    per_class = [
        counts[c, c] / totals[c] if totals[c] else None for c in range(num_classes)
    ]
    mean = measured(logits, labels)
    return {
        "parameters": 1000,
        "train_examples_per_sec": None,
        "test": {
            **mean,
            "per_class_accuracy": per_class,
            "confusion_matrix": counts.tolist(),
        },
        "seeds": [
            {"seed": s, "last": {"step": 60, **mean}, "best": {"step": 40, **mean}}
            for s in range(num_seeds)
        ],
        "mean": mean,
        "std": dict.fromkeys(mean, None if num_seeds == 1 else 0.5),
    }


def write_history(folder, rng):
    """Writes metrics.jsonl of 60 steps."""
    folder.mkdir(parents=True)
    lines = []
    for step in range(10, 70, 10):
        row = {
            "step": step,
            "train/loss": 2 / step,
            "train/soft_loss": 2.5 / step,
            "train/hard_loss": 1 / step,
            "train/learning_rate": 1e-3,
            "perf/examples_per_sec": 500.0,
        }
        if step % 20 == 0:
            row["eval/accuracy"] = 0.9 + 0.001 * step + 0.01 * float(rng.random())
        lines.append(json.dumps(row))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def write_workdir(workdir, *, class_names, num_seeds=1, channels=1, num_images=1):
    """What a finished run of three models leaves, with random teachers and students."""
    rng = np.random.default_rng(0)
    num_classes = len(class_names)
    labels = rng.integers(num_classes, size=NUM_EXAMPLES).astype(np.int32)
    arrays = {
        "labels": labels,
        "ids": np.arange(NUM_EXAMPLES),
        "class_names": np.array(class_names),
        "example_rows": np.arange(num_images) * 7,
        "example_images": rng.integers(
            256, size=(num_images, 12, 12, channels), dtype=np.uint8
        ),
    }
    models = {}
    for name, skill in (("teacher", 6.0), ("student", 4.0), ("baseline", 3.0)):
        noise = rng.normal(size=(NUM_EXAMPLES, num_classes))
        logits = (noise + skill * np.eye(num_classes)[labels]).astype(np.float32)
        arrays[f"{name}_logits"] = logits
        seeds = 1 if name == "teacher" else num_seeds
        models[name] = model_results(logits, labels, seeds)
        if name == "teacher":
            write_history(workdir / "teacher", rng)
        else:
            for seed in range(seeds):
                write_history(workdir / name / f"seed-{seed}", rng)
    gain = {
        "per_seed": [3.0] * num_seeds,
        "mean": 3.0,
        "standard_error": None if num_seeds == 1 else 0.4,
    }
    results = {"name": "toy <run>", "models": models, "gain": {"errors": gain}}
    config = {
        "name": "toy <run>",
        "seeds": list(range(num_seeds)),
        "data": {"dataset": "toy"},
        "teacher": {"model": "cnn"},
        "student": {"model": "mlp"},
        "distill": {"alpha": 0.9, "temperature": 3.0},
    }
    (workdir / "results.json").write_text(json.dumps(results))
    (workdir / "config.json").write_text(json.dumps(config))
    np.savez(workdir / "predictions.npz", **arrays)


def write_beside(workdir, *, channels=1):
    """What a run leaves beside its results: times, versions and small images."""
    with np.load(workdir / "predictions.npz") as saved:
        names = ("teacher", "student", "baseline")
        logits = {name: saved[f"{name}_logits"] for name in names}
        kinds = disagreements(logits, saved["labels"])
    rows = np.unique(np.concatenate([found[:16] for found in kinds.values()]))
    rng = np.random.default_rng(1)
    # Smooth, as photographs are.
    images = rng.integers(256, size=(len(rows), 4, 4, channels)).repeat(16, 1)
    write_thumbnails(workdir, rows=rows, images=images.repeat(16, 2).astype(np.uint8))
    times = {"teacher": {"1": 2.0, "256": 0.25}, "student": {"1": 0.5, "256": 0.125}}
    models = {role: {"inference_ms_per_example": ms} for role, ms in times.items()}
    path = workdir / "evaluation" / "inference_times.json"
    path.write_text(json.dumps({"models": models}))


def write_thumbnails(workdir, **arrays):
    """Replaces the small images, and the versions that know them."""
    write_examples(workdir, "thumbnails", **arrays)


def write_examples(workdir, name, **arrays):
    """Replaces a file of examples, and the versions that know it."""
    path = workdir / "evaluation" / f"{name}.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **arrays)
    environment = {
        "alambic": "9.8.7",
        "tensorflow": "2.21.0",
        "git": {"revision": "0123abcd", "is_changed": False},
        "machine": "Linux, 2 processors",
        "devices": "OneDeviceStrategy, 1 replica on CPU:0",
        "files": {f"evaluation/{name}.npz": folders.checksum(epath.Path(path))},
    }
    path.with_name("environment.json").write_text(json.dumps(environment))
