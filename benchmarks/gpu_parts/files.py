"""Results as lines of JSON: added as soon as they are there, read back by the next call."""

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Return the file's rows; none where there is no file. A last line that was cut off is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def add_row(path: Path, row: Row) -> None:
    """Write the row behind the others, and print it in short."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
    shown = {key: value for key, value in row.items() if not isinstance(value, list | dict)}
    print(f"{path.stem}: {json.dumps(shown)[:300]}", flush=True)


def read_json(path: Path) -> Row:
    """Return the object that the file holds; an empty one where there is no file."""
    held: Row = json.loads(path.read_text()) if path.is_file() else {}
    return held


def write_json(path: Path, content: Row) -> None:
    """Write the whole file, or leave the old one."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.rename(path)
