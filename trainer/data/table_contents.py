"""The checksums of a run's tables, which may move but not change once it has begun."""

from etils import epath

from trainer.data.examples import DataError
from trainer.data.source import Source
from trainer.data.tables import TableSource
from trainer.storage import files, seal
from trainer.storage.workdir import TABLES


def hold_contents(source: Source, index_dir: epath.Path, *, may_write: bool) -> None:
    """Compares the tables in use with those kept in `index_dir`, and keeps new ones.

    Raises:
      DataError: one has other rows than it had, or the file is damaged.
    """
    if not isinstance(source, TableSource):
        return
    kept_in = index_dir / TABLES
    kept = _read(kept_in) if files.exists(kept_in) else {}
    found = {
        name: source.fingerprint(name, num_ids=len(table))
        for name, table in source.tables.items()
    }
    for name, sha256 in found.items():
        if kept.get(name, sha256) != sha256:
            raise DataError(
                f"{source.tables[name].path} must hold the rows with which this run "
                f"began, whose SHA-256 is {kept[name]} in {kept_in}, got {sha256}; "
                "put them back, or start anew in another --workdir"
            )
    if may_write and kept | found != kept:
        files.write_json(kept_in, seal.add_checksum(kept | found))


def _read(path: epath.Path) -> dict[str, str]:
    try:
        with files.wrap_read_errors(path):
            kept = seal.parse(path.read_bytes())
        return {str(name): str(sha256) for name, sha256 in kept.items()}
    except (ValueError, AttributeError) as error:
        raise DataError(
            f"{path} must hold the SHA-256 of each table of the run, got something "
            f"else ({error}); remove it where the tables are unchanged"
        ) from error
