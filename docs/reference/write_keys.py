"""Write docs/reference/keys.md and the list of keys in the help, from the comments in conf/config.yaml.

What a key accepts is what the program says when it refuses another value.
"""

import copy
import math
import re
import textwrap
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from zeroinit import CONF
from zeroinit.config.compose import job_of
from zeroinit.config.identity import KEYS_WITHOUT_EFFECT, PATH_KEYS, SWEEP_ONLY_KEYS
from zeroinit.config.schedule import fit_to_run
from zeroinit.config.schema import RunConfig
from zeroinit.errors import BadInput

REFERENCE = Path(__file__).with_name("keys.md")
HELP = CONF / "hydra" / "help" / "zeroinit.yaml"
HELP_LIST = re.compile(r"(?<=change a value with key=value\n\n).*?(?=\n  All about these keys)", re.DOTALL)
SCHEDULE_STEPS = 1000  # of a run in which each shipped schedule fits
MISSING = "no such key"
WIDTH = 116  # of a line of the help
INTRODUCTION = """# Every key of a run

`./dev docs` writes this page from the comments in `conf/config.yaml` and from the checks in
`zeroinit/config/`. Change a value with `key=value`, and choose an option with `group=option`.

A key that is *hashed* belongs to the identity of a run: with another value it is another run. A key that changes
nothing, such as `schedule.factor` if `schedule.steps` is 0, is not hashed.
"""


