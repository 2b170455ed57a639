"""Sweep files, options of groups in a folder of the user, and saved configs: spoilt YAML."""

import json
from collections.abc import Callable

import yaml
from hypothesis import strategies as st

from helpers.bad_inputs.examples import Example
from helpers.bad_inputs.keys import SCALARS
from zeroinit.config.unknown import known_keys, shipped_defaults

SWEEP = """# Which seed?
defaults: [config, _self_]
steps: 2
dataset: {max_examples: 4}
helper: 3
seed: ${helper}
hydra:
  mode: MULTIRUN
  launcher: {workers: 1}
  sweeper:
    params:
      arch: logistic
      dataset: xor
      tracker: 'off'
      seeds.order: range(2)
claims:
  - statement: It learns
    cells: {arch: logistic}
    test: does_not_learn
"""
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    SCALARS.filter(str.isprintable),
)
ANY_VALUE = st.recursive(
    PLAIN,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
NODES = ["hydra", "hydra.sweeper", "hydra.sweeper.params", "hydra.launcher", "hydra.job", "hydra.mode", "defaults"]
NODES += [
    "claims",
    "seed",
    "sweep",
    "reference",
    "size",
    "published",
    "dataset",
    "init",
    "metrics",
    "mine",
    "hydra.run",
]


def _set(text: str, path: str, value: object) -> bytes:
    """Return the file with another value at a path."""
    content = yaml.safe_load(text)
    node = content
    *parents, name = path.split(".")
    for part in parents:
        if not isinstance(node.get(part), dict):
            node[part] = {}
        node = node[part]
    node[name] = value
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode(errors="surrogatepass")


def _bomb(levels: int, width: int) -> str:
    lines = ["l0: &l0 [a, a]"]
    lines += [f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * width)}]" for level in range(1, levels)]
    return "\n".join(lines) + "\n"


def _spoilt(text: str) -> st.SearchStrategy[bytes]:
    """Return all that can be wrong with a file whose content is this text."""
    lines, raw = text.splitlines(keepends=True), text.encode()
    place = st.integers(0, len(lines))
    offset = st.integers(0, len(raw))

    def insert(line: str) -> Callable[[int], bytes]:
        return lambda index: "".join([*lines[:index], line, *lines[index:]]).encode()

    inserted = [
        "\tx: 1\n",
        "x: 1\nx: 2\n",
        "seed: 1\n",
        "<<: *a\n",
        "? [a]\n: 1\n",
        "!!python/object:os.system a\n",
        "- a\n",
    ]
    inserted += [
        "---\n",
        "...\n",
        "%YAML 9.9\n",
        "&a a: *a\n",
        "x: &x [*x]\n",
        "x: ${x}\n",
        "x: ${y}\ny: ${x}\nseed: ${x}\n",
    ]
    inserted += [
        "x: {a: ${x}}\n",
        "seed: ${mine}\n",
        "x: !!binary a\n",
        "x: !!set {a, b}\n",
        "1: 2\n",
        "null: 1\n",
        "x: 2020-01-01\n",
    ]
    inserted += [
        "x: !!timestamp 9\n",
        "x: '\n",
        'x: "\\x"\n',
        "x: |\n a\nb\n",
        "${x}: 1\n",
        "a.b: 1\n",
        "x: [1, 2\n",
        "steps: ???\n",
    ]
    return st.one_of(
        st.sampled_from(inserted).flatmap(lambda line: place.map(insert(line))),
        st.sampled_from(inserted).map(str.encode),
        offset.map(lambda end: raw[:end]),
        st.tuples(offset, st.binary(min_size=1, max_size=4)).map(
            lambda pair: raw[: pair[0]] + pair[1] + raw[pair[0] + len(pair[1]) :]
        ),
        st.tuples(offset, st.text(max_size=4)).map(
            lambda pair: raw[: pair[0]] + pair[1].encode(errors="replace") + raw[pair[0] :]
        ),
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode(errors="replace")),
        st.just(b""),
        st.just(raw.replace(b"learns", b"l\xe4rnt")),
        st.just(b"\xef\xbb\xbf" + raw),
        st.just(text.encode("utf-16")),
        st.just(raw.replace(b"\n", b"\r")),
        st.tuples(st.integers(2, 40), st.integers(2, 9)).map(lambda pair: (text + _bomb(*pair)).encode()),
        st.tuples(st.integers(2, 5000), st.sampled_from(["[]", "{}", "  "])).map(lambda pair: _deep(text, *pair)),
        st.integers(10_000, 300_000).map(lambda size: raw + b"x: [" + b"1, " * size + b"]\n"),
        st.integers(1000, 40_000).map(lambda size: raw + b"".join(b"k%d: 1\n" % index for index in range(size))),
        st.integers(10**6, 10**7).map(lambda size: raw + b"# " + b"x" * size),
        ANY_VALUE.map(lambda value: json.dumps(value).encode(errors="replace")),
        st.tuples(st.sampled_from([*NODES, *known_keys()]), ANY_VALUE).map(lambda pair: _set(text, *pair)),
    )


def _deep(text: str, depth: int, kind: str) -> bytes:
    """Return the file with nested lists, or nested keys, in one line or in one line each."""
    if kind == "[]":
        nested = "x: " + "[" * depth + "]" * depth
    elif kind == "{}":
        nested = "x: " + "{a: " * depth + "1" + "}" * depth
    else:
        nested = "\n".join(" " * level + "a:" for level in range(min(depth, 1500)))
    return f"{text}{nested}\n".encode()


def _sweep(content: bytes) -> Example:
    return Example(["-cd", "own", "-cn", "mine"], {"own/mine.yaml": content})


def _group_option(content: bytes) -> Example:
    return Example(["-cd", "own", "arch=mine", "dataset=xor", "tracker=off"], {"own/arch/mine.yaml": content})


_SAVED = yaml.safe_dump(
    shipped_defaults()
    | {
        "arch": {"_target_": "zeroinit.arch.Logistic"},
        "dataset": {"_target_": "zeroinit.dataset.xor", "batch_size": "all"},
    }
)
_HYDRA = """hydra:
  mode: RUN
  job: {config_name: config, env_set: {A: b}}
  runtime: {choices: {arch: logistic, init: default}}
"""


def _saved(content: bytes) -> Example:
    return Example(["-cp", "run", "-cn", "config", "tracker=off"], {"run/config.yaml": content})


def _saved_hydra(content: bytes) -> Example:
    return Example(["-cp", "run", "-cn", "config"], {"run/config.yaml": _SAVED.encode(), "run/hydra.yaml": content})


SWEEP_FILES = st.one_of(
    _spoilt(SWEEP).map(_sweep),
    _spoilt(SWEEP).map(_sweep),
    _spoilt("_target_: zeroinit.arch.FNN\nhidden: [2]\nactivation: elu\n").map(_group_option),
    st.sampled_from(
        [("fifo", ""), ("folder", ""), ("link", "mine.yaml"), ("link", "/dev/zero"), ("zeros", "40000000")]
    ).map(lambda entry: Example(["-cd", "own", "-cn", "mine"], {"own/mine.yaml": entry})),
)
SAVED_CONFIGS = st.one_of(_spoilt(_SAVED).map(_saved), _spoilt(_HYDRA).map(_saved_hydra))
