"""Results of runs with given numbers, as results.json has them."""


def metrics(errors, *, accuracy, nll, ece, **more):
    """Metrics of 2,000 examples."""
    return {
        "examples": 2000,
        "errors": errors,
        "accuracy": accuracy,
        "nll": nll,
        "ece": ece,
        **more,
    }


def model(parameters, *, mean, std, num_seeds, speed=None):
    """The entry of one model, each seed of which did as the mean."""
    seeds = [
        {"seed": seed, "last": {"step": 9, **mean}, "best": {"step": 8, **mean}}
        for seed in range(num_seeds)
    ]
    return {
        "parameters": parameters,
        "train_examples_per_sec": speed,
        "test": mean,
        "seeds": seeds,
        "mean": mean,
        "std": std,
    }


def many_seeds():
    """A run of five students."""
    nothing = metrics(None, accuracy=None, nll=None, ece=None)
    return {
        "name": "mnist_mini",
        "models": {
            "student": model(
                101_770,
                mean=metrics(
                    83.2, accuracy=0.9584, nll=0.141, ece=0.0123, agreement=0.97
                ),
                std=metrics(2.1, accuracy=0.001, nll=0.002, ece=0.001, agreement=0.003),
                num_seeds=5,
                speed=12345.6,
            ),
            "teacher": model(
                1_663_370,
                mean=metrics(26.0, accuracy=0.987, nll=0.04, ece=0.004),
                std=nothing,
                num_seeds=1,
            ),
            "baseline": model(
                101_770,
                mean=metrics(97.4, accuracy=0.9513, nll=0.17, ece=0.02, agreement=0.96),
                std=metrics(3.0, accuracy=0.002, nll=0.003, ece=0.002, agreement=0.004),
                num_seeds=5,
                speed=20000.0,
            ),
        },
        "gain": {
            "errors": {
                "per_seed": [10.0, 12.0, 15.0, 18.0, 16.0],
                "mean": 14.2,
                "standard_error": 1.9,
            }
        },
    }


def one_seed():
    """A run of one student, which has no deviation."""
    results = many_seeds()
    for name, errors in (("teacher", 26), ("student", 81), ("baseline", 95)):
        entry = results["models"][name]
        entry["mean"] = entry["mean"] | {"errors": float(errors)}
        entry["std"] = dict.fromkeys(entry["mean"])
        entry["seeds"] = entry["seeds"][:1]
    results["gain"]["errors"] = {
        "per_seed": [14.0],
        "mean": 14.0,
        "standard_error": None,
    }
    return results
