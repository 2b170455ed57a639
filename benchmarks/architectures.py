"""What runs, of public architectures under two inits: writes docs/reference/architectures.md.

    python benchmarks/architectures.py [--nets FILE.py] [--store FILE.jsonl] [--only NAME ...] [--write]

Each architecture is initialised by `default` and by `zero_normal`, both with `init.other=keep`, and trains for STEPS
steps on 8x8 digits, resized where a model needs larger images, with every probe. Results are kept in FILE as they end,
and are not computed again. --nets adds the classes of a file, as nets of users. --write writes the page.
"""

import argparse
import csv
import inspect
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from zeroinit.kernels import cpu_name, kernel_settings, pin_kernels

pin_kernels()  # before torch is imported

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from torch import nn

from zeroinit import CONF
from zeroinit.build import check, load, set_up_torch
from zeroinit.build.model import make_model
from zeroinit.config import Job
from zeroinit.config.compose import job_of
from zeroinit.errors import BadInput
from zeroinit.probes.metrics import all_probes
from zeroinit.sweep.runner import run_jobs
from zeroinit.tracker.memory import Off

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "architectures.md"
STEPS, EXAMPLES, BATCH = 20, 80, 8
INITS = ("default", "zero_normal")
SIDE_32 = "dataset.resize=32"
NAMED: dict[str, dict[str, list[str]]] = {  # {library: {model: more overrides}}
    "torchvision": {
        "alexnet": [],
        "densenet121": [SIDE_32],
        "efficientnet_b0": [SIDE_32],
        "fcn_resnet50": [SIDE_32],
        "googlenet": [SIDE_32],
        "maxvit_t": [SIDE_32],
        "mnasnet0_5": [SIDE_32],
        "mnasnet0_75": [SIDE_32],
        "mobilenet_v2": [SIDE_32],
        "mobilenet_v3_large": [SIDE_32],
        "mobilenet_v3_small": [SIDE_32],
        "regnet_x_400mf": [SIDE_32],
        "regnet_y_400mf": [SIDE_32],
        "resnet18": [SIDE_32],
        "shufflenet_v2_x0_5": [SIDE_32],
        "squeezenet1_1": [SIDE_32],
        "swin_t": [SIDE_32],
    },
    "timm": {
        "resnet10t": [SIDE_32],
        "test_convnext": [SIDE_32],
        "test_efficientnet": [SIDE_32],
        "test_mambaout": [SIDE_32],
        "test_maxvit": [SIDE_32],
        "test_nfnet": [SIDE_32],
        "test_resnet": [SIDE_32],
        "test_vit": [SIDE_32],
        "vit_tiny_patch16_224": ["+arch.patch_size=4", "+arch.depth=3", "+arch.embed_dim=48"],
    },
}
IN_PART = re.compile(r"(?:; |(?<=: ))(?=\w+(?: and \w+)* leaves? out )")
LEFT_OUT = re.compile(r"(?:^|; |: )(\w+) is left out(?: after step \d+)?: ")
INTRODUCTION = """# Architectures

`benchmarks/architectures.py` writes this page: {count} architectures under two inits, `default` and `zero_normal`,
each with `init.other=keep`. A run has {steps} steps in batches of {batch}, on {examples} training digits, with every
probe and one seed (n = 1). It shows what runs, not what learns.

{conditions}

- **given**: keys besides `arch` and `arch.model`. The digits have 8x8 pixels.
- **parameters**: how many numbers are trained.
- **in init.csv**: the parameters that have a line there, of all.
- **left out**: the probes that do not apply, or not to all layers. The number is that of the reason below. An init is
  named if it is the only one.
  All others wrote their metrics.
- The last two columns have the [outcome](outcomes.md) of each run.
"""


class Kept(Off):
    """Keeps all that a store would have, probes included."""

    is_persistent = True


def list_architectures(nets: Path | None) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (kind, name, overrides)."""
    for library, models in NAMED.items():
        for model, more in models.items():
            yield library, model, [f"arch={library}", f"arch.model={model}", *more]
    for kind, path in (("torch.nn", Path(__file__).with_name("torch_nets.py")), ("a user", nets)):
        if path is not None:
            sys.path.insert(0, str(path.parent))
            for name, value in vars(import_module(path.stem)).items():
                if inspect.isclass(value) and issubclass(value, nn.Module) and value.__module__ == path.stem:
                    yield kind, name, ["arch=logistic", f"arch._target_={path.stem}.{name}"]


def compose_job(overrides: Iterable[str]) -> Job:
    """Return the job of one run."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        probes = f"probe.measure=[{','.join(all_probes())}]"
        size = [f"dataset.batch_size={BATCH}", f"dataset.max_examples={EXAMPLES}", f"steps={STEPS}"]
        rest = [
            "init.other=keep",
            "probe.first_steps=1",
            "probe.per_decade=2",
            "probe.curvature=[0]",
            "probe.examples=4",
            "tracker=off",
        ]
        cfg = compose("config", ["dataset=digits", *size, probes, *rest, *overrides], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return job_of(cfg)


def try_run(overrides: list[str]) -> dict[str, object]:
    """Train one run. Return what it became, or the refusal."""
    started = time.perf_counter()
    try:
        job = compose_job(overrides)
        check([job])
    except BadInput as error:
        return {"refusal": str(error)}
    model = make_model(job.config, load(job.config, set_up_torch(job.config)))
    [record] = run_jobs([job], Kept(), lambda share, score: None)
    rows = [row["parameter"] for row in csv.DictReader(record.files.get("init.csv", b"").decode().splitlines())]
    names = {name for name, _ in model.named_parameters()}
    absent = sorted(name for name in names if not any(row == name or row.startswith(f"{name}.") for row in rows))
    sentence = record.tags.get("skipped_probes", "")
    whole, *in_part = IN_PART.split(sentence)
    parts = LEFT_OUT.split(whole)[1:]
    left_out = dict(zip(parts[::2], parts[1::2], strict=True))
    for text in in_part:
        probes, _, reason = re.split(r" (leaves?) out ", text.removeprefix(f"{job.params['arch']}: "))
        left_out |= {name: f"in part: {hide_layers(reason)}" for name in probes.split(" and ")}
    written = {name for name, _, _ in record.metrics}
    for name, probe in all_probes().items():
        patterns = [re.escape(metric.name).replace(r"\{layer\}", ".+") for metric in probe.metrics]
        has_value = any(re.fullmatch(pattern, metric) for pattern in patterns for metric in written)
        if name not in left_out and patterns and not has_value:
            left_out[name] = "it applies, and had no value to write: no gradient beyond rounding, or no finite value"
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "named": len(names),
        "absent": absent,
        "left_out": left_out,
        "outcome": record.tags.get("outcome", ""),
        "status": str(record.status),
        "error": record.tags.get("error", ""),
        "seconds": round(time.perf_counter() - started, 1),
    }


