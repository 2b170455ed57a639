"""The identity of a run as an object and as text."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from zeroinit.config import Job
from zeroinit.config.identity import ADDED_KEYS, VERSION, Identity, hashes


def test_the_current_version_is_part_of_it() -> None:
    assert str(Identity("config", "data")) == f"config-data-{VERSION}"


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("config-data-2-code", Identity("config", "data", 2, "code")),
        ("config-data-2", Identity("config", "data", 2)),
        ("config-data", Identity("config", "data", 0)),  # stored before the code had a version
        ("config", Identity("config", "", 0)),
    ],
)
def test_its_text_is_read_back(text: str, identity: Identity) -> None:
    assert Identity.parse(text) == identity
    assert str(identity) == text


def test_the_code_is_the_version_and_the_hash_of_the_users_files() -> None:
    assert Identity.parse("config-data-2-code").code == "2-code"
    assert Identity.parse("config-data-2").code == "2"


def test_runs_that_differ_in_their_config_have_the_same_data_and_code() -> None:
    first = Identity("a", "data", 1, "code")
    assert first.data_and_code == Identity("b", "data", 1, "code").data_and_code
    assert first.data_and_code != Identity("a", "other", 1, "code").data_and_code
    assert first.data_and_code != Identity("a", "data", 2, "code").data_and_code
    assert first.data_and_code != Identity("a", "data", 1).data_and_code


def test_only_the_key_of_image_folder_is_hashed_under_its_old_name(job_of: Callable[..., Job]) -> None:
    """A user's function may have both arguments, and each of them counts."""
    data, other = "dataset._target_=mine.data", "+dataset.val_fraction=0.5"
    first, second = (job_of(data, f"+dataset.held_out={value}", other).values for value in (0.1, 0.2))
    assert hashes(first) != hashes(second)
    renamed = {**first, "dataset": {**first["dataset"]}}
    renamed["dataset"]["held_out"] = renamed["dataset"].pop("val_fraction")
    assert hashes(first) != hashes(renamed)


def test_an_added_key_at_its_default_is_left_out_of_the_hash(job_of: Callable[..., Job]) -> None:
    """But a user's arch may have an argument of that name, which counts."""
    ours = job_of("arch=fnn").values
    theirs = {**ours, "arch": {**ours["arch"], "_target_": "mine.Net"}}
    for values, is_same in ((ours, True), (theirs, False)):
        older = {**values, "arch": {key: value for key, value in values["arch"].items() if key != "norm"}}
        assert (hashes(older) == hashes(values)) == is_same


@pytest.mark.parametrize("key", ADDED_KEYS)
def test_a_key_that_was_added_is_left_out_of_the_hash_at_its_default(key: str, job_of: Callable[..., Job]) -> None:
    """The default is that of the YAML, and the hash is that of a config from before the key."""
    # without init.layers, init.rest fills nothing
    words = ("device=cpu", "init.layers=hidden*") if key.startswith("init.rest.") else ("device=cpu",)
    values = copy.deepcopy(job_of(*words).values)
    *nodes, name = key.split(".")
    node: Any = values
    for part in nodes:
        node = node[part]
    assert node.pop(name) == ADDED_KEYS[key]
    assert hashes(values) == hashes(job_of(*words).values)
    node[name] = "another"
    assert hashes(values) != hashes(job_of(*words).values)
