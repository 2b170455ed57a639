"""Tells whether runs can be written in bulk: into which databases, and into the tables of which versions of MLflow."""

import re
from typing import Any
from urllib.parse import urlsplit

from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from mlflow.version import VERSION

OLDEST, NEWEST = (3, 5), (3, 18)  # versions whose rows were compared with ours, as tests/tracker/test_bulk.py does
DATABASES = ("sqlite", "postgresql", "mysql")
_POINT = {"key", "value", "timestamp", "step", "is_nan", "run_uuid"}
COLUMNS = {  # of the tables that we write
    "runs": {
        *("run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time"),
        *("end_time", "deleted_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"),
    },
    "tags": {"key", "value", "run_uuid"},
    "params": {"key", "value", "run_uuid"},
    "metrics": _POINT,
    "latest_metrics": _POINT,
}


def unsupported_reason(uri: str) -> str | None:
    """Return why MLflow's client must write the runs of a database, in a clause; None if they can be written in bulk.

    The columns are compared too, so that a change of MLflow's tables is noticed whatever the version says.
    """
    database = urlsplit(uri).scheme.partition("+")[0]
    if database not in DATABASES:
        return f"the store is {database or 'a folder'}, and not one of {', '.join(DATABASES)}"
    if not OLDEST <= tuple(int(part) for part in re.findall(r"\d+", VERSION)[:2]) <= NEWEST:
        oldest, newest = (".".join(map(str, version)) for version in (OLDEST, NEWEST))
        return f"MLflow is {VERSION}, and its tables are known from {oldest} to {newest}"
    models: tuple[Any, ...] = SqlRun, SqlTag, SqlParam, SqlMetric, SqlLatestMetric
    for model in models:
        name, columns = model.__table__.name, set(model.__table__.columns.keys())
        if differing := columns ^ COLUMNS[name]:
            return f"MLflow's table {name} differs from the known one in {', '.join(sorted(differing))}"
    return None
