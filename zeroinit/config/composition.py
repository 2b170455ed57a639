"""Messages for what Hydra cannot compose or start: one sentence with the key and what is accepted."""

import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

import zeroinit
from zeroinit import SWEEPS
from zeroinit.arch.named import find_model
from zeroinit.config.choices import options_with
from zeroinit.config.grid_keys import MAX_JOBS, PAIRED, SKIP_IF
from zeroinit.config.nearest import nearest
from zeroinit.config.unknown import FUNCTION_NODES, RULES, suggest_key
from zeroinit.config.yaml_limits import describe_yaml_error
from zeroinit.errors import BadInput

PACKAGE = Path(zeroinit.__file__).parent
OURS = (PACKAGE, PACKAGE.parent / "hydra_plugins" / "zeroinit")
HYDRA = Path(hydra.__file__).parent
ROLES_WITHOUT_FUNCTION = ("recurrent", "scale", "shift", "other")  # whose rule is null or keep by default
GRID_KEYS = (SKIP_IF, PAIRED, MAX_JOBS)  # of zeroinit's own sweeper
COMPOSING = {
    "config_loader_impl",
    "config_repository",
    "defaults_list",
    "override_parser",
}  # files and folders of Hydra


def explain(error: Exception) -> BadInput | None:
    """Return one sentence for an error that the user's input causes in Hydra; None for other errors."""
    if not (isinstance(error, HydraException | OmegaConfBaseException) or _is_raised_by_hydra(error)):
        return None
    return BadInput(_join_lines(_describe(error)))


