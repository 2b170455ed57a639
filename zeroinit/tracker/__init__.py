"""How runs are stored and read back."""

import os

from zeroinit.tracker.passwords import is_known_secret, mask_uri, mask_word, without_password
from zeroinit.tracker.protocols import RunReader, RunWriter, SummaryStore, Tracker
from zeroinit.tracker.record import (
    ENDED,
    NEEDED_PARAMS,
    TEST_LOSS,
    TRACEBACK,
    Record,
    Status,
    readable,
)

__all__ = [
    "ENDED",
    "NEEDED_PARAMS",
    "TEST_LOSS",
    "TRACEBACK",
    "Record",
    "RunReader",
    "RunWriter",
    "Status",
    "SummaryStore",
    "Tracker",
    "is_known_secret",
    "mask_uri",
    "mask_word",
    "readable",
    "without_password",
]

# set before MLflow is imported: no telemetry, no bar for each artifact, and no line after each run, which would show
# the password in the uri
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# MLflow's client would try for minutes without a word; whoever calls it here tries again, and says so
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
