"""The command `zeroinit-report`: a sweep's report made again from its store, without training anything."""

import argparse
import sys
from pathlib import Path

from zeroinit.errors import BadInput
from zeroinit.report import remake
from zeroinit.tracker.mlflow import Mlflow


def main() -> None:
    """Make the report; exit code 2 where there is no such sweep."""
    parser = argparse.ArgumentParser("zeroinit-report", description="Make the report of a sweep again, from its store.")
    parser.add_argument("sweep", help="the name of the sweep, which is its MLflow experiment")
    parser.add_argument("--tracker", metavar="URI", help="database or server; else MLFLOW_TRACKING_URI or mlruns/")
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="write there, and not to the sweep's summary")
    parser.add_argument("--figures", action="store_true", help="draw the figures again, too")
    parser.add_argument(
        "--map", nargs=2, metavar=("X", "Y"), default=(), help="draw them, with these keys as map.png's axes"
    )
    asked = parser.parse_args()
    tracker = Mlflow(asked.tracker)
    tracker.key = "--tracker"
    try:
        tracker.find(asked.sweep)
        print(remake(tracker, asked.to, asked.figures or bool(asked.map), asked.map))
    except BadInput as error:
        sys.stderr.write(f"zeroinit-report: {' '.join(str(error).split())}\n")
        sys.exit(2)
