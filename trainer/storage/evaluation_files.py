"""Files of a workdir that help to read its results, and that a run can do without."""

FOLDER = "evaluation"
INFERENCE_TIMES = "evaluation/inference_times.json"
ENVIRONMENT = "evaluation/environment.json"  # versions and devices
THUMBNAILS = "evaluation/thumbnails.npz"  # small images of test examples
ROWS = "evaluation/rows.npz"  # features of test examples of a table