def collect(arguments: argparse.Namespace) -> dict[tuple[str, str], dict[str, dict[str, object]]]:
    """Return {(kind, name): {init: what try_run returns}}, of all architectures."""
    stored: dict[str, dict[str, object]] = {}
    if arguments.store and arguments.store.exists():
        lines = map(json.loads, arguments.store.read_text().splitlines())
        stored = {json.dumps(line["key"]): line["result"] for line in lines}
    results: dict[tuple[str, str], dict[str, dict[str, object]]] = {}
    for kind, name, overrides in list_architectures(arguments.nets):
        if arguments.only and name not in arguments.only:
            continue
        for init in INITS:
            key = json.dumps([kind, name, init])
            if key not in stored:
                stored[key] = try_run([*overrides, f"init={init}"])
                if arguments.store:
                    line = json.dumps({"key": json.loads(key), "result": stored[key]})
                    arguments.store.open("a").write(f"{line}\n")
            results.setdefault((kind, name), {})[init] = stored[key]
            print(kind, name, init, json.dumps(stored[key]), flush=True)
    return results


def hide_layers(reason: str) -> str:
    """Return the reason for leaving out some layers without their names."""
    reason = re.sub(r"(?<=the rows of ).*?(?=:)", "other layers", reason)
    reason = re.sub(r"(?<=, not ).*$", "others", reason)
    return re.sub(r"^.*(?=, whose activations)", "layers", reason)


def shorten(reason: str) -> str:
    """Return the reason with `N` for the size of the net, so that nets of all sizes share it."""
    return re.sub(r"(it has|it would take) [\d,.]+", r"\1 N", reason)


def list_left_out(by_init: dict[str, dict[str, object]]) -> Iterator[tuple[str, str, str]]:
    """Yield (probe, reason, `, INIT` if it is left out under that init alone)."""
    trained = [init for init, result in by_init.items() if "refusal" not in result]
    inits: dict[tuple[str, str], list[str]] = {}
    for init in trained:
        for probe, reason in by_init[init]["left_out"].items():
            inits.setdefault((probe, shorten(reason)), []).append(init)
    for (probe, reason), where in inits.items():
        yield probe, reason, "" if where == trained else f", `{where[0]}`"


def make_page(results: dict[tuple[str, str], dict[str, dict[str, object]]]) -> str:
    """Return the page."""
    reasons: dict[str, int] = {}
    rows = []
    for (kind, name), by_init in results.items():
        trained = [result for result in by_init.values() if "refusal" not in result]
        given = " ".join(NAMED.get(kind, {}).get(name, []))
        cells = [f"`{name}`", kind, f"`{given}`" if given else ""]
        left_out = [
            f"`{probe}` ({reasons.setdefault(reason, len(reasons) + 1)}{only})"
            for probe, reason, only in list_left_out(by_init)
        ]
        if trained:
            covered = min(result["named"] - len(result["absent"]) for result in trained)
            cells += [f"{trained[0]['parameters']:,}", f"{covered} of {trained[0]['named']}", ", ".join(left_out)]
        else:
            cells += ["", "", ""]
        cells += [
            f"`{result['error'] or result['outcome']}`" if result in trained else "refused"
            for result in by_init.values()
        ]
        rows.append(f"| {' | '.join(cells)} |")
    refusals = {  # equal for both inits, or of one
        (name, result["refusal"]): None
        for (_, name), by_init in results.items()
        for result in by_init.values()
        if "refusal" in result
    }
    packages = ", ".join(f"{name} {version(name)}" for name in ("zeroinit", "torch", "torchvision", "timm"))
    conditions = f"Processor: {cpu_name()}, {kernel_settings()}. Versions: {packages}."
    head = INTRODUCTION.format(count=len(results), steps=STEPS, examples=EXAMPLES, batch=BATCH, conditions=conditions)
    columns = ["architecture", "of", "given", "parameters", "in init.csv", "left out", *(f"`{init}`" for init in INITS)]
    lines = [
        *(head, f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *rows),
        *("", "## Refused", "", *(f"- `{name}`: `{text}`" for name, text in refusals)),
        *("", "## Why probes are left out", "", *(f"{number}. {reason}" for reason, number in reasons.items()), ""),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    page = make_page(collect(given))
    print(page)
    if given.write:
        PAGE.write_text(page)
