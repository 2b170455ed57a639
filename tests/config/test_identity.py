"""The identity of a run as an object and as text."""

import pytest

from zeroinit.config.identity import VERSION, Identity


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
