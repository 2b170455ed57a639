"""The runs of the store in the current folder, and a launcher of two workers."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from zeroinit.tracker import Record, RunWriter

TWO = "hydra.launcher.workers=2"


def runs(sweep: str = "sweep", kind: str = "run") -> list[Run]:
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name(sweep)
    return list(client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'", order_by=["start_time ASC"]))


def histories(run: Run) -> dict[str, list[tuple[int, float]]]:
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    return {
        name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


def end(tracker: RunWriter, record: Record) -> None:
    """Write the end of a run, as the sender does."""
    record.close()
    tracker.write([record])
