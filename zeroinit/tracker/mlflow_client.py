"""Reads a sweep by MLflow's own client, which any store answers: the only way to read from a server."""

from collections.abc import Collection, Sequence

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD

from zeroinit.tracker import Record
from zeroinit.tracker.mlflow_sql import Histories, merge_names
from zeroinit.tracker.renamed import stored_names, translate_metric, translate_params, translate_tags
from zeroinit.tracker.tags import Tag


def records(
    client: MlflowClient,
    experiment_id: str,
    kind: str,
    identities: Collection[str] | None = None,
    statuses: Collection[str] = (),
) -> list[tuple[Record, str]]:
    """Return what `mlflow_sql.records` does, in ten times the time."""
    pairs, token, query = [], None, f"tags.kind = '{kind}'"
    if len(statuses) == 1:
        query += f" and attributes.status = '{next(iter(statuses))}'"
    if identities is not None and len(identities) == 1:
        query += f" and tags.identity = '{next(iter(identities))}'"
    while True:
        page = client.search_runs([experiment_id], query, order_by=["attributes.start_time DESC"], page_token=token)
        pairs += [
            (_as_record(run), run.info.artifact_uri)
            for run in page
            if (identities is None or run.data.tags.get(Tag.IDENTITY) in identities)
            and (not statuses or run.info.status in statuses)
        ]
        token = page.token
        if not token:
            return pairs


def histories(client: MlflowClient, runs: Sequence[Record], metrics: Sequence[str]) -> Histories:
    """Return {run id: {metric: {step: value}}} of these metrics, where the runs have them, by step."""
    by_run: Histories = {}
    for record in runs:
        names = [name for metric in metrics if metric in record.histories for name in stored_names(metric)]
        stored = {name: client.get_metric_history(record.run_id, name) for name in names}
        by_run[record.run_id] = merge_names(
            {name: {point.step: point.value for point in points} for name, points in stored.items()}
        )
    return by_run


def _as_record(run: Run) -> Record:
    return Record(
        name=run.info.run_name,
        params=translate_params(run.data.params),
        tags=translate_tags(run.data.tags),
        status=run.info.status,
        metrics=[(translate_metric(point.key), point.value, point.step) for point in run.data.to_proto().metrics],
        started=run.info.start_time / 1000,
        ended_at=(run.info.end_time or 0) / 1000,
        run_id=run.info.run_id,
    )


def find_running(client: MlflowClient) -> list[Record]:
    """Return every RUNNING run of every sweep of a server."""
    running: list[Record] = []
    sweeps = client.search_experiments(max_results=SEARCH_MAX_RESULTS_THRESHOLD)
    experiments = [sweep.experiment_id for sweep in sweeps]
    token = None
    while experiments:
        page = client.search_runs(experiments, "attributes.status = 'RUNNING'", page_token=token)
        running += [
            Record(run.info.run_name, {}, run.data.tags, started=run.info.start_time / 1000, run_id=run.info.run_id)
            for run in page
            if Tag.KIND in run.data.tags
        ]
        token = page.token
        if not token:
            break
    return running
