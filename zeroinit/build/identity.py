"""The identity of a job's run, for which its data must be loaded."""

from zeroinit.build.data import data_hash, data_source
from zeroinit.config import Job
from zeroinit.config.code_hash import hash_code
from zeroinit.config.identity import Identity
from zeroinit.environment import environment


def identity_of(job: Job) -> str:
    """Return the identity of the job's run, as text. Loads its data."""
    with environment(job.variables):
        data = data_hash(data_source(job.config), job.config.device)
        values = {key: value for key, value in job.values.items() if key != "metrics"}  # they change no number
        return str(Identity(job.config_hash, data, code_hash=hash_code(values)))
