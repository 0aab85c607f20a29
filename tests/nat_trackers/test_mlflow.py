"""Runs of MLflow, in a database of its own."""

from __future__ import annotations

import json
import logging
import os
import shutil
import warnings

import pytest

from nat_trackers.mlflow_runs import MLflow

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before it is imported: a test sends nothing anywhere
mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database with its tables, which take seconds to make."""
    file = tmp_path_factory.mktemp("mlflow") / "empty.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client(f"sqlite:///{file}").create_experiment("other")
    return file


@pytest.fixture
def uri(empty, tmp_path):
    shutil.copy(empty, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client(uri).create_experiment("mine", artifact_location=(tmp_path / "artifacts").as_uri())
    return uri


def client(uri):
    return mlflow.MlflowClient(tracking_uri=uri)


def runs(uri):
    asked = client(uri)
    return asked.search_runs([asked.get_experiment_by_name("mine").experiment_id])


def steps(uri, run, key="front/hypervolume"):
    return [metric.step for metric in client(uri).get_metric_history(run.info.run_id, key)]


def test_metrics_pictures_and_parameters(followers, uri, tmp_path):
    follower = followers(lambda: MLflow(uri, "mine"))
    follower.process()
    (run,) = runs(uri)
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert steps(uri, run) == [0, 1, 2]
    assert {"best/distance", "front/size", "seconds/adapt", "archive/failed"} <= run.data.metrics.keys()
    assert run.data.params["plugins.surrogates.toy"] == "nat-core 0.1.0"
    assert run.data.params["search.iterations"] == "6"
    files = {f.name: f for f in (tmp_path / "artifacts").rglob("*") if f.is_file()}
    assert files.keys() == {"front.md", "front.png"}
    assert files["front.md"].read_text().startswith("| architecture | distance | size |")
    assert files["front.png"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("until", [0, 2])
def test_a_run_that_goes_on_is_one_run_without_duplicates(followers, uri, until):
    follower = followers(lambda: MLflow(uri, "mine"))
    follower.process(until)
    (run,) = runs(uri)
    assert run.info.status == "RUNNING"
    follower.process()
    follower.process()
    (run,) = runs(uri)
    assert run.info.status == "FINISHED"
    assert all(steps(uri, run, key) == sorted(set(steps(uri, run, key))) for key in run.data.metrics)
    assert steps(uri, run) == [0, 1, 2]


def test_a_token_that_is_damaged_begins_a_new_run(followers, uri):
    follower = followers(lambda: MLflow(uri, "mine"))
    follower.process(0)
    (follower.folder / "mlflow.json").write_text(json.dumps({"token": "' OR 1=1"}))
    follower.process(0)
    assert len(runs(uri)) == 2


def test_a_server_that_is_not_there(followers, caplog):
    with caplog.at_level(logging.WARNING, "nat_core"):
        followers(lambda: MLflow("nonsense://host", "mine")).process()
    assert sum("the tracker it failed" in r.getMessage() for r in caplog.records) == 1