def _is_raised_by_hydra(error: Exception) -> bool:
    """Return whether Hydra raised it while it composed a config, or before it called any function of ours."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    are_hydras = [file.is_relative_to(HYDRA) for file in files]
    if not any(are_hydras):
        return False
    below = files[are_hydras.index(True) :]  # above are the functions of ours that start Hydra
    is_composing = any(
        COMPOSING & {*file.relative_to(HYDRA).with_suffix("").parts} for file in below if file.is_relative_to(HYDRA)
    )
    return is_composing or not any(file.is_relative_to(folder) for file in below for folder in OURS)


def _describe(error: Exception) -> str:
    """Return the message for an error of Hydra, OmegaConf or YAML."""
    causes = [error, error.__cause__] if isinstance(error.__cause__, OmegaConfBaseException) else [error]
    text = "\n".join(map(str, causes)).strip()
    if isinstance(error, MissingConfigException):
        return _describe_missing(error, text)
    if isinstance(error, YAMLError):
        return _describe_yaml_error(error)
    if isinstance(error, OSError) and error.filename:
        return (
            f"{error.filename}: {error.strerror}; name a folder that can be written by hydra.run.dir or hydra.sweep.dir"
        )
    for pattern, describe_match in PATTERNS:
        if match := re.search(pattern, text, re.DOTALL):
            return describe_match(match)
    if isinstance(error, OverrideParseException):
        if error.override and "=" not in error.override:
            return f"{error.override}: it is not key=value; leave no blank beside the ="
        if "LexerNoViableAltException" in text:
            text = "a character is not allowed there; quote the value, as in 'KEY=\"VALUE\"'"
        return f"{error.override or 'the command line'}: it cannot be read: {text}"
    if isinstance(error, HydraException | OmegaConfBaseException):
        key = getattr(error.__cause__, "full_key", None) or getattr(error, "full_key", None)
        return f"{key}: {text}" if key and key not in text.splitlines()[0] else text
    last = traceback.extract_tb(error.__traceback__)[-1]
    if last.name == "configure_log":
        return "hydra.verbose: give true, false, or a list of names of loggers"
    reason = text or f"{type(error).__name__} in {last.name}"
    return f"Hydra cannot use this config: {reason}; HYDRA_FULL_ERROR=1 shows where"


def _join_lines(text: str) -> str:
    """Return the text as one line, without links to Hydra's pages and without OmegaConf's types."""
    dropped = ("See https://", "full_key:", "object_type=", "reference_type=", "To append to your config")
    return " ".join(" ".join(line for line in text.splitlines() if not line.strip().startswith(dropped)).split())


def _describe_missing(error: MissingConfigException, text: str) -> str:
    """Return the message for a config file, or an option of a group, that does not exist."""
    name = error.missing_cfg_file or ""
    if "primary config" in text or not error.options:
        sweep = nearest(name, (path.stem for path in SWEEPS.glob("*.yaml")))
        return (
            f"-cn {name}: there is no such config file; give a sweep of zeroinit, such as {sweep}, or a file in the "
            "folder that -cd names"
        )
    group, _, option = name.partition("/")
    if group == "hydra":
        group, _, option = name.rpartition("/")
    if group == "arch" and (model := find_model(option)):
        return f"{group}={option}: there is no such option; it is a model by name: give {model}"
    return f"{group}={option}: there is no such option; give one of {', '.join(error.options)}"


def _describe_yaml_error(error: YAMLError) -> str:
    """Return the message for a file that is not YAML, with the line of the fault."""
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    return f"{mark.name if mark else 'a config file'}: {describe_yaml_error(error)}"


def _describe_unknown_key(match: re.Match[str]) -> str:
    """Return the message for a key without `+` that the config does not have."""
    key, line = match["key"], match["line"]
    if key in GRID_KEYS:
        return f"{line}: the sweeper that hydra/sweeper chooses has no such key; leave out one of them"
    if key.startswith("hydra."):
        return f"{line}: Hydra has no such key"
    node, _, name = key.rpartition(".")
    if key.startswith("metrics.") or (node in RULES and (name == "_target_" or node.endswith(ROLES_WITHOUT_FUNCTION))):
        return f"{line}: the config has no such key; give +{line}"
    options = options_with(key)
    if options or node in FUNCTION_NODES:
        hint = f"it is a key of {_join_names(options)}" if options else suggest_key(key)
        advice = f"give ++{line} if the function, or an option on an axis, takes it"
        return f"{line}: the config has no such key; {hint}, or {advice}"
    return f"{line}: there is no such key; {suggest_key(key, line.partition('=')[2])}"


def _join_names(names: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


PATTERNS: list[tuple[str, Callable[[re.Match[str]], str]]] = [  # Hydra's message, and ours
    (r"Could not override '(?P<key>.*?)'\..*use \+(?P<line>[^\n]*)", _describe_unknown_key),
    (
        r"Could not delete from config\. '(.*?)' does not exist",
        lambda match: f"~{match[1]}: there is no such key, or its value is null, which Hydra cannot delete",
    ),
    (
        r"Ambiguous value for argument '(.*?)'\n",
        lambda match: f"{match[1]}: more than one value is an axis of a sweep; give -m, or [A,B] for a list",
    ),
    (r"Sweep parameters '(.*?)' requires", lambda match: f"{match[1]}: it is an axis of a sweep; give -m"),
    (
        r"Multiple values for (.*?)\. To override",
        lambda match: f"+{match[1]}: the config has an option of {match[1]} already; leave out the +",
    ),
    (
        r"Key '(.*?)' not in '\w*SweeperConf'",
        lambda match: (
            f"hydra.sweeper.{match[1]}: the sweeper that hydra/sweeper chooses has no such key; leave out one of them"
        ),
    ),
    (
        r"Error resolving interpolation '(.*?)', possible interpolation keys: ([^\n]*)",
        lambda match: f"{match[1]}: in place of an option, only a group can be referred to, one of {match[2]}",
    ),
    (r"Error merging override (.*?)\n(.*)", lambda match: f"{match[1]}: {match[2]}"),
    (r"Error parsing override '(.*?)'\n(.*)", lambda match: f"{match[1]}: it cannot be read: {match[2]}"),
    (
        r"Config group override must be a string or a list. Got (\w+)",
        lambda match: f"a config group takes the name of an option, not a value of type {match[1]}",
    ),
    (
        r"Unsupported (?:item value|type) in defaults : (\w+)",
        lambda match: f"a defaults list takes names of options, not a value of type {match[1]}; quote it, as in 'off'",
    ),
    (
        r"In '(.*?)': ConfigTypeError raised .*Cannot merge",
        lambda match: f"{match[1]}: the file gives a list where keys are needed, or keys where a list is needed",
    ),
]
