"""MLflow: runs within runs, their numbers and files, and versions of its registry.

`mlflow-skinny` is an optional extra. What it asks for over HTTP it tries again for
minutes, so that a server is called by a plain connection first.
"""

import contextlib
import importlib.util
import logging
import pathlib
import re
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from trainer.config import MlflowOptions
from trainer.tracking.tracker import Line, TrackedRun

_SQLITE = "sqlite:///"
_CONNECT_SECS = 5.0
_KEY, _STEP = "alambic.key", "alambic.step"  # tags
# MLflow's own bounds on one request, and on names and values.
_MOST_METRICS, _MOST_PARAMS, _MOST_CHARACTERS = 1000, 100, 500
_NO_NAME = re.compile(r"[^\w/.\- ]+")


def missing(options: MlflowOptions) -> list[str]:
    """The packages that are not installed."""
    packages = ["mlflow"]
    if options.uri.startswith(_SQLITE):
        packages += ["sqlalchemy", "alembic"]
    return [name for name in packages if not importlib.util.find_spec(name)]


class MlflowTracker:
    """See trainer.tracking.Tracker."""

    def __init__(self, options: MlflowOptions, *, experiment: str) -> None:
        """Opens the store, and makes the experiment where there is none."""
        self._options = options
        self._check_answers()
        for name in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.WARNING)
        from mlflow import MlflowClient

        if options.uri.startswith(_SQLITE):
            self._database.parent.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri=options.uri, registry_uri=options.uri)
        self._experiment = self._find_experiment(options.experiment or experiment)
        self._ids: dict[str, str] = {}  # MLflow's own, by our keys

    def begin(self, run: TrackedRun) -> int:
        """Finds the run by the tag of its key, or makes it."""
        self._check_answers()
        found = self._find(run.key)
        if found is None:
            self._make(run)
            return -1
        return int(found.data.tags.get(_STEP, -1))

    def log(self, run: TrackedRun, lines: Sequence[Line]) -> None:
        """Logs metrics, in requests of whole lines, with the step that they reach."""
        from mlflow.entities import Metric, RunTag

        self._check_answers()
        now = round(1000 * time.time())
        for part in _parts(lines):
            metrics = [
                Metric(_name(name), value, now, step)
                for step, values in part
                for name, value in values.items()
            ]
            tags = [RunTag(_STEP, str(part[-1][0]))]
            self._client.log_batch(self._ids[run.key], metrics=metrics, tags=tags)

    def keep(self, run: TrackedRun, file: pathlib.Path, folder: str) -> None:
        """Logs an artefact."""
        self._check_answers()
        self._client.log_artifact(self._ids[run.key], str(file), folder or None)

    def end(self, run: TrackedRun, *, failed: bool) -> None:
        """Ends the run, and registers its model where that is asked for."""
        self._check_answers()
        own, name = self._ids[run.key], self._options.register_as
        status = "FAILED" if failed else "FINISHED"
        self._client.set_terminated(own, status)
        if not (name and run.is_chosen):
            return
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # it is there
            self._client.create_registered_model(name)
        if not self._client.search_model_versions(f"name='{name}' and run_id='{own}'"):
            source = f"runs:/{own}/model"
            self._client.create_model_version(name, source, run_id=own)

    @property
    def _database(self) -> pathlib.Path:
        return pathlib.Path(self._options.uri.removeprefix(_SQLITE)).absolute()

    def _find_experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = self._options.artifacts or None
        if place is None and self._options.uri.startswith(_SQLITE):
            # MLflow would have them in mlruns/ of the working directory.
            place = str(self._database.parent / "mlartifacts" / _name(name))
        return str(self._client.create_experiment(name, artifact_location=place))

    def _find(self, key: str) -> Any:
        """The run of a key; None where there is none."""
        query = f"tags.`{_KEY}` = '{key}'"
        for found in self._client.search_runs([self._experiment], filter_string=query):
            self._ids[key] = found.info.run_id
            return found
        return None

    def _make(self, run: TrackedRun) -> None:
        from mlflow.entities import Param

        tags = {_KEY: run.key}
        if run.parent and (run.parent in self._ids or self._find(run.parent)):
            tags["mlflow.parentRunId"] = self._ids[run.parent]
        made = self._client.create_run(self._experiment, tags=tags, run_name=run.name)
        self._ids[run.key] = made.info.run_id
        params = [
            Param(_name(name), str(value)[:_MOST_CHARACTERS])
            for name, value in run.settings.items()
        ]
        for first in range(0, len(params), _MOST_PARAMS):
            part = params[first : first + _MOST_PARAMS]
            self._client.log_batch(made.info.run_id, params=part)

    def _check_answers(self) -> None:
        """Connects to a server.

        Raises:
          OSError: it does not answer.
        """
        url = urllib.parse.urlsplit(self._options.uri)
        if url.scheme not in ("http", "https") or url.hostname is None:
            return
        is_direct = urllib.request.proxy_bypass(url.hostname)
        if url.scheme in urllib.request.getproxies() and not is_direct:
            return
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname, port), _CONNECT_SECS).close()


def _name(name: str) -> str:
    """A name as MLflow takes it: "teacher.members[0].model" has no brackets there."""
    return _NO_NAME.sub(".", name).replace("..", ".")


def _parts(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Stretches of lines, each of no more metrics than a request takes."""
    part: list[Line] = []
    count = 0
    for line in lines:
        if part and count + len(line[1]) > _MOST_METRICS:
            yield part
            part, count = [], 0
        part.append(line)
        count += len(line[1])
    if part:
        yield part
