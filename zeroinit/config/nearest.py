"""The known name that is most similar to an unknown one."""

from collections.abc import Iterable
from difflib import SequenceMatcher


def similarity(name: str, candidate: str) -> float:
    """Return how similar two names are, from 0 to 1."""
    return SequenceMatcher(None, name, candidate).ratio()


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return the candidate that is most similar to the name."""
    return max(sorted(candidates), key=lambda candidate: similarity(name, candidate))
