"""Answers of a teacher from elsewhere, in files that any framework writes.

Shapes: N = rows of a file, K = the teacher's classes, D = values of an embedding.
"""

import dataclasses
import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from trainer.config import ConfigError
from trainer.config.errors import nearest, some_names
from trainer.data.class_names import text_of
from trainer.data.table_files import npz_arrays
from trainer.models.checks import is_probabilities
from trainer.soft_targets.errors import SoftTargetsError
from trainer.storage import files, json_text

PARTS = ("train", "unlabeled", "validation", "test")
_FILE = re.compile(rf"({'|'.join(PARTS)})(-.*)?\.(npz|parquet)")
_NAMES = "class_names.txt"  # beside the files, for those that do not say them

_KINDS = ("logits", "probabilities")
_ARRAYS = ("id", *_KINDS, "class_names", "embedding", "view")
_TOLERANCE = 1e-3  # of a sum of probabilities, which float16 rounds by half of it
_TINY = float(np.finfo(np.float32).tiny)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers in one file; each number in them is finite."""

    path: epath.Path
    ids: np.ndarray  # int64 [N], or text [N]: names of files
    logits: np.ndarray  # float32 [N, K]
    class_names: tuple[str, ...]  # K
    views: np.ndarray | None  # int64 [N]; None: they are of no view
    embedding: np.ndarray | None  # float32 [N, D]

    def ordered(self, class_names: Sequence[str]) -> "Answers":
        """The same with the classes in another order, by their names."""
        if self.class_names == tuple(class_names):
            return self
        places = {name: i for i, name in enumerate(self.class_names)}
        columns = [places[name] for name in class_names]
        return dataclasses.replace(
            self, logits=self.logits[:, columns], class_names=tuple(class_names)
        )


def find(folder: epath.Path) -> dict[str, list[epath.Path]]:
    """The files of each part that has some, in the order of their names.

    Raises:
      SoftTargetsError: there are none, or one is of no part.
    """
    found: dict[str, list[epath.Path]] = {}
    for path in sorted(files.list_folder(folder), key=lambda path: path.name):
        part = part_of(path.name)
        if part:
            found.setdefault(part, []).append(path)
        elif path.suffix in (".npz", ".parquet"):
            raise SoftTargetsError(
                f"{path} must be called PART.npz, PART.parquet or PART-anything.npz, "
                f"where PART is one of {', '.join(PARTS)}, got another name; rename it"
            )
    if not found:
        raise SoftTargetsError(
            f"distill.soft_targets_dir must hold answers as train.npz or "
            f"train.parquet, got {folder} with none; see docs/imported.md"
        )
    return found


def part_of(name: str) -> str:
    """The part that a file of this name has answers on; "" of other files."""
    match = _FILE.fullmatch(name)
    return match[1] if match else ""


def read(path: epath.Path) -> Answers:
    """Reads a file whole.

    Raises:
      SoftTargetsError, DataError: it is damaged, an array is missing, unknown or of
        another shape, a number is not finite, or probabilities do not sum to 1.
      ConfigError: nothing here reads Parquet.
    """
    arrays = _parquet(path) if path.suffix == ".parquet" else npz_arrays(str(path))
    known = {name: x for name, x in arrays.items() if not name.startswith("__")}
    if unknown := [name for name in known if name not in _ARRAYS]:
        raise _wrong(
            path,
            f"hold {', '.join(_ARRAYS)} and nothing else",
            f"{unknown[0]!r}; {nearest(unknown[0], _ARRAYS)}",
        )
    kinds = [name for name in _KINDS if name in known]
    if len(kinds) != 1 or "id" not in known:
        found = ", ".join(known) or "nothing"
        raise _wrong(path, "hold id, and either logits or probabilities", found)
    ids = _ids(path, known["id"])
    values = _matrix(path, kinds[0], known[kinds[0]], ids)
    embedding = known.get("embedding")
    if embedding is not None:
        embedding = _matrix(path, "embedding", embedding, ids)
    return Answers(
        path=path,
        ids=ids,
        logits=_logits(path, kinds[0], values, ids),
        class_names=_class_names(path, known.get("class_names"), values.shape[1]),
        views=_views(path, known.get("view"), len(ids)),
        embedding=embedding,
    )


def _ids(path: epath.Path, ids: np.ndarray) -> np.ndarray:
    if ids.ndim != 1 or not len(ids) or ids.dtype.kind not in "iuUS":
        raise _wrong(
            path,
            "hold id as a list of whole numbers, or of names of files",
            f"{ids.dtype} of shape {list(ids.shape)}",
        )
    if ids.dtype.kind == "S":
        return np.array([name.decode() for name in ids.tolist()])
    return ids if ids.dtype.kind == "U" else ids.astype(np.int64)


def _matrix(
    path: epath.Path, name: str, values: np.ndarray, ids: np.ndarray
) -> np.ndarray:
    """Numbers of each row as float32 [N, ...], all of them finite."""
    if values.ndim != 2 or len(values) != len(ids) or values.dtype.kind not in "fiu":
        raise _wrong(
            path,
            f"hold {name} as numbers [{len(ids)}, ...], a row for each id",
            f"{values.dtype} of shape {list(values.shape)}",
        )
    with np.errstate(over="ignore"):
        numbers: np.ndarray = values.astype(np.float32)
    _refuse_rows(
        path, ~np.isfinite(numbers).all(axis=1), ids, f"{name} that are finite numbers"
    )
    return numbers


def _logits(
    path: epath.Path, kind: str, values: np.ndarray, ids: np.ndarray
) -> np.ndarray:
    if values.shape[1] < 2:
        raise _wrong(path, f"hold {kind} of two classes or more", str(values.shape[1]))
    if kind == "logits":
        if is_probabilities(values):
            raise _wrong(
                path,
                "hold logits under that name",
                "probabilities (no value is below 0, and all of a row sum to 1); call "
                "the array probabilities",
            )
        return values
    sums = values.sum(axis=1, dtype=np.float64)
    broken = (values < 0).any(axis=1) | (np.abs(sums - 1) > _TOLERANCE)
    what = f"probabilities from 0 on that sum to 1 (to {_TOLERANCE:g})"
    worst = f", the first with a sum of {sums[broken][0]:.4g}" if broken.any() else ""
    _refuse_rows(path, broken, ids, what, worst)
    logits: np.ndarray = np.log(np.maximum(values, _TINY))
    return logits


def _views(path: epath.Path, views: np.ndarray | None, count: int) -> np.ndarray | None:
    if views is None:
        return None
    if views.shape != (count,) or views.dtype.kind not in "iu":
        raise _wrong(
            path,
            f"hold view as {count} whole numbers, one for each id",
            f"{views.dtype} of shape {list(views.shape)}",
        )
    return views.astype(np.int64)


def _class_names(
    path: epath.Path, names: np.ndarray | None, num_classes: int
) -> tuple[str, ...]:
    beside = path.parent / _NAMES
    if names is None:
        content = files.read(beside)
        if content is None:
            raise _wrong(
                path,
                f"hold class_names, in the order of its {num_classes} columns",
                f"none, and no {beside}; add one of both",
            )
        names = np.array(content.decode("utf-8-sig").splitlines())
    if names.shape != (num_classes,) or names.dtype.kind not in "USiu":
        raise _wrong(
            path,
            f"have {num_classes} class_names, one for each column",
            f"{names.dtype} of shape {list(names.shape)}",
        )
    try:
        return tuple(text_of(name) for name in names.tolist())
    except ValueError as error:
        raise _wrong(path, "have class_names that are texts", str(error)) from error


def _parquet(path: epath.Path) -> Mapping[str, np.ndarray]:
    if not importlib.util.find_spec("pyarrow"):
        raise ConfigError(
            f"{path} must have pyarrow to be read, got no such package; run pip "
            "install '.[parquet]', or write .npz"
        )
    import pyarrow
    import pyarrow.parquet

    try:
        with files.open_for_reading(path) as file:
            table = pyarrow.parquet.read_table(file)
    except (OSError, pyarrow.ArrowException) as error:
        raise _wrong(path, "be a Parquet file", f"an error: {error}") from error
    arrays = {name: _column(path, name, table[name]) for name in table.column_names}
    told = (table.schema.metadata or {}).get(b"class_names")
    if told is not None:
        try:
            arrays["class_names"] = np.array(json_text.parse(told))
        except ValueError as error:
            rule = "have class_names in its metadata as a list in JSON"
            raise _wrong(path, rule, f"an error: {error}") from error
    return arrays


def _column(path: epath.Path, name: str, column: Any) -> np.ndarray:
    """A column as an array: of lists [N, ...], of other cells [N]."""
    import pyarrow
    import pyarrow.compute

    values = column.combine_chunks()
    if values.null_count:
        raise _wrong(
            path, f"have a {name} in each row", f"{values.null_count} empty cells"
        )
    if not pyarrow.types.is_nested(values.type):
        cells: np.ndarray = values.to_numpy(zero_copy_only=False)
        return cells.astype(str) if cells.dtype == object else cells
    lengths = pyarrow.compute.unique(pyarrow.compute.list_value_length(values))
    if len(lengths) != 1:
        raise _wrong(
            path,
            f"have lists of one length in {name}",
            f"lengths {some_names(sorted(lengths.to_pylist()))}",
        )
    flat: np.ndarray = values.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(values), -1)


def _refuse_rows(
    path: epath.Path, are_broken: np.ndarray, ids: np.ndarray, rule: str, more: str = ""
) -> None:
    if are_broken.any():
        raise _wrong(
            path,
            f"hold {rule}",
            f"others in {are_broken.sum():,} of {len(ids):,} rows (id "
            f"{some_names(ids[are_broken].tolist())}{more})",
        )


def _wrong(path: epath.Path, rule: str, found: str) -> SoftTargetsError:
    return SoftTargetsError(
        f"{path} must {rule}, got {found}; write it anew as docs/imported.md says"
    )
