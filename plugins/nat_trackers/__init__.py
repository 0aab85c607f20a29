"""Programs that a run is followed in: TensorBoard and MLflow. Off unless the run names one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

from nat_core import hookimpl
from nat_core.contracts import Tracker

if TYPE_CHECKING:
    from nat_core.archive import Archive
    from nat_core.run import Run
    from nat_trackers.event_files import TensorBoard
    from nat_trackers.mlflow_runs import MLflow


def tensorboard(
    *,
    folder: Annotated[str | None, "where the event files go, a folder for each run; none: into the run folder"] = None,
) -> TensorBoard:
    """Event files for TensorBoard: `tensorboard --logdir runs` shows every run in the folder `runs`."""
    from nat_trackers.event_files import TensorBoard

    return TensorBoard(folder)


def mlflow(
    *,
    uri: Annotated[str | None, "of the tracking server or database; none: MLFLOW_TRACKING_URI, or MLflow's own"] = None,
    experiment: Annotated[str, "that the run belongs to; it is made where there is none"] = "nat",
) -> MLflow:
    """A run of MLflow. User and password are read from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."""
    from nat_trackers.mlflow_runs import MLflow

    return MLflow(uri, experiment)


@hookimpl
def register_trackers() -> Mapping[str, Callable[..., Tracker]]:
    """`tensorboard` and `mlflow`."""
    return {"mlflow": mlflow, "tensorboard": tensorboard}


@hookimpl
def on_iteration(run: Run, archive: Archive) -> None:
    """Tell the trackers of a run, those of other plugins too, of every iteration that they do not know yet."""
    if run.trackers:
        from nat_trackers.following import follow

        follow(run, archive)


@hookimpl
def on_finish(run: Run, archive: Archive) -> None:
    """Tell them of what is still missing, and that the run is complete."""
    if run.trackers:
        from nat_trackers.following import follow

        follow(run, archive, finished=True)
