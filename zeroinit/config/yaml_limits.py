"""Limits of the YAML files that a user gives: what Hydra would need minutes, or all memory, to compose is refused."""

from pathlib import Path
from typing import Any

import yaml

from zeroinit import CONF
from zeroinit.errors import BadInput
from zeroinit.regular_files import irregular_kind

MAX_BYTES = 2**20
MAX_NODES = 5_000  # keys and values, with those that aliases repeat; a sweep file has some hundreds
MAX_DEPTH = 50
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if PyYAML has it


def check_yaml(path: Path) -> None:
    """Raise BadInput for a file that is no text or no YAML, or that has too many nodes or levels.

    The file is read as a stream of events, in which an alias counts as all that it repeats.
    """
    if kind := irregular_kind(path):
        raise BadInput(f"{path}: it is {kind}, not a file; give a file of YAML")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BadInput(f"{path}: it has {size / 2**20:.1f} MiB; give a file of at most {MAX_BYTES >> 20} MiB")
        text = path.read_text(encoding="utf-8")
        fault = _find_excess(yaml.parse(text, Loader=LOADER))
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: byte {error.start} is not UTF-8 ({error.reason}); save the file as UTF-8") from error
    except OSError as error:
        raise BadInput(f"{path}: it cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: {describe_yaml_error(error)}") from error
    if fault:
        raise BadInput(f"{path}: {fault}")


def describe_yaml_error(error: yaml.YAMLError) -> str:
    """Return what is not YAML in a file, with the line of the fault if it is known."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"it is not YAML: {' '.join(str(error).split())}"
    problem = f"{error.context}, {error.problem}" if error.context else str(error.problem)
    return f"line {error.problem_mark.line + 1} is not YAML: {problem}"


def _find_excess(events: Any) -> str:
    """Return what there is too much of; empty if there is nothing."""
    nodes = 0
    sizes: dict[str, int] = {}  # of what an anchor names
    open_nodes: list[tuple[str | None, int]] = []  # the anchor of each level, and the number of nodes before it
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                return f"line {line}: *{event.anchor} is a part of what it names; give a node without cycles"
            nodes += sizes.get(event.anchor, 0)
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            sizes[event.anchor or ""] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, nodes))
            nodes += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            sizes[anchor or ""] = nodes - before
        if len(open_nodes) > MAX_DEPTH:
            return f"line {line}: it has more than {MAX_DEPTH} levels; give fewer"
        if nodes > MAX_NODES:
            return f"line {line}: it has more than {MAX_NODES:,} nodes, with those that aliases repeat; give fewer"
    return ""


def limit_hydra() -> None:
    """Have Hydra check each file before it loads it."""
    from hydra._internal.core_plugins.file_config_source import FileConfigSource  # reports need no Hydra

    real = FileConfigSource.load_config
    if real.__module__ == __name__:
        return

    def load_config(source: FileConfigSource, config_path: str) -> Any:
        path = Path(source.path, source._normalize_file_name(config_path))
        if path.exists() and not path.is_relative_to(CONF):
            check_yaml(path)
        return real(source, config_path)

    FileConfigSource.load_config = load_config  # type: ignore[method-assign, assignment]
