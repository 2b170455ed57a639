"""The time limit of a run that trains in the process of the command, where no other process can kill it."""

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from zeroinit.config.limits import Limit
from zeroinit.errors import TimeOver

GRACE_SECONDS = 5.0  # that a run has to end after its time is over


@contextmanager
def time_run(
    limit: Limit | None, give_up: Callable[[str], bool], end_process: Callable[[int], object] = os._exit
) -> Iterator[None]:
    """Raise TimeOver in the block, which the main thread executes, when it takes longer than the limit.

    Python raises it between two of its own instructions. If the block is in other code GRACE_SECONDS later, another
    thread calls `give_up` with the error of the run. It ends the process with code 1 if that returns True. If that code
    also blocks all threads of Python, the process ends after the same time once more, with a traceback on stderr.
    """
    if limit is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    error = limit.overrun

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TimeOver(error)

    def end() -> None:
        faulthandler.cancel_dump_traceback_later()  # this thread works, and may have to wait for the store
        must_end = True
        try:
            must_end = give_up(error)
        finally:
            if must_end:
                end_process(1)

    before = signal.signal(signal.SIGALRM, interrupt)
    timer = threading.Timer(limit.amount + GRACE_SECONDS, end)
    timer.daemon = True
    timer.start()
    if sys.__stderr__:
        faulthandler.dump_traceback_later(limit.amount + 2 * GRACE_SECONDS, exit=True, file=sys.__stderr__)
    signal.setitimer(signal.ITIMER_REAL, limit.amount)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        timer.cancel()
        signal.signal(signal.SIGALRM, before)
