"""The files of a run in MLflow's artifact store, named by the uri of the folder that holds them.

Every failure is raised as OSError or MlflowException, whatever the client library of the store raises.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path


@contextmanager
def open_repository(folder_uri: str, tracking_uri: str) -> Iterator[ArtifactRepository]:
    """Yield MLflow's access to the folder; raise OSError for what is neither that nor MlflowException."""
    try:
        yield get_artifact_repository(folder_uri, tracking_uri)
    except (OSError, MlflowException):
        raise
    except Exception as error:  # client libraries raise their exceptions, or are not installed
        raise OSError(f"{folder_uri}: {type(error).__name__}: {error}") from error


def _local_folder(folder_uri: str) -> str:
    """Return the folder on this machine that the uri names; empty for one that is elsewhere."""
    is_local = urlsplit(folder_uri).scheme in ("", "file")
    return str(local_file_uri_to_path(folder_uri)) if is_local else ""  # type: ignore[no-untyped-call]


def write_files(folder_uri: str, tracking_uri: str, files: dict[str, bytes]) -> None:
    """Write the files {name: content} into the folder."""
    if files and (local := _local_folder(folder_uri)):
        Path(local).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            Path(local, name).write_bytes(content)
        return
    if not files:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        with open_repository(folder_uri, tracking_uri) as repository:
            repository.log_artifacts(folder)  # type: ignore[no-untyped-call]


def list_files(folder_uri: str, tracking_uri: str) -> set[str]:
    """Return the names of the files in the folder, by one request; an empty file on this machine does not count."""
    if not (folder := _local_folder(folder_uri)):
        with open_repository(folder_uri, tracking_uri) as repository:
            return {Path(file.path).name for file in repository.list_artifacts()}
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.stat().st_size}
    except FileNotFoundError:
        return set()


def read_file(folder_uri: str, tracking_uri: str, name: str) -> bytes | None:
    """Return the content of a file; None if it does not exist or cannot be read."""
    try:
        if folder := _local_folder(folder_uri):  # no copy is needed
            return Path(folder, name).read_bytes()
        with open_repository(folder_uri, tracking_uri) as repository, tempfile.TemporaryDirectory() as folder:
            return Path(repository.download_artifacts(name, folder)).read_bytes()  # type: ignore[no-untyped-call]
    except (MlflowException, OSError):
        return None


def check_folder(folder_uri: str, tracking_uri: str) -> None:
    """Raise OSError or MlflowException if files cannot be kept in the folder.

    On this machine a file is written and removed at once. Any other store must list its files, which needs the client
    library of the store and an answer from it.
    """
    with open_repository(folder_uri, tracking_uri) as repository:
        if isinstance(repository, LocalArtifactRepository):
            Path(repository.artifact_dir).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=repository.artifact_dir):
                pass
        else:
            repository.list_artifacts()
