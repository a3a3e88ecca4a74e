"""Names by which other tools and papers call settings."""

from collections.abc import Mapping

from trainer.config.errors import MIXING

# By the name as typed, in lower case: the settings that are meant, the likeliest first.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("lr", "learningrate", "step_size", "eta"), ("learning_rate",)),
    **dict.fromkeys(
        ("batch_size", "batchsize", "batch", "bs", "train_batch_size"),
        ("global_batch_size",),
    ),
    **dict.fromkeys(
        ("epoch", "num_epochs", "n_epochs", "max_epochs", "nb_epoch"), ("epochs",)
    ),
    **dict.fromkeys(
        ("num_steps", "max_steps", "total_steps", "iterations", "iters"), ("steps",)
    ),
    **dict.fromkeys(("opt", "optim"), ("optimizer",)),
    **dict.fromkeys(
        ("lr_schedule", "scheduler", "lr_scheduler", "learning_rate_schedule"),
        ("schedule",),
    ),
    **dict.fromkeys(("warmup", "num_warmup_steps", "warm_up"), ("warmup_steps",)),
    **dict.fromkeys(("wd", "l2", "decay", "l2_regularization"), ("weight_decay",)),
    **dict.fromkeys(
        (
            *("clip", "grad_clip", "gradient_clip", "clipnorm", "max_grad_norm"),
            *("global_clipnorm", "gradient_clip_norm"),
        ),
        ("clip_norm",),
    ),
    **dict.fromkeys(("ema_decay", "moving_average"), ("ema",)),
    **dict.fromkeys(("smoothing", "smooth"), ("label_smoothing",)),
    **dict.fromkeys(("patience", "early_stopping"), ("patience_steps",)),
    **dict.fromkeys(
        ("monitor", "best_metric", "metric_for_best_model", "selection_metric"),
        ("select_by",),
    ),
    **dict.fromkeys(
        (
            *("grad_accum", "gradient_accumulation", "accumulation_steps"),
            *("gradient_accumulation_steps", "accumulate_grad_batches"),
        ),
        ("accumulate",),
    ),
    **dict.fromkeys(
        ("aug", "augmentation", "augmentations", "transform", "transforms"),
        ("augment",),
    ),
    **dict.fromkeys(
        ("hidden", "hidden_layers", "hidden_units", "units", "layers", "hidden_dims"),
        ("hidden_sizes",),
    ),
    **dict.fromkeys(("channels", "num_filters"), ("filters",)),
    **dict.fromkeys(("dropout_rate", "drop_rate"), ("dropout",)),
    **dict.fromkeys(("act", "nonlinearity"), ("activation",)),
    **dict.fromkeys(
        ("img_size", "resolution", "input_size", "input_shape", "size"),
        ("image_size",),
    ),
    **dict.fromkeys(("train", "train_set", "training_split"), ("train_split",)),
    **dict.fromkeys(
        ("val", "valid", "validation", "val_split", "valid_split", "dev_split"),
        ("validation_split",),
    ),
    **dict.fromkeys(("test", "test_set", "eval_split"), ("test_split",)),
    **dict.fromkeys(("path", "folder", "root", "source", "file"), ("dataset",)),
    **dict.fromkeys(("target", "label", "class_column", "labels"), ("label_column",)),
    **dict.fromkeys(("features", "columns"), ("feature_columns",)),
    **dict.fromkeys(
        ("class_weight", "weight_classes", "balanced", "pos_weight"),
        ("class_weights",),
    ),
    **dict.fromkeys(("num_workers", "workers", "threads"), ("num_threads",)),
    **dict.fromkeys(("seed", "random_seed", "random_state"), ("seeds", "seed")),
    **dict.fromkeys(
        ("arch", "architecture", "network", "backbone", "model_name"), ("model",)
    ),
    **dict.fromkeys(
        ("pretrained", "checkpoint", "ckpt", "weights_path", "init_from"), ("weights",)
    ),
    **dict.fromkeys(("t", "temp", "tau", "kd_temperature"), ("temperature",)),
    **dict.fromkeys(
        ("kd_weight", "soft_weight", "distill_weight", "lambda", "kd_alpha"),
        ("alpha",),
    ),
    **dict.fromkeys(("cache", "teacher_logits", "cache_logits"), ("soft_targets",)),
    **dict.fromkeys(("cache_dir",), ("soft_targets_dir",)),
    **dict.fromkeys(("losses", "loss"), ("terms",)),
    **dict.fromkeys(
        ("fp16", "amp", "mixed_precision", "dtype", "bf16"), ("precision",)
    ),
    **dict.fromkeys(("jit", "jit_compile", "compile"), ("xla",)),
    **dict.fromkeys(("gpus", "num_gpus", "n_gpus"), ("min_gpus",)),
    **dict.fromkeys(("distribution", "distribute", "devices"), ("strategy",)),
    **dict.fromkeys(
        (
            *("eval_every", "eval_steps", "eval_interval", "validation_freq"),
            "val_check_interval",
        ),
        ("eval_every_steps",),
    ),
    **dict.fromkeys(
        ("log_every", "logging_steps", "log_interval", "log_steps"),
        ("log_every_steps",),
    ),
    **dict.fromkeys(
        ("save_every", "save_steps", "save_interval", "checkpoint_every", "save_freq"),
        ("save_every_steps",),
    ),
    **dict.fromkeys(
        ("max_to_keep", "save_total_limit", "keep_last"), ("keep_checkpoints",)
    ),
    **dict.fromkeys(("fine_tune", "finetuning", "fine_tuning"), ("finetune",)),
    **dict.fromkeys(("dataset_name", "datasets"), ("data",)),
    **dict.fromkeys(("distillation", "kd"), ("distill",)),
    **dict.fromkeys(("grid", "grid_search"), ("study",)),
    **dict.fromkeys(("hpo", "tune", "tuner", "search"), ("sweep",)),
    **dict.fromkeys(("ensemble", "teachers"), ("members",)),
    **dict.fromkeys(("evaluation", "eval"), ("evaluate",)),
}

# What is no setting at all, and where it is said.
ELSEWHERE: Mapping[str, str] = {
    **MIXING,
    **dict.fromkeys(
        ("workdir", "output_dir", "out_dir", "log_dir", "save_dir", "outdir"),
        "the folder of a run's files is a flag: --workdir=DIR",
    ),
    **dict.fromkeys(
        ("num_classes", "n_classes", "classes", "num_labels"),
        "the classes are counted in the data; leave it out",
    ),
    **dict.fromkeys(
        ("shuffle",), "training examples are always shuffled; leave it out"
    ),
    **dict.fromkeys(
        ("normalize", "normalization", "rescale", "mean", "std"),
        "each model normalises its inputs itself; leave it out",
    ),
    **dict.fromkeys(
        ("verbose", "debug"), "what a run prints is no setting; leave it out"
    ),
    **dict.fromkeys(
        ("resume", "restore", "auto_resume"),
        "a run started again with the same --workdir goes on; leave it out",
    ),
    **dict.fromkeys(
        ("baseline",),
        "the baseline is the student's network, trained by [student.train]; leave "
        "it out",
    ),
}
