"""The runs of a folder, added to the table of results."""

from pathlib import Path

from gpu_parts.files import read_rows
from zeroinit.report.archive import format_table, merge_rows, read_table


def collect(folder: Path, table: Path) -> None:
    """Add the finished runs of `folder` to the table; `zeroinit-results` then writes its pages again."""
    rows = [
        merged for row in read_rows(folder / "runs.jsonl") for merged in row["rows"] if merged["status"] == "FINISHED"
    ]
    old = read_table(table)
    merged = merge_rows(old, rows)
    table.write_bytes(format_table(merged))
    print(f"{len(rows)} runs of {folder}; {table} has {len(merged)}, and had {len(old)}: run zeroinit-results next")
