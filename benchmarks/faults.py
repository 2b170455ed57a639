"""Sweeps that meet accidents, as real processes, against the same sweep unbroken.

    python benchmarks/faults.py [PARTS] [--trials N] [--smoke] [--seed 0] [--folder FOLDER]

Each trial starts `zeroinit` in an empty folder, injects a fault, types the same command again where that is due, and
compares the store with that of an unbroken sweep: every point of every metric, params and files.  Each part prints one
row of the table. The folder of a trial that fails is kept, with the output of its commands in output.txt. The exit
code is 1 if a bar is missed. `--smoke` has few trials and short outages. Needs /proc, so Linux.

    kill          SIGKILL of the parent, a worker or the whole tree of a 24-run sweep, at random times
    checkpoint    SIGKILL at random steps of a run and of a stack that write checkpoints
    interrupt     Ctrl-C and SIGTERM at random times, also with a locked store
    together      the same sweep started 8 times at once
    new database  16 commands at once where there is no database
    locked        the store locked for 90 s
    server        MLflow's server stopped for 60 s, killed for 60 s, and gone for ever
    disk full     no space for 60 s; needs root, to mount a small disk
    database      deleted, read-only or truncated during the sweep; needs root to make it read-only
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks")]

from fault_parts import kills, outages, server, together
from fault_parts.trials import Bench, Part, run_part

PARTS: dict[str, Part] = {part.name: part for part in (*kills.PARTS, *together.PARTS, *outages.PARTS, *server.PARTS)}
HEAD = "| part | trials | lost | doubled | left RUNNING | differing | errors | slowest message | seconds |"


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PARTS", help="all if none is named")
    parser.add_argument("--trials", type=int, help="of each part, instead of its usual number")
    parser.add_argument("--smoke", action="store_true", help="few trials and short outages")
    parser.add_argument("--seed", type=int, default=0, help="of the random times")
    parser.add_argument("--folder", type=Path, help="where the trials take place; a new temporary folder if not given")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.parts if name not in PARTS]:
        parser.error(f"{', '.join(unknown)}: the parts are {', '.join(PARTS)}")
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    # a shell may start this in the background with SIGINT ignored, which the commands would inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bench = Bench(folder.absolute(), arguments.smoke, arguments.seed)
    rows, is_good = [], True
    for name in arguments.parts or PARTS:
        part = PARTS[name]
        trials = arguments.trials or (part.smoke if arguments.smoke else part.trials)
        row, is_part_good = run_part(part, trials, bench)
        print(row, flush=True)
        rows.append(row)
        is_good &= is_part_good
    print("", HEAD, f"|{'---|' * HEAD.count(' | ')}---|", *rows, "", sep="\n")
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "mlflow", "SQLAlchemy"))
    print(f"{processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
