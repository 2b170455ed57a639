"""How often a run's outcome is right: varied runs, labelled by their final accuracy alone, against the outcomes.

    python benchmarks/outcomes.py [--runs 300] [--seed 0] [--kept FILE.jsonl]

Each run is drawn at random from CHOICES. It trains for `steps`, which gives its outcome, once more for ten times as
many, and once with early_stop=true. What a run became is kept in FILE as it ends, and is not trained again.

The rules of the labels. They were committed before any run was labelled with them:

- majority: the share of the most frequent class of the test set. best: the best final test accuracy of any run, short
  or long, on the same data with any arch. gain: (accuracy - majority) / (best - majority). It is 0 where best is less
  than 10 points above majority, as nothing can be learned then.
- `diverged`: the loss of the run was not finite.
- `learned`: its gain at the end is LEARNED or more.
- `partly-learned`: its gain is less, but its accuracy is above the majority class: by more than two standard errors
  of an accuracy at the majority class's share, or by a gain of HALFWAY or more (the four points of XOR are too few for
  the first).
- `still-waking`: neither, but the run of ten times as many steps is `learned` or `partly-learned`.
- `fails`: none of these. The outcome may be symmetric, stuck-at-prior, dead-layer or saturated.

The earlier rules had one label `learns` for a gain of a half or more, where best was the best of the same kind of arch.
An arch that cannot solve the data, such as logistic regression on XOR at 75%, is `partly-learned` now: the outcome
compares a run with the data, not with its arch.

By the final accuracy alone, `still-waking` is a run at the majority class, as `fails` is. So agreement is reported in
two ways: by the final accuracy, and with the forecast that `still-waking` is.
"""

import argparse
import json
import math
import platform
import random
from collections import Counter, defaultdict
from pathlib import Path

from zeroinit.kernels import cpu_name, kernel_settings, pin_kernels

pin_kernels()  # before torch is imported

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from zeroinit import CONF
from zeroinit.build import check, load, open_tracker, set_up_torch
from zeroinit.config.compose import job_of
from zeroinit.sweep.runner import run_jobs

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
LEARNED = 0.9  # gain from which on a run is labelled `learned`
HALFWAY = 0.5  # gain from which on a run is at least `partly-learned`, however few the test examples are
LABELS = ("learned", "partly-learned", "still-waking", "fails", "diverged")
WORDS = (
    "learned",
    "partly-learned",
    "still-waking",
    "symmetric",
    "stuck-at-prior",
    "dead-layer",
    "saturated",
    "diverged",
)
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
    """The final test accuracy, the majority class's share and the tags of the run of these overrides and words."""
    cfg = compose(
        "config",
        [f"{key}={value}" for key, value in overrides.items()] + ["tracker=off", *words],
        return_hydra_config=True,
    )
    HydraConfig.instance().set_config(cfg)
    job = job_of(cfg)
    check([job])
    [record] = run_jobs([job], open_tracker(job, "outcomes"), lambda share, accuracy: None)
    labels = load(job.config, set_up_torch(job.config)).test[1]
    tags = {
        key: value for key, value in record.tags.items() if key in ("outcome", "outcome_reason", "error", "stopped_at")
    }
    prior = (labels.bincount().max() / len(labels)).item()
    return {"accuracy": record.last("test/accuracy"), "prior": prior, "examples": len(labels), **tags}


def gain(end: dict[str, object], best: float) -> float:
    """Share of the way from the majority class's accuracy to the best one; 0 where nothing can be learned."""
    reach = best - end["prior"]
    return (end["accuracy"] - end["prior"]) / reach if reach >= 0.1 else 0


def label_by_accuracy(end: dict[str, object], best: float) -> str:
    """`learned`, `partly-learned` or `at-majority`, by the rules above."""
    if gain(end, best) >= LEARNED:
        return "learned"
    error = math.sqrt(end["prior"] * (1 - end["prior"]) / end["examples"])
    is_above = end["accuracy"] > end["prior"] + 2 * error or gain(end, best) >= HALFWAY
    return "partly-learned" if is_above else "at-majority"