def read_comments() -> dict[str, str]:
    """Return {key: its comment} in the order of groups.

    In the list of defaults a comment names its key; elsewhere it is above the key. Indented lines of it are items.
    """
    comments: dict[str, list[str]] = {}
    path: list[str] = []
    block: list[str] = []
    defaults, _, body = (CONF / "config.yaml").read_text().partition("\n\n")
    for line in re.findall(r"^ +# ?(.*)", defaults, re.MULTILINE):
        key, is_named, text = line.partition(": ")
        if is_named and re.fullmatch(r"[A-Za-z0-9_.@]+", key):
            comments[key] = block = []
        block.append(text if is_named else line)
    block = []
    for line in body.partition("\nhydra:")[0].splitlines():
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("#"):
            block.append(line.lstrip(" #") if not line.startswith("#   ") else re.sub(" {2,}", ": ", f"<br>{line[4:]}"))
        elif line.strip():
            path = [*path[: indent // 2], line.partition(":")[0].strip()]
            comments.setdefault(".".join(path), block)
            block = []
    groups = list(dict.fromkeys(key.partition(".")[0] for key in comments))
    by_group = sorted(comments, key=lambda key: groups.index(key.partition(".")[0]))
    return {key: " ".join(comments[key]) for key in by_group}


def find_defaults() -> dict[str, dict[str, Any]]:
    """Return {key: {option: its value}}; for keys of config.yaml itself the option is empty."""
    defaults: dict[str, dict[str, Any]] = {}

    def walk(node: Any, path: str, option: str) -> None:
        for name, value in node.items():
            if isinstance(value, dict):
                walk(value, f"{path}{name}.", option)
            if name != "_target_":
                defaults.setdefault(f"{path}{name}", {})[option] = value

    ours: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    walk({key: value for key, value in ours.items() if key not in ("defaults", "hydra")}, "", "")
    for file in sorted(CONF.glob("*/*.yaml")):
        walk(OmegaConf.to_container(OmegaConf.load(file)), f"{file.parent.name}.", file.stem)
    return defaults


def default_values() -> dict[str, Any]:
    """Return the resolved values of a run without overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return job_of(cfg).values


def fill_missing(node: Any) -> Any:
    """Return the node with a function in place of each that the user must name."""
    if isinstance(node, dict):
        return {key: fill_missing(value) for key, value in node.items()}
    return "builtins.object" if node == "???" else node


def describe_accepted(key: str, option: str, values: dict[str, Any]) -> str:
    """Return what the message about NaN says that the key accepts; empty if no check refuses it."""
    values = copy.deepcopy(values)
    group, *nodes = key.split(".")[:-1] or [""]
    if option:
        merged = OmegaConf.create(values | {"option": OmegaConf.load(CONF / group / f"{option}.yaml")})
        values[group] |= fill_missing(OmegaConf.to_container(merged.option, resolve=True))
    if key == "steps":
        values["epochs"] = None
    node = values
    for name in filter(None, [group, *nodes]):
        node = node[name]
    node[key.rpartition(".")[2]] = math.nan
    try:
        config = RunConfig.parse(values)
        schedule = fit_to_run(config.schedule, SCHEDULE_STEPS)
        nets = config.arch, *config.init.targets, config.bias_scale
        for target in (config.dataset.source, *nets, config.optimizer, schedule):
            target.resolve()
    except BadInput as error:
        return str(error).partition(": give ")[2]
    return ""


def is_hashed(key: str) -> bool:
    """Return whether the key can change a number of a run."""
    group, _, name = key.partition(".")
    return group not in KEYS_WITHOUT_EFFECT and not (group == "dataset" and name in PATH_KEYS)


def write_value(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def format_default(by_option: dict[str, Any]) -> str:
    """Return the value, or each value with the options that have it."""
    options: dict[str, list[str]] = {}
    for option, value in by_option.items():
        options.setdefault(write_value(value), []).append(option)
    if len(options) == 1:
        return f"`{next(iter(options))}`"
    return ", ".join(f"`{text}` ({', '.join(names)})" for text, names in options.items())


def make_reference(comments: dict[str, str], defaults: dict[str, dict[str, Any]]) -> str:
    """Return the content of keys.md."""
    values = default_values()
    groups = [path.name for path in sorted(CONF.iterdir()) if path.is_dir() and path.name in comments]
    sections: dict[str, list[str]] = {group: [] for group in comments if group in groups} | {"": []}
    for key, comment in comments.items():
        by_option = defaults.get(key, {})
        if not by_option or (isinstance(by_option.get(""), dict) and by_option[""]) or key.startswith("init@"):
            continue
        group = key.partition(".")[0]
        accepted = describe_accepted(key, min(by_option), values) if group != "size" else ""
        is_node = any(isinstance(value, dict) and value for value in by_option.values())
        default = "of the option" if is_node else format_default(by_option)
        cells = (f"`{key}`", comment, accepted, default, "yes" if is_hashed(key) else "no")
        sections[group if group in groups else ""].append(f"| {' | '.join(cells)} |".replace("<class>", "&lt;class>"))
    parts = [INTRODUCTION]
    for group, rows in sections.items():
        options = ", ".join(f"`{file.stem}`" for file in sorted((CONF / group).glob("*.yaml"))) if group else ""
        head = f"## {group}\n\n{comments[group]} Options: {options}.\n" if group else "## Other keys\n"
        parts.append(
            "\n".join([head, "| key | meaning | accepted | default | hashed |", "|---|---|---|---|---|", *rows, ""])
        )
    return "\n".join(parts)


def make_help_list(comments: dict[str, str], defaults: dict[str, dict[str, Any]]) -> str:
    """Return the lines of the help: each key of the default options, its default, and the first sentence on it."""
    lines, run = [], OmegaConf.create(default_values())
    for key, comment in comments.items():
        by_option = defaults.get(key, {})
        if not by_option or any(isinstance(value, dict) and value for value in by_option.values()):
            continue
        value = OmegaConf.select(run, key, default=MISSING)
        if value == MISSING or key.partition(".")[0] in SWEEP_ONLY_KEYS or key.startswith("init.rest."):
            continue
        is_list = OmegaConf.is_list(value) or isinstance(value, list)
        default = f"[{','.join(map(write_value, value))}]" if is_list else write_value(value)
        default = re.sub(r"^\$\{([\w.]+)\}$", r"\1", default)  # the name of the key, as Hydra would fill in its value
        sentence = re.split(r"(?<=\.) ", comment)[0].removesuffix(".")
        start = f"{key:<25} {default:<12}  "
        if len(start + sentence) > WIDTH:
            sentence = sentence.partition("; ")[0]  # the reference has the rest
        lines += textwrap.wrap(sentence, WIDTH, initial_indent=start, subsequent_indent=" " * 40)
    return "".join(f"    {line}\n" for line in lines)


def make_help(comments: dict[str, str], defaults: dict[str, dict[str, Any]]) -> str:
    """Return the content of the help's file."""
    return HELP_LIST.sub(lambda _: make_help_list(comments, defaults), HELP.read_text())


if __name__ == "__main__":
    described, shipped = read_comments(), find_defaults()
    REFERENCE.write_text(make_reference(described, shipped))
    HELP.write_text(make_help(described, shipped))
