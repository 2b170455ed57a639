"""Overrides: any key with any value."""

import string

from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from helpers.bad_inputs.examples import Example
from zeroinit import CONF
from zeroinit.config.unknown import known_keys

NETS = ["dataset=xor", "arch=logistic", "steps=3", "tracker=off", "hydra.launcher.workers=1"]  # the quickest to check
HYDRA_KEYS = [
    *("hydra.job.name", "hydra.job.chdir", "hydra.job.env_set", "hydra.job.env_set.A", "hydra.job.env_copy"),
    *("hydra.launcher.workers", "hydra.sweeper.params", "hydra.verbose", "hydra.mode", "hydra.output_subdir"),
    *("hydra.callbacks", "hydra.sweep.subdir", "hydra.searchpath", "hydra.launcher", "hydra.job.num", "hydra.nothing"),
]
GROUPS = sorted({path.parent.name for path in CONF.glob("*/*.yaml")})
FUNCTIONS = [
    *("torch.nn.Linear", "torch.nn.init.zeros_", "torch.zeros", "zeroinit.arch.FNN", "zeroinit.dataset.xor"),
    *("math.sqrt", "builtins.dict", "nowhere.Net", "torch", "torch.nn.", ".", "", "os.path.join", "builtins.int"),
]


def _options() -> list[tuple[list[str], str]]:
    """Return (words that choose an option, a key of it) for all options of all groups."""
    keys: list[tuple[list[str], str]] = [([], key) for key in known_keys()]
    for path in sorted(CONF.glob("*/*.yaml")):
        group = path.parent.name
        node = OmegaConf.load(path)
        if group in ("published", "size", "tracker") or not isinstance(node, DictConfig):
            continue
        keys += [([f"{group}={path.stem}"], f"{group}.{key}") for key in node if key != "defaults"]
    return keys


def _texts(max_size: int = 12) -> st.SearchStrategy[str]:
    """Any characters that an argument can have: control characters and bytes that are no UTF-8 as well."""
    undecoded = st.integers(0x80, 0xFF).map(lambda byte: chr(0xDC00 + byte))
    characters = st.one_of(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), undecoded)
    return st.text(characters, max_size=max_size)


NUMBERS = st.one_of(
    st.sampled_from(["nan", "inf", "-inf", "1e999", "-0.0", "1e-320", "0", "-1", "0x10", "1_000", "00", "1e3", "3."]),
    st.integers(-(10**30), 10**30).map(str),
    st.integers(0, 400).map(lambda digits: f"1{'0' * digits}"),
    st.floats().map(repr),
)
WORDS = st.one_of(
    st.sampled_from(["null", "true", "false", "''", '""', "???", "all", "keep", "balanced", "auto", "on", "no"]),
    st.sampled_from(FUNCTIONS),
    st.text(string.printable, max_size=12),
    _texts(),
    st.integers(1, 20_000).map(lambda size: "a" * size),
)
REFERENCES = st.one_of(
    st.sampled_from([*known_keys(), "nothing", "hydra.job.name", "oc.env:HOME", "oc.env:NOWHERE", "now:%Y", ""]),
    st.sampled_from(["oc.decode:'${seed}'", "oc.env:HOME,a", "unless:${steps},1", "unless:1", "oc.select:seed", "x:1"]),
).map(lambda name: f"${{{name}}}")
QUOTED = st.one_of(_texts(), REFERENCES).map(lambda text: "'" + text.replace("\\", "").replace("'", "\\'") + "'")
CALLS = st.one_of(
    st.sampled_from(["range(3)", "range(0)", "range(1,2,0)", "choice(1,2)", "interval(0,1)", "glob(*)", "sort(3,1)"]),
    st.sampled_from(["int(3.7)", "float(x)", "str(1)", "bool(maybe)", "extend_list(1)", "tag(a,1)", "shuffle(1,2)"]),
    st.sampled_from(["json_str({a:1})", "range(1000000000)", "choice()", "nothing(1)", "int(nan)"]),
)
DEEP = st.tuples(st.sampled_from(["[]", "{}"]), st.integers(1, 300)).map(
    lambda pair: (
        pair[0][0] * pair[1] + pair[0][1] * pair[1] if pair[0] == "[]" else "{a:" * pair[1] + "1" + "}" * pair[1]
    )
)
SCALARS = st.one_of(NUMBERS, WORDS, REFERENCES, QUOTED, CALLS)
VALUES = st.one_of(
    SCALARS,
    DEEP,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
            st.dictionaries(st.sampled_from(["a", "_target_", "weight", "1", "lr"]), inner, max_size=3).map(
                lambda node: "{" + ",".join(f"{key}:{value}" for key, value in node.items()) + "}"
            ),
        ),
        max_leaves=5,
    ),
)
MUTATED_KEYS = st.tuples(st.sampled_from(known_keys()), _texts(4), st.integers(0, 30)).map(
    lambda parts: parts[0][: parts[2]] + parts[1] + parts[0][parts[2] :]
)
CHOICES = st.one_of(
    st.sampled_from(_options()),
    st.sampled_from([([], key) for key in (*HYDRA_KEYS, *GROUPS, "init@init.rest", "a@b", "sweep", "reference")]),
    MUTATED_KEYS.map(lambda key: ([], key)),
)
PREFIXES = st.sampled_from(["", "", "", "", "+", "++", "~"])


def _is_harmless(word: str) -> bool:
    """Whether it names no folder outside of that of the test, and asks for no long computation."""
    value = word.partition("=")[2].strip("'\"[ ")
    return not value.startswith(("/", "~", "-")) and ".." not in value and "audit" not in word and "\0" not in word


def _overrides(chosen: tuple[list[str], str], prefix: str, value: str) -> Example:
    words, key = chosen
    override = f"{prefix}{key}={value}"
    mentions = (key, key.rpartition(".")[2], key.partition(".")[0].partition("@")[0], "line")
    mentions += (value.strip("'")[:30],) if len(value) > 5 else ()
    return Example([*NETS, *words, override], mentions=mentions)


KEYS = st.builds(_overrides, CHOICES, PREFIXES, VALUES).filter(lambda example: _is_harmless(example.words[-1]))


def _axis(example: Example, others: list[str]) -> Example:
    words = [*example.words[:-1], ",".join([example.words[-1], *others])]
    return Example(["-m", "hydra.launcher.workers=1", *words], mentions=example.mentions)


AXES = st.builds(_axis, KEYS, st.lists(SCALARS, max_size=3)).filter(
    lambda example: all(_is_harmless(f"={part}") for part in example.words[-1].split(","))
)
