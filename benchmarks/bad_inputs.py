"""Run commands on bad inputs that hypothesis makes: each must end in one sentence within 10 s, and train nothing.

    python benchmarks/bad_inputs.py --examples 1000

prints a table with a row for each kind. The files and the command of each fault are kept in a folder.
"""

import argparse
import os
import resource
import shlex
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from zeroinit.kernels import pin_kernels

pin_kernels()  # before torch is imported

from helpers.bad_inputs import KINDS, Ending, Example, run_command
from hypothesis import HealthCheck, Phase, given, seed, settings

GIB = 2**30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=1000, help="inputs of all kinds together")
    parser.add_argument("--kinds", nargs="*", default=[*KINDS], choices=[*KINDS], metavar="KIND", help="; ".join(KINDS))
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--memory", type=float, default=16, help="GiB that the process may reserve")
    parser.add_argument("--keep", type=Path, default=Path("bad-inputs"), help="the folder for faults")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (int(arguments.memory * GIB),) * 2)
    warnings.simplefilter("default")
    keep = arguments.keep.absolute()
    each = -(-arguments.examples // len(arguments.kinds))
    print(
        f"{'kind':14}{'inputs':>7}{'sentences':>10}{'valid':>6}{'faults':>7}{'mean s':>7}{'slowest s':>10}", flush=True
    )
    faults = 0
    for kind in arguments.kinds:
        endings = run_kind(kind, each, arguments.seed, keep)
        faulty = [ending for ending in endings if ending.fault]
        valid = sum(not ending.fault and not ending.sentence for ending in endings)
        seconds = [ending.seconds for ending in endings]
        said = len(endings) - valid - len(faulty)
        mean = sum(seconds) / len(seconds)
        row = f"{kind:14}{len(endings):7}{said:10}{valid:6}{len(faulty):7}{mean:7.2f}{max(seconds):10.1f}"
        print(row, flush=True)
        faults += len(faulty)
    if faults:
        print(f"{faults} faults: their files and commands are in {keep}")
    return int(faults > 0)


def run_kind(kind: str, count: int, number: int, keep: Path) -> list[Ending]:
    """Return how commands on examples of a kind end."""
    endings: list[Ending] = []

    @seed(number)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(KINDS[kind]())
    def run(example: Example) -> None:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            example.write(Path())
            ending = run_command(example)
            if Path("harmed").exists():
                ending = Ending("", ending.seconds, "a file was unpickled")
            os.chdir(ROOT)
        endings.append(ending)
        if ending.fault:
            _keep_fault(keep / f"{kind.replace(' ', '-')}-{len(endings)}", example, ending)

    run()
    return endings


def _keep_fault(folder: Path, example: Example, ending: Ending) -> None:
    """Write an example to a folder, with its command and what was wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    example.write(folder)
    command = _quoted(["zeroinit", *example.words])
    text = f"{command}\n\n{ending.fault}\n{ending.sentence}\n"
    (folder / "command.txt").write_text(text, errors="surrogateescape")
    sys.stderr.write(f"{folder.name}: {ending.fault.splitlines()[0][:300]}\n")


def _quoted(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))


if __name__ == "__main__":
    sys.exit(main())
