"""Interruptions: put off where half a write would be worse than a moment's delay, and never lost."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 0.05  # seconds until an interruption that was lost is raised once more


@contextmanager
def signals_held() -> Iterator[None]:
    """Put Ctrl-C and SIGTERM off until the block has ended; a second one of a kind does not wait."""
    if threading.current_thread() is not threading.main_thread():  # which alone receives signals
        yield
        return
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if number in held:
            raise KeyboardInterrupt
        held.append(number)

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt


def interrupt_for_certain() -> None:
    """Raise an interruption again that fell into a finaliser or a callback of the garbage collector.

    What is raised there Python prints and forgets. A collection takes up to a second here, so that it is often what a
    signal meets.
    """
    usual = sys.unraisablehook

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            main = threading.main_thread().ident
            threading.Timer(AGAIN, signal.pthread_kill, (main, signal.SIGINT)).start()
        else:
            usual(lost)

    sys.unraisablehook = hook
