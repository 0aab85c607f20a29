"""The tracker `mlflow`: a run of MLflow for a run of ours, on a server or in a database.

RUN/mlflow.json holds a token that the MLflow run is tagged with, and is written before that run is made: so there is
one MLflow run, whenever the process was killed. All numbers of an iteration are sent at once, and behind its pictures.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nat_core.contracts import TrackedIteration
from nat_core.durable import publish_text
from nat_core.errors import ConfigError
from nat_core.extras import needed
from nat_trackers.drawing import figure
from nat_trackers.following import table

_LAST = "archive/measured"  # every iteration has it
_TAG = "nat.token"
_MOST = 100  # parameters in a request
_LONGEST = 500  # characters of a parameter, which every server takes
# A search is not to wait four minutes for a server that is gone, as MLflow's own defaults would; and following a run is
# no consent to tell MLflow's authors of it.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class MLflow:
    """Metrics by iteration, the front as Markdown and as a picture, and the run's parameters."""

    def __init__(self, uri: str | None, experiment: str) -> None:
        if uri is not None and urlsplit(uri).password is not None:
            raise ConfigError(
                "mlflow.uri holds a password, which would be written into the run folder: set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment instead"
            )
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        needed("mlflow", "the tracker mlflow", "mlflow")
        self.uri, self.experiment = uri, experiment
        self._client: Any = None
        self._run = ""

    def begin(self, folder: Path, name: str, parameters: Mapping[str, str]) -> list[int]:
        """The iterations whose numbers the MLflow run has."""
        with _quiet():
            self._client = needed("mlflow", "the tracker mlflow", "mlflow").MlflowClient(tracking_uri=self.uri)
            self._run = self._found(_token(folder), name)
            param = needed("mlflow.entities", "the tracker mlflow", "mlflow").Param
            sent = [param(_key(n), value[:_LONGEST]) for n, value in parameters.items()]
            known = self._client.get_run(self._run).data.params  # which cannot be changed
            for some in _parts([p for p in sent if p.key not in known]):
                self._client.log_batch(self._run, params=some)
            return [metric.step for metric in self._client.get_metric_history(self._run, _LAST)]

    def note(self, found: TrackedIteration) -> None:
        """Send an iteration."""
        metric, now = needed("mlflow.entities", "the tracker mlflow", "mlflow").Metric, int(time.time() * 1000)
        with _quiet():
            if len(found.front):
                text = table(found.names, found.architectures, found.front)
                self._client.log_text(self._run, text + "\n", "front.md")
                self._client.log_figure(self._run, figure(found), "front.png")
            values = [metric(_key(name), value, now, found.iteration) for name, value in found.scalars.items()]
            self._client.log_batch(self._run, metrics=values)

    def finish(self) -> None:
        """The run is complete."""
        with _quiet():
            self._client.set_terminated(self._run, "FINISHED")

    def _found(self, token: str, name: str) -> str:
        """The id of the MLflow run with a token, a new one where there is none."""
        known = self._client.get_experiment_by_name(self.experiment)
        where = self._client.create_experiment(self.experiment) if known is None else known.experiment_id
        runs = self._client.search_runs([where], filter_string=f"tags.`{_TAG}` = '{token}'", max_results=1)
        if runs:
            self._client.update_run(runs[0].info.run_id, status="RUNNING")
            return str(runs[0].info.run_id)
        return str(self._client.create_run(where, run_name=name, tags={_TAG: token}).info.run_id)


def _token(folder: Path) -> str:
    """What the MLflow run of a folder is known by; made once."""
    file = folder / "mlflow.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        token = json.loads(file.read_text(encoding="utf-8"))["token"]
        if isinstance(token, str) and re.fullmatch(r"[0-9a-f]{32}", token):
            return token
    token = uuid.uuid4().hex
    publish_text(file, json.dumps({"token": token}) + "\n")
    return token


def _key(name: str) -> str:
    """A name as MLflow takes it."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:250]


def _parts(items: list[Any]) -> Iterator[list[Any]]:
    return (items[i : i + _MOST] for i in range(0, len(items), _MOST))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MLflow warns of what its own libraries will change one day: no news for who runs a search."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
