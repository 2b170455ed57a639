"""Checks the folder that Hydra gives a job, and writes the config there."""

import tempfile
from pathlib import Path

import yaml

from zeroinit.config import Job
from zeroinit.errors import BadInput

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast, if PyYAML has it
HYDRA = ".hydra"


def check_folder(key: str, folder: Path) -> None:
    """Make the folder. Raises BadInput, with the key that names it, if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadInput(f"{key}={folder}: {_reason(error)}; give a folder that can be written to") from error


def write_config(job: Job) -> str:
    """Write the config of a job to its folder, and return why that failed; empty if it did not."""
    folder = Path(job.folder, HYDRA)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config = {"config": job.saved.values, "hydra": job.saved.hydra_yaml} if job.saved else {"config": job.values}
        for name, content in (config | {"overrides": job.overrides}).items():
            (folder / f"{name}.yaml").write_text(yaml.dump(content, Dumper=DUMPER, sort_keys=False))
    except OSError as error:
        return f"its folder {job.folder} cannot be written to ({_reason(error)})"
    return ""


def _reason(error: OSError) -> str:
    return f"{error.strerror}: {error.filename}" if error.strerror else str(error)
