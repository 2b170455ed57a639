"""Passwords are shown nowhere, whatever characters they have, and wherever they stand."""

import json
import shlex
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from zeroinit.cli import typed_command
from zeroinit.config import Job
from zeroinit.tracker import mask_uri, mask_word, without_password
from zeroinit.tracker.connection import Connection

PASSWORDS = (
    "plain77",
    "sla/77sh",
    "bla 77nk",
    "a@77t",
    "ha#77sh",
    "que?77ry",
    "per%cent77",
    "per%2F77",
    ":/ 77@?#%",
    "5000/77",
)


def test_the_words_around_a_password_stay() -> None:
    sentence = "MLFLOW_TRACKING_URI=postgresql://h/db?user=me&password={}: no database answers there"
    assert without_password(sentence.format("s3cr:et")) == sentence.format("***")
    sentence = "it is no address; give it as DIALECT://HOST:PORT/NAME, with user and password before HOST"
    assert without_password(sentence) == sentence


@pytest.mark.parametrize("password", PASSWORDS)
def test_the_password_of_a_uri(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"postgresql+psycopg2://me:{password}@host:5432/db?sslmode=require"
    masked = "postgresql+psycopg2://***@host:5432/db?sslmode=require"
    assert make_url(uri).password  # SQLAlchemy accepts it
    assert mask_uri(uri) == masked
    assert mask_word(f"tracker.uri='{uri}'") == f"tracker.uri='{masked}'"
    assert (
        without_password(f"cannot reach {uri}; say init@init.rest=zero")
        == (f"cannot reach {masked}; say init@init.rest=zero")
        or " " in password
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    if not password.startswith(":"):  # where that uri ends is clear in no text
        assert without_password(f"at {uri}; say init@init.rest=zero") == f"at {masked}; say init@init.rest=zero"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert without_password(f"cannot reach {uri}; say init@init.rest=zero") == (
        f"cannot reach {masked}; say init@init.rest=zero"
    )
    assert "77" not in str(Connection(None).error(f"{uri} does not answer"))
    words = ["tracker=off", f"tracker.uri='{uri}'", "init@init.rest=zero"]
    monkeypatch.setattr(sys, "argv", ["zeroinit", *words])
    assert shlex.split(typed_command()) == ["zeroinit", "tracker=off", f"tracker.uri='{masked}'", "init@init.rest=zero"]


@pytest.mark.parametrize(
    "name", ["password", "sslpassword", "PWD", "token", "auth_token", "secret", "api_key", "passphrase"]
)
def test_a_password_in_a_query(name: str) -> None:
    for password in PASSWORDS:
        assert mask_uri(f"mysql://h/db?a=1&{name}={password}&b=2") == f"mysql://h/db?a=1&{name}=***&b=2"
        assert mask_word(f"tracker.uri='mysql://h/db?{name}={password}'") == f"tracker.uri='mysql://h/db?{name}=***'"
    assert (
        without_password(f"at http://h/?{name}='a b'&c=1, {name}=abc: no")
        == f"at http://h/?{name}=***&c=1, {name}=***: no"
    )


@pytest.mark.parametrize(
    ("word", "masked"),
    [
        ("+hydra.job.env_set.MY_TOKEN=a b/c", "+hydra.job.env_set.MY_TOKEN=***"),
        ("+hydra.job.env_set={MY_TOKEN: abc, OTHER: abc}", "+hydra.job.env_set={MY_TOKEN: ***, OTHER: abc}"),
        ("+dataset.train.api_key=a b", "+dataset.train.api_key=***"),
        *[
            (word, word)
            for word in (
                "init@init.rest=zero",
                "+arch.class_token=true",
                "+arch.num_tokens=5",
                "tracker.uri=http://localhost:5000",
                "tracker.uri=sqlite:////data/a:b@c/x.db",
                "-cn",
            )
        ],
    ],
)
def test_the_words_of_a_command(word: str, masked: str) -> None:
    assert mask_word(word) == masked


@pytest.mark.usefixtures("database")
def test_a_secret_variable_is_in_no_file(
    zeroinit: Callable[..., object], job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the config that Hydra writes for a run, nor in those of a sweep, its report and its store."""
    monkeypatch.setenv("OUR_SECRET", "xyzzy-3")
    words = ["dataset=xor", "arch=logistic", "steps=1", "+hydra.job.env_set.MY_TOKEN=xyzzy-1"]
    words += ["+hydra.job.env_set.PLACE='http://me:xyzzy-2@host'", "+hydra.job.env_set.PLAIN=shown"]
    with_secret = ("dataset=torch", "dataset.train._target_=mine.Data", "+dataset.train.key=${oc.env:OUR_SECRET}")
    assert job_of(*with_secret).params["dataset.train.key"] == "***"
    assert zeroinit(*words).code == 0
    assert zeroinit("-m", "seed=0", *words).code == 0
    files = [path for path in Path().rglob("*") if path.is_file()]
    assert not [path for path in files if b"xyzzy" in path.read_bytes()]
    assert len([path for path in files if path.name == "hydra.yaml" and "PLAIN: shown" in path.read_text()]) == 2
    with sqlite3.connect("mlruns/mlflow.db") as store:
        values = dict(store.execute("select key, value from params where key like 'hydra.job.env_set.%'"))
    assert values == {
        "hydra.job.env_set.MY_TOKEN": "***",
        "hydra.job.env_set.PLACE": "http://***@host",
        "hydra.job.env_set.PLAIN": "shown",
    }, json.dumps(values)
