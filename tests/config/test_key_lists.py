"""The comments of conf/config.yaml, the reference of keys, the help and RunConfig agree."""

import copy
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from zeroinit import CONF
from zeroinit.config import Job
from zeroinit.config.schema import RunConfig
from zeroinit.config.unknown import shipped_defaults
from zeroinit.errors import BadInput

WRITER: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "reference" / "write_keys.py"))
COMMENTS: dict[str, str] = WRITER["read_comments"]()
INIT_RULES = [f"{node}.{rule}" for node in ("init", "init.rest") for rule in ("weight", "bias", "embedding")]
RULES = [*INIT_RULES, "loss.function", "dataset.train"]  # their arguments are those of a function
SWEEP_KEYS = [f"size.{key}" for key in OmegaConf.load(CONF / "size" / "small.yaml")]


def leaf_keys(node: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the dotted path of each value."""
    for key, value in node.items():
        if isinstance(value, dict) and value and f"{path}{key}" not in RULES:
            yield from leaf_keys(value, f"{path}{key}.")
        elif key != "_target_":
            yield f"{path}{key}"


def test_each_key_has_a_comment() -> None:
    needed = {*leaf_keys(shipped_defaults())} - {"init.rest.weight", "init.rest.bias"}
    assert needed <= {key for key, comment in COMMENTS.items() if comment}


def test_each_comment_is_on_a_key() -> None:
    rule_keys = {"init.bias.least", "init.bias.most", "init@init.rest"}
    nodes = {key for key in COMMENTS if isinstance(shipped_defaults().get(key), dict)} | {"size"}
    inner_nodes = {"dataset.normalize", "dataset.augment", "clip", "init.rest"}
    assert {*COMMENTS} - nodes - inner_nodes - rule_keys - {*SWEEP_KEYS} <= {*leaf_keys(shipped_defaults())}


@pytest.mark.parametrize("key", sorted(COMMENTS))
def test_a_comment_is_a_sentence(key: str) -> None:
    comment = COMMENTS[key]
    assert comment == "" or comment[0].isupper()
    assert comment == "" or key == "claims" or comment.endswith(".")


def test_the_reference_is_up_to_date() -> None:
    assert WRITER["REFERENCE"].read_text() == WRITER["make_reference"](COMMENTS, WRITER["find_defaults"]()), (
        "./dev docs"
    )


def test_the_help_is_up_to_date() -> None:
    assert WRITER["HELP"].read_text() == WRITER["make_help"](COMMENTS, WRITER["find_defaults"]()), "./dev docs"


def test_the_reference_says_what_a_key_accepts_and_whether_it_is_hashed() -> None:
    reference = WRITER["REFERENCE"].read_text()
    assert "| a whole number from 1 or all | `128` (" in reference
    for key, is_hashed in {"threads": "yes", "probe.first_steps": "no", "dataset.root": "no", "seed": "no"}.items():
        [row] = [line for line in reference.splitlines() if line.startswith(f"| `{key}` |")]
        assert row.endswith(f"| {is_hashed} |"), key


def test_run_config_reads_each_key(job_of: Callable[..., Job]) -> None:
    """Without any one of the keys that all runs have, parsing fails and names it."""
    values = job_of().values
    ours: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    keys = [*leaf_keys({key: ours[key] for key in ours if key not in ("defaults", "hydra")})]
    assert len(keys) >= 35
    for key in keys:
        without = copy.deepcopy(values)
        *nodes, name = key.split(".")
        node = without
        for part in nodes:
            node = node[part]
        del node[name]
        with pytest.raises(BadInput, match=rf"^{key}: there is no such key in the config; it is needed$"):
            RunConfig.parse(without)