def label(short: dict[str, object], long: dict[str, object], best: float) -> str:
    """The label of a run, by the rules above; `long` is the run of ten times as many steps."""
    if short["outcome"] == "diverged":
        return "diverged"
    if (word := label_by_accuracy(short, best)) != "at-majority":
        return word
    return "fails" if label_by_accuracy(long, best) == "at-majority" else "still-waking"


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
    print(f"n = {len(found)}, seed {arguments.seed}; {cpu_name()}, {kernel_settings()}, 1 thread")
    print(f"Python {platform.python_version()}, torch {torch.__version__}")


def best_accuracies(found: list[dict[str, dict[str, object]]]) -> dict[object, float]:
    """By data set, the best final test accuracy of any run that did not diverge."""
    best: dict[object, float] = defaultdict(float)
    for drawn_run in found:
        finite = [drawn_run[name]["accuracy"] for name in ("short", "long") if drawn_run[name]["outcome"] != "diverged"]
        dataset = drawn_run["overrides"]["dataset"]
        best[dataset] = max(best[dataset], *finite, 0)
    return best


def report(found: list[dict[str, dict[str, object]]]) -> None:
    """Print the confusion matrix and the runs that disagree."""
    best = best_accuracies(found)
    counts: Counter[tuple[str, str]] = Counter()
    forecast, disagree = 0, []
    for drawn_run in found:
        short, long = drawn_run["short"], drawn_run["long"]
        truth, word = label(short, long, best[drawn_run["overrides"]["dataset"]]), short["outcome"]
        counts[truth, word] += 1
        said = "fails" if word in FAILS else word
        forecast += truth == said
        if truth != said and {truth, said} != {"fails", "still-waking"}:
            accuracies = f"{short['accuracy']:.1%}, then {long['accuracy']:.1%}"
            disagree.append(f"{truth}, not {word} ({short.get('outcome_reason')}): {accuracies}: {line_of(drawn_run)}")
    print(f"{'label':>14}", *(f"{word:>14}" for word in WORDS))
    for truth in LABELS:
        print(f"{truth:>14}", *(f"{counts[truth, word]:14d}" for word in WORDS))
    right = len(found) - len(disagree)
    print(
        f"{right} of {len(found)} agree by the final accuracy, {right / len(found):.1%}; not these:",
        *disagree,
        sep="\n  ",
    )
    print(f"{forecast} agree with the forecast, {forecast / len(found):.1%}")
    report_early_stop(found, best)


def report_early_stop(found: list[dict[str, dict[str, object]]], best: dict[object, float]) -> None:
    """Print how many runs early_stop ended, and which of them get further when they are not ended."""
    ended = [drawn_run for drawn_run in found if "stopped_at" in drawn_run["stopped"]]
    halfway, leaving = [], []
    for drawn_run in ended:
        reached = best[drawn_run["overrides"]["dataset"]]
        line = f"stopped at {drawn_run['stopped']['stopped_at']}: {line_of(drawn_run)}"
        unstopped = drawn_run["short"], drawn_run["long"]
        if any(gain(end, reached) >= HALFWAY for end in unstopped):
            halfway.append(line)
        elif label_by_accuracy(drawn_run["stopped"], reached) == "at-majority" and any(
            label_by_accuracy(end, reached) != "at-majority" for end in unstopped
        ):
            leaving.append(line)
    print(
        f"early_stop ended {len(ended)}; {len(halfway)} of them get halfway or further if not ended:",
        *halfway,
        sep="\n  ",
    )
    print(f"and {len(leaving)} more leave the majority class, but do not get halfway:", *leaving, sep="\n  ")


def line_of(drawn_run: dict[str, dict[str, object]]) -> str:
    return " ".join(f"{key}={value}" for key, value in drawn_run["overrides"].items())


if __name__ == "__main__":
    main()
