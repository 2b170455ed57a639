"""The combinations of a grid: against Hydra's product and a plain filter, their number, and messages."""

import itertools
import random
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from zeroinit.config.combinations import Combinations
from zeroinit.config.grid_keys import GridKeys
from zeroinit.errors import BadInput

LINES = [
    "seed=range(3)",
    "arch=logistic,fnn",
    "+arch.width=1,2.5,'a, b'",
    "steps=5",
    "init@init.rest=zero,ones,default",
]
PAIR = ["init=zero,zero,default", "bias_scale.value=0.1,1,1"]


def parse(lines: Sequence[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(list(lines))


def combine(lines: Sequence[str], **keys: Any) -> Combinations:
    return Combinations(parse(lines), GridKeys(**{"max_jobs": 10_000} | keys))


def test_without_keys_they_are_hydras_product() -> None:
    lines = [*LINES, "~optimizer.betas", "tracker=off", "arch=fnn", "arch.hidden=[2],[2,3]", "seed=4,'x',null,true"]
    assert list(combine(lines)) == BasicSweeper.split_arguments(parse(lines), None)[0]


@pytest.mark.parametrize("case", range(20))
def test_rules_and_pairs_are_those_of_a_plain_filter(case: int) -> None:
    """On random grids; the order is that of the product, and the number is known without it."""
    chance = random.Random(case)
    axes = {f"k{axis}": [str(value) for value in range(chance.randint(2, 4))] for axis in range(5)}
    partner = chance.choice(list(axes))
    axes["pair"] = [f"p{value}" for value in axes[partner]]
    product = [
        dict(zip(axes, values, strict=True))
        for values in itertools.product(*axes.values())
        if values[-1] == f"p{values[list(axes).index(partner)]}"
    ]

    def has_all(words: dict[str, str], rule: dict[str, list[str]]) -> bool:
        return all(words[key] in values for key, values in rule.items())

    drawn = [
        {key: chance.sample(axes[key], chance.randint(1, 2)) for key in chance.sample(list(axes), 3)} for _ in range(4)
    ]
    rules = [rule for rule in drawn if any(has_all(words, rule) for words in product)]
    left = [words for words in product if not any(has_all(words, rule) for rule in rules)]
    lines = [f"{key}={','.join(values)}" for key, values in axes.items()]
    grid = combine(lines, skip_if=rules, paired=[[partner, "pair"]])
    assert list(grid) == [[f"{key}={value}" for key, value in words.items()] for words in left]
    assert (grid.size, grid.total) == (len(left), len(product))
    assert grid.skipped > 0


@pytest.mark.parametrize(
    ("axis", "rule"),
    [
        ("arch.width=1,2", 1.0),
        ("arch.width=1.0,2", "1"),
        ("arch.width='1',2", 1),
        ("arch.width=1e0,2", [1, 1.0]),
        ("arch.width=[1,'a b'],[2]", [1, "a b"]),
        ("arch.width=[1,'a b'],[2]", [[1, "a b"]]),
        ("arch.width='a, b',2", "a, b"),
        ("arch.width=null,2", None),
        ("arch.width=TRUE,2", True),
        ("arch.width=18446744073709551615,18446744073709551614", 18446744073709551615),
        ("arch.width={a:1},2", {"a": 1.0}),
    ],
)
@pytest.mark.parametrize("prefix", ["", "+"])
def test_values_are_compared_as_parsed(axis: str, rule: object, prefix: str) -> None:
    grid = combine([f"{prefix}{axis}", "seed=0,1"], skip_if=[{"arch.width": rule, "seed": "0"}])
    assert (grid.size, grid.skipped) == (3, 1)
    assert next(iter(grid)) == [grid.axes[0].words[0], "seed=1"]


MESSAGES: dict[str, dict[str, Any]] = {
    "hydra.sweeper.skip_if=5: give a list of rules, such as [{arch: logistic, init: zero}]": {"skip_if": 5},
    "hydra.sweeper.skip_if=[{}]: give a list of rules": {"skip_if": [{}]},
    "hydra.sweeper.skip_if={nothing: 1}: the grid has no axis nothing; give seed, arch, arch.width or init@init.rest": {
        "skip_if": [{"nothing": 1}]
    },
    "hydra.sweeper.skip_if={arch: [fnn,cnn]}: the axis arch has no value cnn; give logistic or fnn": {
        "skip_if": [{"arch": ["fnn", "cnn"]}]
    },
    "hydra.sweeper.skip_if={arch: []}: arch has no value; give logistic or fnn": {"skip_if": [{"arch": []}]},
    "hydra.sweeper.skip_if=[{arch: fnn}, {arch: logistic}]: all 54 combinations are left out; give fewer rules": {
        "skip_if": [{"arch": "fnn"}, {"arch": "logistic"}]
    },
    "hydra.sweeper.paired=['seed', 'arch']: give lists of axes that move together": {"paired": ["seed", "arch"]},
    "hydra.sweeper.paired=[[seed,lr]]: the grid has no axis lr; give seed, arch,": {"paired": [["seed", "lr"]]},
    "hydra.sweeper.paired=[[seed]]: a list needs two axes or more, which move together": {"paired": [["seed"]]},
    "hydra.sweeper.paired=[[init.rest,seed]]: seed is named twice": {
        "paired": [["seed", "arch.width"], ["init.rest", "seed"]]
    },
    "hydra.sweeper.paired=[[seed,arch]]: seed has 3 and arch has 2 values; give axes with equal": {
        "paired": [["seed", "arch"]]
    },
    "hydra.sweeper.paired=[[init,bias_scale.value]]: the values zero, 1.0 occur together twice": {
        "paired": [["init", "bias_scale.value"]],
        "lines": ["init=zero,zero", "bias_scale.value=1,1.0"],
    },
    "seed=0,1,0: the axis has the value 0 twice; give each value once": {"lines": ["seed=0,1,0"]},
    "hydra.sweeper.max_jobs=0: give a whole number from 1": {"max_jobs": 0},
    "hydra.sweeper.max_jobs=true: give a whole number from 1": {"max_jobs": "true"},
}


@pytest.mark.parametrize("message", MESSAGES)
def test_bad_input_is_one_sentence(message: str) -> None:
    keys = dict(MESSAGES[message])
    with pytest.raises(BadInput, match=f"^{re.escape(message)}"):
        combine(keys.pop("lines", LINES), **keys)


def test_a_rule_whose_values_never_meet() -> None:
    with pytest.raises(BadInput, match=r"bias_scale.value: 0.1\}: no combination of the grid has these values"):
        combine(PAIR, paired=[["init", "bias_scale.value"]], skip_if=[{"init": "default", "bias_scale.value": 0.1}])


def test_axes_that_the_command_line_replaces() -> None:
    """A file's rules and pairs go on with what is left of them; those that are typed themselves are exact."""
    file = {"paired": [["init", "bias_scale.value"]], "skip_if": [{"arch": "logistic", "init": "zero"}]}
    lines = ["arch=logistic,fnn", *PAIR]
    assert combine(lines, **file).size == 4
    fixed = combine([*lines, "bias_scale.value=2"], changed_keys={"bias_scale.value"}, **file)
    assert list(fixed) == [
        ["arch=logistic", "init=default", "bias_scale.value=2"],
        ["arch=fnn", "init=zero", "bias_scale.value=2"],
        ["arch=fnn", "init=default", "bias_scale.value=2"],
    ]
    gone = combine([*lines, "arch=rnn,fnn"], changed_keys={"arch"}, **file)
    assert (gone.size, gone.skipped) == (6, 0)
    with pytest.raises(BadInput, match="the axis arch has no value logistic; give rnn or fnn"):
        combine([*lines, "arch=rnn,fnn"], changed_keys={"arch"}, typed_keys={"hydra.sweeper.skip_if"}, **file)
    with pytest.raises(BadInput, match=r"init has 3 and bias_scale.value has 2 values"):
        combine([*lines, "bias_scale.value=1,2"], changed_keys={"bias_scale.value"}, **file)


def test_a_grid_of_a_million_is_counted_at_once() -> None:
    """With rules and a pair, in a second; what a rule leaves out does not count, and is not made."""
    lines = [
        "seed=range(1000000)",
        "arch=logistic,fnn",
        "steps=range(10)",
        "optimizer.lr=range(10)",
        "epochs=range(1000)",
    ]
    keys: dict[str, Any] = {"paired": [["steps", "optimizer.lr"]], "skip_if": [{"epochs": 0, "steps": [0, 1]}]}
    started = time.perf_counter()
    with pytest.raises(BadInput, match=r"are 19,996,000,000 runs, .* about 667,439 GiB .*max_jobs=19996000000$"):
        combine(lines, **keys)
    assert time.perf_counter() - started < 1
    lines[0] = "seed=range(1)"
    rest = [{"epochs": list(range(1, 1000)), "steps": [*range(9)]}, {"epochs": list(range(2, 1000)), "steps": 9}]
    few = combine(lines, **keys | {"skip_if": keys["skip_if"] + rest})
    assert (few.size, few.total) == (18, 20_000)
    assert len(list(few)) == 18


SHAPED = """\
defaults: [config, override dataset: xor, override tracker: 'off', _self_]
steps: 2
hydra:
  mode: MULTIRUN
  sweeper:
    params: {arch: 'logistic,fnn', init: [zero, zero, default], bias_scale.value: [0.1, 1, 1], seed: range(2)}
    paired: [[init, bias_scale.value]]
    skip_if: [{arch: logistic, init: default}, {arch: fnn, bias_scale.value: '0.1', seed: [0, 1.0]}]
"""


def test_a_sweep_file_is_planned_without_what_it_leaves_out(zeroinit: Callable[..., Any]) -> None:
    Path("shaped.yaml").write_text(SHAPED)
    ended = zeroinit("-cd", ".", "-cn", "shaped", "mode=plan", "hydra.sweeper.max_jobs=8")
    assert ended.code == 0, ended.err
    *rows, last = ended.out.splitlines()[1:]
    cells = ["logistic zero 0.1", "logistic zero 1", "fnn zero 1", "fnn default 1"]
    assert [row.split()[:-1] for row in rows[:-1]] == [[*cell.split(), "0", "0", "2"] for cell in cells]
    assert last == "hydra.sweeper.skip_if leaves out 4 of 12 combinations."
    ended = zeroinit("-cd", ".", "-cn", "shaped", "mode=plan", "hydra/sweeper=basic")
    said = "the sweeper that hydra/sweeper chooses has no such key; leave out one of them"
    assert (ended.code, ended.err) == (2, f"zeroinit: hydra.sweeper.paired: {said}\n")
