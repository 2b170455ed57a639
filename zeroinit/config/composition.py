"""What Hydra cannot compose or start, in one sentence with the key and what is accepted."""

import re
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

import hydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

import zeroinit
from zeroinit import SWEEPS
from zeroinit.config.unknown import FUNCTIONS, advice
from zeroinit.errors import BadInput

PACKAGE = Path(zeroinit.__file__).parent
OURS = (PACKAGE, PACKAGE.parent / "hydra_plugins" / "zeroinit")
HYDRA = Path(hydra.__file__).parent
COMPOSING = {
    "config_loader_impl",
    "config_repository",
    "defaults_list",
    "override_parser",
}  # files and folders of Hydra


def explain(error: Exception) -> BadInput | None:
    """Return the sentence for what Hydra refuses; None for an error that is not of the user's input."""
    if not (isinstance(error, HydraException | OmegaConfBaseException) or is_raised_by_hydra(error)):
        return None
    return BadInput(without_page(sentence(error)))


def is_raised_by_hydra(error: Exception) -> bool:
    """Return whether Hydra raised it while it composed a config, or before it called any function of ours."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    of_hydra = [file.is_relative_to(HYDRA) for file in files]
    if not any(of_hydra):
        return False
    below = files[of_hydra.index(True) :]  # above stand the functions of ours that start Hydra
    is_composing = any(
        COMPOSING & {*file.relative_to(HYDRA).with_suffix("").parts} for file in below if file.is_relative_to(HYDRA)
    )
    return is_composing or not any(file.is_relative_to(folder) for file in below for folder in OURS)


def sentence(error: Exception) -> str:
    causes = [error, error.__cause__] if isinstance(error.__cause__, OmegaConfBaseException) else [error]
    text = "\n".join(str(one) for one in causes).strip()
    if isinstance(error, MissingConfigException):
        return missing(error, text)
    if isinstance(error, YAMLError):
        return of_yaml(error)
    if isinstance(error, OSError) and error.filename:
        return (
            f"{error.filename}: {error.strerror}; name a folder that can be written by hydra.run.dir or hydra.sweep.dir"
        )
    for pattern, words in PATTERNS:
        if match := re.search(pattern, text, re.DOTALL):
            return words(match)
    if isinstance(error, OverrideParseException):
        return f"{error.override or 'the command line'}: it cannot be read: {text}"
    if isinstance(error, HydraException | OmegaConfBaseException):
        return text
    last = traceback.extract_tb(error.__traceback__)[-1]
    if last.name == "configure_log":
        return "hydra.verbose: give true, false, or a list of names of loggers"
    reason = text or f"{type(error).__name__} in {last.name}"
    return f"Hydra cannot use this config: {reason}; HYDRA_FULL_ERROR=1 shows where"


def without_page(text: str) -> str:
    """The text in one line, without links to Hydra's pages and without OmegaConf's types."""
    dropped = ("See https://", "full_key:", "object_type=", "reference_type=", "To append to your config")
    return " ".join(" ".join(line for line in text.splitlines() if not line.strip().startswith(dropped)).split())


def missing(error: MissingConfigException, text: str) -> str:
    """A config file, or an option of a group, that does not exist."""
    name = error.missing_cfg_file or ""
    if "primary config" in text or not error.options:
        sweeps = sorted(path.stem for path in SWEEPS.glob("*.yaml"))
        close = get_close_matches(name, sweeps, 3) or ["quickstart"]
        return (
            f"-cn {name}: there is no such config file; give a sweep of zeroinit, such as {', '.join(close)}, or a "
            "file in the folder that -cd names"
        )
    group, _, option = name.partition("/")
    if group == "hydra":
        group, _, option = name.rpartition("/")
    return f"{group}={option}: there is no such option; give one of {', '.join(error.options)}"


def of_yaml(error: YAMLError) -> str:
    """A file that is not YAML, with the line of the fault."""
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    if mark is None or not isinstance(error, MarkedYAMLError):
        return f"a config file is not YAML: {' '.join(str(error).split())}"
    problem = f"{error.context}, {error.problem}" if error.context else str(error.problem)
    return f"{mark.name}: line {mark.line + 1} is not YAML: {problem}"


def of_unknown(match: re.Match[str]) -> str:
    """A key without `+` that the config does not have."""
    key, line = match["key"], match["line"]
    if key.startswith("hydra."):
        return f"{line}: Hydra has no such key"
    if key.rpartition(".")[0] in FUNCTIONS:
        return f"{line}: the config has no such key; {advice(key)}, or give +{line} where the function takes it"
    return f"{line}: there is no such key; {advice(key)}"


PATTERNS: list[tuple[str, Callable[[re.Match[str]], str]]] = [  # what Hydra says, and what to say instead
    (r"Could not override '(?P<key>.*?)'\..*use \+(?P<line>[^\n]*)", of_unknown),
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
