"""An interruption ends the process soon, also where Python cannot raise it."""

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zeroinit.signals import MESSAGE

BLOCKED = """
import sqlite3
from zeroinit import signals

signals.GRACE_SECONDS = 0.3
signals.end_soon_after_interruption(lambda: None)
print("ready", flush=True)
sqlite3.connect("locked.db", timeout=60).execute("begin immediate")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_a_database_blocks_ends_soon(number: int, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "locked.db")
    other.execute("begin immediate")
    handled = f"import signal\nsignal.signal({int(number)}, signal.default_int_handler)\n"
    command = [sys.executable, "-c", handled + BLOCKED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.2)
        started = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    other.close()
    assert (process.returncode, err) == (130, MESSAGE)
    assert time.monotonic() - started < 20  # nothing else would end it within 60 s
