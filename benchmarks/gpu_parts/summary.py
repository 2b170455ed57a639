"""Tables of all parts, as Markdown: how each ended, what it measured, and the bars beside it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from gpu_parts.files import Row, read_json, read_rows
from gpu_parts.paper import gains_of

MEASURED = ("net", "members", "batches", "kernels", "arithmetic", "step_ms", "spread_ms", "epoch_s")
MEASURED += ("samples_per_second", "memory_gib")
EPOCHS = {"mnist_cnn": (15, 15), "cifar_cnn": (20, 90), "resnet50": (30, 480)}  # epochs, and the bar in seconds


def write_summary(out: Path) -> bool:
    """Write summary.md from the other files of the folder, and print it."""
    speed = read_rows(out / "speed.jsonl")
    sections = [
        ("Parts", table(("part", "status", "seconds"), parts(read_json(out / "state.json")))),
        ("CPU kernels", kernels(read_rows(out / "kernels.jsonl"))),
        ("Outcomes", outcomes(read_rows(out / "outcomes.jsonl"))),
        ("Steps", steps(speed)),
        ("Bars", bars(speed)),
        ("Between epochs", between(speed)),
        ("Profiles", profiles(speed)),
        ("Runs", runs(read_rows(out / "runs.jsonl"))),
    ]
    cards = sorted({row["card"] for row in speed})
    text = "\n\n".join([f"# {', '.join(cards) or 'GPU'}", *(f"## {name}\n\n{body}" for name, body in sections)]) + "\n"
    (out / "summary.md").write_text(text)
    print(text)
    return True


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        f"| {' | '.join(f'{cell:.4g}' if isinstance(cell, float) else str(cell) for cell in line)} |" for line in lines
    )


def parts(state: Row) -> list[tuple[object, ...]]:
    return [(name, ended["status"], float(ended["seconds"])) for name, ended in state.items()]


def kernels(rows: Sequence[Row]) -> str:
    heads = list(dict.fromkeys(key for row in rows for key in row))
    return table(heads, [[row.get(head, "") for head in heads] for row in rows]) if rows else "-"


def outcomes(rows: Sequence[Row]) -> str:
    if not rows:
        return "-"
    other = [
        (row["name"], row["here"]["outcome"], row["cpu"]["outcome"], row["here"]["accuracy"], row["cpu"]["accuracy"])
        for row in rows
        if not row["same"]
    ]
    gap = max(abs(row["here"]["accuracy"] - row["cpu"]["accuracy"]) for row in rows)
    said = f"{sum(row['same'] for row in rows)} of {len(rows)} as on the CPU; accuracies differ by {gap:.2%} at most."
    return said + ("\n\n" + table(("run", "here", "CPU", "accuracy here", "on the CPU"), other) if other else "")


def steps(rows: Sequence[Row]) -> str:
    gains = gains_of(rows)
    bounds = {
        (row["net"], row["members"], row["arithmetic"]): row["step_ms"] for row in rows if row.get("kind") == "products"
    }
    body = []
    for row in rows:
        if row.get("kind") == "steps":
            usual = row["kernels"] == "deterministic" and row["arithmetic"] == "float32"
            gain = gains.get((row["net"], row["members"], row["batches"])) if usual else None
            bound = [bounds.get((row["net"], row["members"], one)) for one in ("float32", "TF32")]
            body.append([*(row[key] for key in MEASURED), gain or "-", *(one or "-" for one in bound)])
    heads = ("net", "K", "batches", "kernels", "arithmetic", "step, ms", "spread, ms", "epoch, s", "samples/s")
    heads += ("GiB", "gain", "products float32, ms", "products TF32, ms")
    failed = [f"{row['key']}: {row['error']}" for row in rows if "error" in row]
    return "\n\n".join([table(heads, body), *failed])


def bars(rows: Sequence[Row]) -> str:
    gains, body = gains_of(rows), list[tuple[object, ...]]()
    for members in (64, 256, 512):
        gain = max((gain for (net, size, _), gain in gains.items() if (net, size) == ("fnn", members)), default=0.0)
        body.append((f"{members} members of 784-500-10, gain", gain, 20))
    between = {(row["net"], row["members"]): row for row in rows if row.get("kind") == "between"}
    for row in rows:
        usual = row.get("kind") == "steps" and row["kernels"] == "deterministic" and row["arithmetic"] == "float32"
        if usual and row["members"] == 1 and row["net"] in EPOCHS:
            epochs, bar = EPOCHS[row["net"]]
            rest = between.get((row["net"], 1), {"order_ms": 0.0, "evaluation_ms": 0.0})
            seconds = epochs * (row["epoch_s"] + (rest["order_ms"] + rest["evaluation_ms"]) / 1e3)
            body.append((f"{row['net']}, {epochs} epochs with evaluation, s", seconds, bar))
    return table(("bar", "measured", "wanted"), body)


def between(rows: Sequence[Row]) -> str:
    found = [row for row in rows if row.get("kind") == "between"]
    body = [(row["net"], row["members"], row["order_ms"], row["evaluation_ms"]) for row in found]
    return table(("net", "K", "order, ms", "evaluation, ms"), body)


def profiles(rows: Sequence[Row]) -> str:
    found = [row for row in rows if row.get("kind") == "profile"]
    body = [(row["net"], row["members"], row["wall_ms"], row["busy_ms"], row["kernels"]) for row in found]
    parts = [table(("net", "K", "step, ms", "device busy, ms", "kernels a step"), body)]
    for row in found:
        top = [(ms, count, name) for name, count, ms in row["top"][:6]]
        parts.append(f"{row['net']}, K = {row['members']}:\n\n{table(('ms a step', 'calls', 'kernel'), top)}")
    return "\n\n".join(parts)


def runs(rows: Sequence[Row]) -> str:
    body = []
    for row in rows:
        for kept in row["rows"]:
            accuracy = float(kept.get("test/accuracy") or "nan")
            body.append(
                (
                    kept["sweep"],
                    row["name"],
                    kept["status"],
                    accuracy,
                    kept.get("outcome", ""),
                    float(kept.get("train_seconds") or "nan"),
                    kept.get("stack_size", ""),
                )
            )
    failed = [f"{row['name']}: {row['error']}\n\n    {row['traceback'][-600:]}" for row in rows if row["error"]]
    heads = ("sweep", "run", "status", "test accuracy", "outcome", "seconds", "together")
    return "\n\n".join([table(heads, body), *failed])
