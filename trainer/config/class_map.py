"""Classes of a teacher that are not those of the data, and which of these they are."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.config.distill import Distill
from trainer.config.errors import ConfigError, check_known, header, quoted


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassMap:
    """The classes of a teacher that each class of the data stands for."""

    groups: tuple[tuple[int, ...], ...]  # of each of the data's: some of the teacher's
    num_left_out: int  # of the teacher's: in no group

    @property
    def text(self) -> str:
        """One clause for people."""
        num_joined = sum(map(len, self.groups))
        return (
            f"{num_joined:,} of the teacher's {num_joined + self.num_left_out:,} "
            f"classes are the data's {len(self.groups):,}, {self.num_left_out:,} are "
            "left out"
        )


def resolve_class_map(
    class_map: Mapping[str, str],
    *,
    teacher: Sequence[str],
    data: Sequence[str],
    setting: str,
) -> ClassMap:
    """The groups of `class_map`, from names of the `teacher` to those of the `data`.

    A class of the teacher that is absent, or stands for "", is left out.

    Raises:
      ConfigError: it names what is not there, leaves a class of the data without any
        of the teacher's, or says nothing of a class that both have.
    """
    _check_names(class_map, teacher, data, setting)
    numbers = {name: i for i, name in enumerate(teacher)}
    groups = {
        name: tuple(sorted(numbers[k] for k, v in class_map.items() if v == name))
        for name in data
    }
    if empty := [name for name, group in groups.items() if not group]:
        raise ConfigError(
            f"{setting} must have a class of the teacher for each of the data's "
            f"{len(groups)}, got none for {quoted(empty)}; add one"
        )
    num_left_out = len(teacher) - sum(map(len, groups.values()))
    return ClassMap(groups=tuple(groups.values()), num_left_out=num_left_out)


def _check_names(
    class_map: Mapping[str, str],
    teacher: Sequence[str],
    data: Sequence[str],
    setting: str,
) -> None:
    rule = f"{setting} must name classes of the teacher"
    check_known(class_map.keys(), teacher, rule)
    if twice := sorted(name for name in class_map if teacher.count(name) > 1):
        raise ConfigError(
            f"{rule} that have a name of their own, got {quoted(twice)}, as several "
            "of them are called; rename them where their names are written"
        )
    targets = [name for name in class_map.values() if name]
    check_known(targets, data, f"{setting} must stand for classes of the data")
    unsaid = sorted((set(teacher) & set(data)) - class_map.keys())
    if unsaid:
        raise ConfigError(
            f"{setting} must say what becomes of a class that teacher and data both "
            f'have, got nothing of {quoted(unsaid)}; write "{unsaid[0]}" = '
            f'"{unsaid[0]}", or "" to leave it out'
        )


def check(distill: Distill, teachers: Mapping[str, Any], *, exported: str) -> None:
    """Refuses maps where nothing can be mapped, or no loss could use what they give.

    `teachers` are of trainer.config.schema.TeacherConfig, `exported` is the role of the
    model that leaves the run.
    """
    maps = {"distill": distill.class_map}
    maps |= {path: teacher.class_map for path, teacher in teachers.items()}
    for path, teacher in teachers.items():
        if teacher.class_map is None and teacher.class_names:
            raise ConfigError(
                f"{path}.class_names needs {path}.class_map, got "
                f"{teacher.class_names!r} and none; add it, or remove the names"
            )
        if teacher.class_map is not None and (teacher.train or teacher.head):
            raise ConfigError(
                f"{path}.class_map must be of a teacher that is used as it is, got "
                f"[{header(path)}.train], which teaches it the classes of the data; "
                "remove one of both"
            )
    if maps.get(exported) is not None:
        raise ConfigError(
            f"export.role must be a model of the data's classes, got {exported!r}, "
            f"which has a class_map; its file is where {exported} has it from"
        )
    for path, found in maps.items():
        if found is not None:
            _check_losses(f"{path}.class_map", distill)


def _check_losses(setting: str, distill: Distill) -> None:
    if distill.is_cached and distill.top_k:
        raise ConfigError(
            f"distill.top_k must be 0 with {setting}, because classes that are not "
            f"kept cannot be joined, got {distill.top_k}; set it to 0"
        )
    for i, term in enumerate(distill.terms):
        if term.row.beside == "classifier":
            raise ConfigError(
                f"distill.terms[{i}], loss {term.loss!r}, compares what the teacher's "
                f"last layer says of its own classes, got {setting}; use loss 'hint'"
            )
