"""The part of a page that says how its run, or its many runs, are reproduced."""

import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from trainer.config import MEMORY
from trainer.config.toml_text import toml_text
from trainer.report import beside
from trainer.report.inputs import History, Inputs, read_config, read_histories
from trainer.report.section import Section
from trainer.storage import files
from trainer.storage.evaluation_files import ENVIRONMENT
from trainer.storage.workdir import CELLS, CONFIG, ROLES

# Of each pair one has to be left out.
_EITHER = (("steps", "epochs"), ("warmup_steps", "warmup_epochs"))
_VERSIONS = ("alambic", "python", "tensorflow", "keras", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A file, the command that runs it, and where that was done."""

    file: str
    command: str  # "" of a Python program's own objects
    toml: str
    facts: tuple[tuple[str, str], ...]


def section(found: Inputs) -> Section:
    """The run's config as a file, its command, versions, devices and minutes."""
    taken = minutes(found.config, found.histories)
    return _section("run", found.config, found.environment, taken)


def section_of_cells(
    command: str, workdir: epath.Path, cells: Iterable[str], **more: Any
) -> Section:
    """The same of a command that trains the `cells` in the workdir.

    Its config is the one kept there, and `more` sections.

    Raises:
      ReportError: a file there is missing or malformed.
    """
    taken = 0.0
    environment: dict[str, Any] = {}
    for path in (workdir, *(workdir / CELLS / name for name in cells)):
        if not files.exists(path / CONFIG):
            continue
        histories = {role: read_histories(path / role) for role in ROLES}
        taken += minutes(read_config(path), histories)
        environment = environment or beside.read(path / ENVIRONMENT)
    return _section(command, read_config(workdir) | more, environment, taken)


def _section(
    command: str,
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    taken: float,
) -> Section:
    name = _file_name(config)
    words = ["python", "-m", "trainer", command, f"--config={name}.toml"]
    words.append(f"--workdir={folder(config)}")
    return Section(
        name="reproduce",
        title="How to reproduce it",
        part="reproduction",
        content=Reproduction(
            file=f"{name}.toml",
            command="" if is_of_objects(config) else shlex.join(words),
            toml=toml_text(without_nothing(config)),
            facts=tuple(_facts(environment, taken)),
        ),
        note="The same config gives the same examples in the same order and the same "
        "initial weights; other devices and versions round differently.",
    )


def folder(config: Mapping[str, Any]) -> str:
    """The workdir in the commands of a page, which is not of one machine."""
    return f"runs/{_file_name(config)}"


def without_nothing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved config as TOML can say it, which has no word for nothing."""
    found = {name: value for name, value in settings.items() if value is not None}
    for first, second in _EITHER:
        if found.keys() >= {first, second}:
            del found[second if found[first] else first]
    return {name: _without(value) for name, value in found.items()}


def minutes(
    config: Mapping[str, Any], histories: Mapping[str, Sequence[History]]
) -> float:
    """The minutes that the trainings of a run took, by their logged speeds."""
    secs = 0.0
    for role, runs in histories.items():
        batch = _batch_size(config, role)
        secs += sum(_secs(history, batch) for history in runs)
    return secs / 60


def is_of_objects(config: Mapping[str, Any]) -> bool:
    """Whether a Python program gave data or models that no file names."""
    teacher = config.get("teacher") or {}
    sections = [teacher, config.get("student") or {}, *(teacher.get("members") or ())]
    models = [section.get("model") for section in sections]
    dataset = str((config.get("data") or {}).get("dataset"))
    return MEMORY in models or dataset.startswith(f"{MEMORY}:")


def _without(value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_nothing(value)
    return [_without(item) for item in value] if isinstance(value, list) else value


def _file_name(config: Mapping[str, Any]) -> str:
    name = str(config.get("name", "run"))
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    return kept.strip("-.") or "run"


def _facts(known: Mapping[str, Any], taken: float) -> Iterator[tuple[str, str]]:
    versions = [f"{name} {known[name]}" for name in _VERSIONS if name in known]
    if versions:
        yield "versions", ", ".join(versions)
    if known.get("git"):
        changed = ", with changes" if known["git"].get("is_changed") else ""
        yield "git revision", f"{known['git'].get('revision')}{changed}"
    if "machine" in known:
        yield "machine", str(known["machine"])
    if "devices" in known:
        yield "devices", str(known["devices"])
    if taken:
        yield "training", f"{taken:.3g} minutes of steps, all models together"


def _batch_size(config: Mapping[str, Any], role: str) -> int:
    section = {"baseline": "student", "member": "teacher"}.get(role, role)
    train = config.get(section) or {}
    if "members" in train:
        train = train["members"][0]
    if section != "finetune":
        train = train.get("train") or {}
    return int(train.get("global_batch_size") or 0)


def _secs(history: Iterable[Mapping[str, Any]], batch: int) -> float:
    secs, before = 0.0, 0
    for row in history:
        if rate := row.get("perf/examples_per_sec"):
            secs += batch * (row["step"] - before) / rate
            before = row["step"]
    return secs
