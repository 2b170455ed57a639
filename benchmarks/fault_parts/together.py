"""The same sweep started several times at once, and many processes on a database that is not there yet."""

from fault_parts.stores import SWEEP
from fault_parts.trials import WORDS, Part, Trial

SAME = 8  # commands of one sweep at once
NEW = 16  # commands on a new database at once


def start_the_same(trial: Trial) -> None:
    """Start the sweep 8 times at once."""
    unbroken = trial.bench.unbroken()
    _end_all(trial, [WORDS] * (2 if trial.bench.is_smoke else SAME))
    trial.compare(unbroken)


def start_on_new_database(trial: Trial) -> None:
    """Start 16 single runs of one experiment at once, where there is no database."""
    count = 3 if trial.bench.is_smoke else NEW
    words = "dataset=xor arch.hidden=[2] steps=20"
    _end_all(trial, [(*words.split(), f"seed={seed}", f"sweep={SWEEP}") for seed in range(count)])
    seeds = f"seed={','.join(map(str, range(count)))}"
    unbroken = trial.bench.unbroken(("-m", *words.split(), seeds, f"sweep={SWEEP}", "hydra/launcher=basic"))
    trial.compare(unbroken)


def _end_all(trial: Trial, commands: list[tuple[str, ...]]) -> None:
    """Start the commands at once, and wait for their ends."""
    started = [trial.start(words) for words in commands]
    codes = [command.wait() for command in started]
    if any(codes):
        sentences = [command.output[-300:] for command, code in zip(started, codes, strict=True) if code]
        trial.errors.append(f"exit codes {codes}: {sentences}")
    if any("Traceback" in command.output for command in started):
        trial.errors.append("a traceback")


PARTS = (
    Part("together", 10, 1, start_the_same),
    Part("new database", 10, 1, start_on_new_database, has_database=False),
)
