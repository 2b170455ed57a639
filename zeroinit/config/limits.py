"""Limits on time, memory and failures, which change no number of a run: durations and sizes as one types them."""

import re
from dataclasses import dataclass
from typing import Any, Self

from zeroinit.config.arguments import is_finite
from zeroinit.config.read import Values, read, read_int
from zeroinit.errors import BadInput

MEMORY = "hydra.launcher.memory"
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    f"{letter}IB": 1 << 10 * power for power, letter in enumerate("KMGT", start=1)
}


@dataclass(frozen=True)
class Limit:
    """The value of a key as it was typed, and its amount, in seconds or bytes. As text it is `KEY=VALUE`."""

    key: str
    typed: Any
    amount: float

    def __str__(self) -> str:
        return f"{self.key}={self.typed}"

    @property
    def overrun(self) -> str:
        """The error of a run that took longer."""
        return f"{self}: it took longer, and was ended"


@dataclass(frozen=True)
class RunLimits:
    """The keys `fail_fast` and `time_limit`; None is no limit."""

    fail_fast: int | None
    run: Limit | None
    sweep: Limit | None

    @classmethod
    def parse(cls, values: Values) -> Self:
        """Return the limits. Raises BadInput."""
        count = None if read(values, "fail_fast") is None else read_int(values, "fail_fast", 1, ", or null")
        run, sweep = (parse_seconds(key, read(values, key)) for key in ("time_limit.run", "time_limit.sweep"))
        return cls(count, run, sweep)


def parse_seconds(key: str, value: Any) -> Limit | None:
    """Return a duration: a number of seconds, or a text with a unit, such as 10m. Raises BadInput."""
    accepted = "a number of seconds above 0, a text such as 10m or 2h, or null"
    return None if value is None else Limit(key, value, _parse(key, value, SECONDS, accepted))


def parse_memory(value: Any) -> Limit | None:
    """Return the limit on the memory of the workers: a number of bytes, or a text such as 8GB. Raises BadInput."""
    accepted = "a number of bytes above 0, a text such as 8GB or 512MiB, or null"
    return None if value is None else Limit(MEMORY, value, _parse(MEMORY, value, BYTES, accepted))


def _parse(key: str, value: Any, units: dict[str, int], accepted: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d*)?) ?([A-Za-z]*)", value) if isinstance(value, str) else None
    factors = {unit.lower(): factor for unit, factor in units.items()} | {"": 1}
    amount = float(match[1]) * factors.get(match[2].lower(), 0) if match else value
    if not is_finite(amount) or amount <= 0:
        raise BadInput(f"{key}={value}: give {accepted}")
    return float(amount)
