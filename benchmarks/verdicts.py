"""How often a run's verdict is right: varied runs, labelled by their final accuracy alone, against the verdicts.

    python benchmarks/verdicts.py [--runs 300] [--seed 0] [--kept FILE.jsonl]

Each run is drawn at random from CHOICES. It trains for `steps`, which gives its verdict, once more for ten times as
many, and once with early_stop=true. What a run became is kept in FILE as it ends, and is not trained again.

The rules of the labels, which were frozen before the verdict was written:

- prior: the share of the commonest class of the test set. best: the best final test accuracy of any run, short or
  long, on the same data with the same kind of arch (logistic or fnn). gain: (accuracy - prior) / (best - prior), and 0
  where best is less than 10 points above the prior, as nothing can be learnt then.
- `diverged`: the loss of the run was not finite.
- `learns`: its gain at the end is a half or more.
- `still-waking`: it is less, but that of the run ten times as long is a half or more.
- `fails`: neither. The verdict may call it symmetric, stuck-at-prior, dead-layer or saturated.

By the final accuracy alone, `still-waking` is a run that has not learnt, as `fails` is: agreement is told so, and then
with the forecast that `still-waking` is.
"""

import argparse
import json
import os
import platform
import random
from collections import Counter, defaultdict
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from zeroinit import CONF
from zeroinit.build import check, load, open_tracker, set_up_torch
from zeroinit.runs import run
from zeroinit.train import job_of

CHOICES = {
    "dataset": ["digits", "mnist5k", "planar", "xor"],
    "arch": ["logistic", *["fnn"] * 9],
    "arch.hidden": ["[8]", "[64]", "[128]", "[500]", "[32,32]", "[64,64]", "[16,16,16]", "[32,32,32,32]"],
    "arch.activation": ["elu", "relu", "tanh", "sigmoid"],
    "init": sorted(path.stem for path in (CONF / "init").glob("*.yaml")),
    "bias_scale.value": [0.01, 1, 1, 10, 100],
    "optimizer": ["adam", "adam", "sgd", "momentum"],
    "optimizer.lr": [0.0001, 0.001, 0.01, 0.1, 1],
    "steps": [30, 100, 300],
    "seed": list(range(1000)),
}
LABELS = ("learns", "still-waking", "fails", "diverged")
WORDS = ("learns", "still-waking", "symmetric", "stuck-at-prior", "dead-layer", "saturated", "diverged")
FAILS = {"symmetric", "stuck-at-prior", "dead-layer", "saturated"}


def drawn(runs: int, seed: int) -> list[dict[str, object]]:
    """The overrides of each run."""
    source, found = random.Random(seed), []
    for _ in range(runs):
        one = {key: source.choice(values) for key, values in CHOICES.items()}
        if one["arch"] == "logistic":
            del one["arch.hidden"], one["arch.activation"]
        found.append(one)
    return found


def became(overrides: dict[str, object], words: list[str]) -> dict[str, object]:
    """The final test accuracy, the prior and the tags of the run that these overrides and words describe."""
    cfg = compose(
        "config",
        [f"{key}={value}" for key, value in overrides.items()] + ["tracker=off", *words],
        return_hydra_config=True,
    )
    HydraConfig.instance().set_config(cfg)
    job = job_of(cfg)
    check([job])
    [record] = run([job], open_tracker(job, "verdicts"), lambda share, accuracy: None)
    labels = load(job.values, set_up_torch(job.values)).test[1]
    tags = {key: value for key, value in record.tags.items() if key in ("verdict", "reason", "error", "stopped_at")}
    prior = (labels.bincount().max() / len(labels)).item()
    return {"accuracy": record.last("test/accuracy"), "prior": prior, **tags}


def label(short: dict[str, object], long: dict[str, object], best: float) -> str:
    """By the rules above."""

    def gain(one: dict[str, object]) -> float:
        return (one["accuracy"] - one["prior"]) / (best - one["prior"]) if best - one["prior"] >= 0.1 else 0

    if short["verdict"] == "diverged":
        return "diverged"
    if gain(short) >= 0.5:
        return "learns"
    return "still-waking" if gain(long) >= 0.5 else "fails"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path)
    arguments = parser.parse_args()
    kept = {}
    if arguments.kept and arguments.kept.exists():
        kept = {json.dumps(one["overrides"]): one for one in map(json.loads, arguments.kept.read_text().splitlines())}
    found = []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for index, overrides in enumerate(drawn(arguments.runs, arguments.seed), start=1):
            one = kept.get(json.dumps(overrides))
            if one is None:
                longer = [f"steps={10 * overrides['steps']}"]
                one = {"overrides": overrides, "short": became(overrides, []), "long": became(overrides, longer)}
                one["stopped"] = became(overrides, ["early_stop=true"])
                if arguments.kept:
                    with arguments.kept.open("a") as file:
                        file.write(json.dumps(one) + "\n")
            found.append(one)
            print(f"\r{index}/{arguments.runs}", end="", flush=True)
    print()
    report(found)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, 1 thread"
    print(f"{machine}, Python {platform.python_version()}, torch {torch.__version__}")


def report(found: list[dict[str, dict[str, object]]]) -> None:
    """Print the confusion matrix, the runs that disagree, and what stopping early would have cost."""
    best: dict[tuple[object, object], float] = defaultdict(float)
    for one in found:
        kind = one["overrides"]["dataset"], one["overrides"]["arch"]
        finite = [one[length]["accuracy"] for length in ("short", "long") if one[length]["verdict"] != "diverged"]
        best[kind] = max(best[kind], *finite, 0)
    counts: Counter[tuple[str, str]] = Counter()
    right, forecast, disagree, stopped, wrong = 0, 0, [], 0, []
    for one in found:
        truth = label(one["short"], one["long"], best[one["overrides"]["dataset"], one["overrides"]["arch"]])
        word = one["short"]["verdict"]
        counts[truth, word] += 1
        said = "fails" if word in FAILS else word
        forecast += truth == said
        agrees = truth == said or {truth, said} == {"fails", "still-waking"}
        right += agrees
        line = " ".join(f"{key}={value}" for key, value in one["overrides"].items())
        if not agrees:
            accuracies = f"{one['short']['accuracy']:.1%}, then {one['long']['accuracy']:.1%}"
            disagree.append(f"{truth}, not {word} ({one['short'].get('reason')}): {accuracies}: {line}")
        if "stopped_at" in one["stopped"]:
            stopped += 1
            if truth in ("learns", "still-waking"):
                wrong.append(f"{truth}, stopped at {one['stopped']['stopped_at']}: {line}")
    print(f"{'label':>14}", *(f"{word:>14}" for word in WORDS))
    for truth in LABELS:
        print(f"{truth:>14}", *(f"{counts[truth, word]:14d}" for word in WORDS))
    print(
        f"{right} of {len(found)} agree by the final accuracy, {right / len(found):.1%}; not these:",
        *disagree,
        sep="\n  ",
    )
    print(f"{forecast} agree with the forecast, {forecast / len(found):.1%}")
    print(f"early_stop ended {stopped}, {len(wrong)} of them wrongly:", *wrong, sep="\n  ")


if __name__ == "__main__":
    main()
