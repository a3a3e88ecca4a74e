"""The model that predicts, and the names of its classes. C = classes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
from etils import epath

from trainer import data, models, registry, report
from trainer.config import (
    Config,
    ConfigError,
    DataConfig,
    EvaluateView,
    MemoryOptions,
    NoRun,
    PredictConfig,
    SavedOptions,
    colour_of,
    is_reference,
    reference,
)
from trainer.config.functions import import_function
from trainer.devices import distribution
from trainer.predict.example_reader import Reader
from trainer.predict.images import ImageReader
from trainer.predict.rows import RowReader
from trainer.storage import files, kinds, workdir


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A model of uint8 images, or of rows, to logits, those at temperature 1."""

    model: keras.Model
    class_names: tuple[str, ...]  # C
    reader: Reader  # of what it takes
    role: str = "student"


def open_network(settings: Config | NoRun, path: epath.Path | None) -> Network:
    """The student that the run in the workdir `path` selected, or predict.model.

    The classes are those that the model's own file says, else the run's; else their
    names are their numbers.

    Raises:
      ConfigError: there is no model, it is none of images or of rows whose features
        are known, or has other classes.
      ReportError: the run has not been evaluated.
    """
    model = settings.predict.model
    if is_reference(model):
        return _registered_network(settings)
    if model:
        behind = _run_background(settings, path) if path else DataConfig.background
        view = EvaluateView()
        if path and isinstance(settings, Config):
            view = settings.data.view
        return _file_network(
            settings.predict, settings.predict.saved, path, behind, view
        )
    if path is None or not isinstance(settings, Config):
        raise ConfigError(
            "--workdir must name the folder of a finished run, or predict.model a "
            ".keras file, got neither; for example --workdir=runs/mine"
        )
    return _run_network(settings, path)


def _registered_network(settings: Config | NoRun) -> Network:
    named = reference(settings.predict.model, setting="predict.model")
    root = registry.root_of(settings.registry)
    file = registry.model_of(root, named)
    options = dataclasses.replace(settings.predict.saved, path=str(file))
    behind = registry.background_of(file)
    return _file_network(settings.predict, options, None, behind, EvaluateView())


def _file_network(
    section: PredictConfig,
    options: SavedOptions,
    run: epath.Path | None,
    behind: Any,
    view: EvaluateView,
) -> Network:
    model = models.alone(options, setting="predict.model")
    num_classes = model.output_shape[-1]
    file = files.path_of(options.path, setting="predict.model")
    names, known = registry.names_of_file(file), registry.view_of_file(file)
    if names is None and run is not None:
        names = report.read_classes(run)[0]
    if names is None:
        names = [str(label) for label in range(num_classes)]
    if len(names) != num_classes:
        raise ConfigError(
            f"predict.model must have the {len(names)} classes of the run in "
            f"--workdir, got {options.path!r} with {num_classes}; leave "
            "--workdir out to have classes called by their numbers, or give another "
            "file"
        )
    reader: Reader
    if len(model.input_shape) == 2:
        reader = _row_reader(model, registry.columns_of_file(file), options.path)
    else:
        reader = ImageReader(
            shape=model.input_shape[1:],
            view=section.view(known or view),
            background=colour_of(section.background or behind),
        )
    return Network(
        model=model,
        class_names=tuple(names),
        reader=reader,
        role=registry.role_of_file(file),
    )


def _row_reader(model: keras.Model, columns: tuple[str, ...], path: str) -> RowReader:
    """The reader of the rows that the model of the file at `path` takes."""
    if len(columns) != model.input_shape[-1]:
        raise ConfigError(
            f"{path} must come with the names of its {model.input_shape[-1]} features, "
            f"as runs, exports and registries write them, got {len(columns)}; "
            "predict by the run's --workdir, or export or register its model again"
        )
    return RowReader(columns=columns, dtype=model.inputs[0].dtype)


def _run_background(settings: Config | NoRun, path: epath.Path) -> Any:
    """The background in the images that the run in the workdir `path` learned from."""
    # A run of another config may have been refused in its workdir since.
    index_dir = path / workdir.LISTS
    kept = data.read_background(index_dir) or data.begun_background(index_dir)
    if kept or not isinstance(settings, Config):
        return kept or DataConfig.background
    return settings.data.background


def _run_network(config: Config, path: epath.Path) -> Network:
    """Builds and loads the network as the run did to evaluate it."""
    kinds.check_one_run(path)
    names, shape = report.read_classes(path)
    if config.data.is_table:
        return _table_network(config, path, names)
    reader = _image_reader(config, path, shape)
    name, options = config.student.model, config.student.options
    folder = workdir.training_folder(path, "student", config.seeds[0])
    if isinstance(options, MemoryOptions):
        # The program that had it may be gone, and its file is whole.
        model = _whole_file(folder / workdir.FINISHED)
        return Network(model=model, class_names=tuple(names), reader=reader)
    if isinstance(options, SavedOptions) and is_reference(options.path):
        file = registry.locked_models(config, path)[options.path]
        options = dataclasses.replace(options, path=file)
    inputs = models.Inputs(shape=shape, image_size=config.student.image_size)
    model = models.build(
        name,
        options,
        inputs=inputs,
        num_classes=len(names),
        seed=config.seeds[0],
        precision=distribution.precision(config.student.precision, config.runtime),
        setting="student",
    )
    models.load_weights(
        model,
        str(folder / workdir.FINISHED),
        setting="what the student stage left",
        hint="put the file back that the student stage wrote",
    )
    return Network(model=model, class_names=tuple(names), reader=reader)


def _table_network(config: Config, path: epath.Path, names: Sequence[str]) -> Network:
    """Loads the file of the student, which has the statistics of its features."""
    if ":" in config.student.model:
        # Its classes of layers are known from then on.
        import_function(config.student.model, setting="student.model")
    folder = workdir.training_folder(path, "student", config.seeds[0])
    file = folder / workdir.FINISHED
    model = _whole_file(file)
    columns = registry.columns_of_file(file) or _columns_of_table(config, path)
    return Network(
        model=model,
        class_names=tuple(names),
        reader=_row_reader(model, columns, str(file)),
    )


def _whole_file(file: epath.Path) -> keras.Model:
    options = SavedOptions(path=str(file), input="zero_to_255")
    return models.alone(options, setting="predict.model")


def _columns_of_table(config: Config, path: epath.Path) -> tuple[str, ...]:
    """The features of the run's own table: of an earlier version, it kept none.

    Raises:
      DataError: the table is gone, or is no longer what the run has learned from.
    """
    index_dir = path / workdir.LISTS
    source = data.open_source(config.data, index_dir, may_write=False)
    data.hold_contents(source, index_dir, may_write=False)
    return data.feature_names(source)


def _image_reader(
    config: Config, path: epath.Path, shape: tuple[int, ...]
) -> ImageReader:
    """The reader of what a run's models take, which must be images of a `shape`."""
    dtype = data.begun_dtype(path / workdir.LISTS)
    if len(shape) != 3 or dtype not in ("", "uint8"):
        takes = f"{dtype or 'uint8'} of shape {list(shape)}"
    elif shape[-1] not in (1, 3):
        takes = f"images of {shape[-1]} channels"
    else:
        height, width, channels = shape
        behind = config.predict.background or _run_background(config, path)
        return ImageReader(
            shape=(height, width, channels),
            view=config.predict.view(config.data.view),
            background=colour_of(behind),
        )
    raise ConfigError(
        f"predict takes images or tables, got --workdir={path}, whose models take "
        f"{takes}; its predictions.npz holds the predictions for the test split"
    )
