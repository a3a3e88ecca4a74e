"""The layers that a loss between layers can name: `python -m trainer layers`."""

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence

import keras
from etils import epath

from trainer import models
from trainer.cluster.termination import Termination
from trainer.config import EMBEDDING, Config, ConfigError
from trainer.session.networks import Networks
from trainer.session.opening import open_session

Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Layers:
    """The layers of one model that can be named, in the order of the model."""

    title: str
    shapes: dict[str, Shape]  # of one example, by the paths
    learned: frozenset[str]  # the paths of those with weights

    @property
    def stages(self) -> list[Shape]:
        """The sizes of maps on which it learns something, in the order they come."""
        learned = (self.shapes[path] for path in self.shapes if path in self.learned)
        return list(dict.fromkeys(shape[:-1] for shape in learned if len(shape) > 1))

    def last_of(self, stage: Shape) -> str:
        """The last layer whose map has the size of a stage."""
        return [path for path, s in self.shapes.items() if s[:-1] == stage][-1]


def print_layers(config: Config) -> None:
    """Prints the layers of each teacher and of the student, and pairs to compare.

    Raises:
      ConfigError, DataError: a model cannot be built, or not for these data.
    """
    # Of this process alone, which builds the models and trains nothing.
    runtime = dataclasses.replace(
        config.runtime, strategy="one_device", min_gpus=0, steps_per_execution=1
    )
    with tempfile.TemporaryDirectory(prefix="alambic-") as folder:
        session = open_session(
            dataclasses.replace(config, runtime=runtime),
            epath.Path(folder),
            None,
            Termination(
                grace_secs=runtime.grace_secs, watchdog_secs=runtime.watchdog_secs
            ),
            command="layers",
        )
        roles = [*config.teachers, "student"]
        *teachers, student = (_layers(session.networks, role) for role in roles)
    for layers in (*teachers, student):
        print("\n".join([layers.title, *_table(layers), ""]))
    for role, teacher in zip(config.teachers, teachers, strict=True):
        pairs = list(_pairs(student, teacher)) or ["  none of one size"]
        print("\n".join([f"pairs of student and {role}:", *pairs]))


def _layers(networks: Networks, role: str) -> _Layers:
    section = networks.config.networks[role]
    seed = getattr(section, "seed", networks.config.seeds[0])
    model = networks.build_alone(role, seed)
    shapes = dict(models.recordable(model, networks.inputs(role).examples()))
    if embedding := _embedding(networks, role, model):
        shapes[EMBEDDING] = embedding
    title = f"{role} {section.model}: {model.count_params():,} parameters"
    if not shapes:
        title += "; it has no layers to be named: a SavedModel gives its logits alone"
    layers = models.layers_by_path(model)
    learned = frozenset(p for p in shapes if p in layers and layers[p][0].weights)
    return _Layers(title=title, shapes=shapes, learned=learned)


def _embedding(networks: Networks, role: str, model: keras.Model) -> Shape:
    """The shape of the input of the last Dense layer; () where there is none."""
    try:
        taps = models.find_taps(model, [EMBEDDING], setting=role)
        examples = networks.inputs(role).examples()
        return models.shapes_of(model, taps, examples)[EMBEDDING]
    except ConfigError:
        return ()


def _table(layers: _Layers) -> Iterator[str]:
    """A row a layer: its stage, 1 for the first maps, its shape and its path."""
    if not layers.shapes:
        return
    numbers = {stage: i for i, stage in enumerate(layers.stages, start=1)}
    yield f"  {'stage':5}  {'shape':>14}  layer"
    for path, shape in layers.shapes.items():
        stage = numbers.get(shape[:-1], "")
        yield f"  {stage:>5}  {_text(shape):>14}  {path}"


def _pairs(student: _Layers, teacher: _Layers) -> Iterator[str]:
    """The last layers of each stage that both have, and what is before the logits."""
    for stage in student.stages:
        if stage in teacher.stages:
            yield _pair(student.last_of(stage), teacher.last_of(stage), student)
    if EMBEDDING in student.shapes and EMBEDDING in teacher.shapes:
        yield _pair(EMBEDDING, EMBEDDING, student)


def _pair(ours: str, theirs: str, student: _Layers) -> str:
    size = _text(student.shapes[ours][:-1]) or "vectors"
    return f'  {size}: student_layer = "{ours}", teacher_layer = "{theirs}"'


def _text(sizes: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in sizes)
