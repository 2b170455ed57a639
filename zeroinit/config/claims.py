"""The claims of a sweep file: a sentence, the cells that it is about, and the test that these must pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from zeroinit.config.arguments import is_finite
from zeroinit.config.identity import KEYS_WITHOUT_EFFECT
from zeroinit.config.nearest import nearest
from zeroinit.errors import BadInput
from zeroinit.tracker.renamed import RENAMED_CLAIM_KEYS, RENAMED_CLAIM_TESTS

Selector = Mapping[str, Any]  # {key: a value, or a list of values}


class ClaimTest(StrEnum):
    """What can be claimed of cells."""

    SUPERIOR = "superior"
    NON_INFERIOR = "non_inferior"
    PREDICTS_ONE_CLASS = "predicts_one_class"
    DOES_NOT_LEARN = "does_not_learn"
    WAKES_IN_ORDER = "wakes_in_order"


COMPARISONS = (ClaimTest.SUPERIOR, ClaimTest.NON_INFERIOR)
REQUIRED_KEYS = "statement", "test", "cells"
KEYS_OF_TEST: dict[ClaimTest, tuple[str, ...]] = {  # that each test needs in addition
    **{test: () for test in ClaimTest},
    **{test: ("reference", "margin") for test in COMPARISONS},
    ClaimTest.WAKES_IN_ORDER: ("order",),
}


@dataclass(frozen=True)
class Claim:
    """A claim of a sweep's file.

    Attributes:
        statement: The claim as a sentence.
        test: What is claimed of the cells.
        cells: Selects the cells that the claim is about.
        reference: Selects the cells to compare with, or is a published accuracy or R² in percent.
        margin: Percentage points of test accuracy or R².
        order: Layers in the order of their first gradients.
        source: Where the claim comes from.
        size: The size of the sweep that it is about; None for all sizes.
    """

    statement: str
    test: ClaimTest
    cells: Selector
    reference: Selector | float | None = None
    margin: float = 0
    order: Sequence[str] = ()
    source: str = ""
    size: str | None = None

    @classmethod
    def parse(cls, values: Any, name: str = "claim") -> "Claim":
        """Return the claim from the keys of a sweep's file; `name` stands for it in messages.

        Raises:
            BadInput: A key is unknown or missing, or has no valid value.
        """
        if not isinstance(values, dict):
            raise BadInput(f"{name}={values}: give the keys {_join(REQUIRED_KEYS)}")
        for key in values:
            if new_key := RENAMED_CLAIM_KEYS.get(key):
                raise BadInput(f"{name}.{key}: its name is now {new_key}")
            if key not in FIELDS:
                raise BadInput(f"{name}.{key}: there is no such key; {', '.join(FIELDS)} are all")
        test = values.get("test")
        if isinstance(test, str) and (new_test := RENAMED_CLAIM_TESTS.get(test)):
            raise BadInput(f"{name}.test={test}: its name is now {new_test}")
        needed = KEYS_OF_TEST[ClaimTest(str(test))] if _is_test(test) else ()
        for key in ("test", "statement", "cells", *needed):
            if key not in values:
                raise BadInput(f"{name}.{key} is missing: give {FIELDS[key][1]}")
        for key, value in values.items():
            is_valid, accepted = FIELDS[key]
            if not is_valid(value):
                raise BadInput(f"{name}.{key}={value}: give {accepted}")
        for key in ("reference", "margin", "order"):
            if key in values and key not in needed:
                raise BadInput(f"{name}.{key}={values[key]}: test={test} takes none; leave it out")
        return cls(**(values | {"test": ClaimTest(str(test))}))

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of a sweep's file, from which `parse` makes the claim."""
        optional = {"reference": self.reference, "source": self.source or None, "size": self.size}
        needed = {key: getattr(self, key) for key in KEYS_OF_TEST[self.test]}
        given = {key: value for key, value in optional.items() if value is not None}
        return {key: getattr(self, key) for key in REQUIRED_KEYS} | needed | given

    @property
    def selectors(self) -> dict[str, Selector]:
        """The selectors of the two sides, by their keys; one if there are no cells to compare with."""
        sides = {"cells": self.cells, "reference": self.reference}
        return {key: side for key, side in sides.items() if isinstance(side, Mapping)}

    def is_about(self, size: str) -> bool:
        """Return whether a sweep of this size judges the claim."""
        return self.size in (None, size)


def parse_claims(values: Any) -> list[Claim]:
    """Return the claims of a sweep's file.

    Raises:
        BadInput: The value is no list of valid claims; the message names the claim and its key.
    """
    if not isinstance(values, list):
        raise BadInput(f"claims={values}: give a list of claims, each with the keys {_join(REQUIRED_KEYS)}")
    return [Claim.parse(claim, f"claims[{index}]") for index, claim in enumerate(values)]


def check_meant(
    claims: Sequence[Claim], params: Sequence[Mapping[str, str]], options: Callable[[str], Sequence[str]]
) -> None:
    """Raise BadInput for a key or an option that chooses no cell of any sweep, or for an unknown size.

    A key that these runs lack but a shipped option has is accepted: the user may have narrowed an axis.

    Args:
        claims: of the sweep's file.
        params: of the runs of the sweep.
        options: returns the options of a config group.
    """
    from zeroinit.config.unknown import known_keys  # only here: resolved jobs train without OmegaConf

    run_keys, sizes = set[str]().union(*params), options("size")
    for index, claim in enumerate(claims):
        if (claim.size or "") not in ("", *sizes):
            accepted = f"give one of {', '.join(sizes)}" if sizes else "leave it out, as the sweep chooses no size"
            raise BadInput(f"claims[{index}].size={claim.size}: {accepted}")
        for side, selector in claim.selectors.items():
            for key in selector:
                name = f"claims[{index}].{side}.{key}"
                group = key.partition(".")[0]
                if group in ("seed", "seeds"):
                    raise BadInput(f"{name}: it separates no cells, because a cell has all of its seeds; leave it out")
                if group in KEYS_WITHOUT_EFFECT:
                    raise BadInput(
                        f"{name}: it separates no cells, because it changes no number of a run; leave it out"
                    )
                if key not in run_keys and key not in known_keys():
                    accepted = nearest(key, {*run_keys, "init"})
                    raise BadInput(f"{name}: no run has such a key; give one that can be typed, such as {accepted}")
                chosen, used = selector[key], {run_params.get(key) for run_params in params}
                for value in chosen if isinstance(chosen, list) else [chosen]:
                    if (shipped := options(key)) and str(value) not in {*shipped, *used}:
                        raise BadInput(f"{name}={value}: there is no such option; give one of {', '.join(shipped)}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_selector(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(_is_text(key) and not isinstance(chosen, dict) and chosen != [] for key, chosen in value.items())
    )


def _is_order(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value)) and len({*value}) == len(value)


def _is_test(value: Any) -> bool:
    return value in list(ClaimTest)


def _join(names: Sequence[str], word: str = "and") -> str:
    """Return `a, b and c`."""
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {  # {key: (whether a value is valid, what is accepted)}
    "statement": (_is_text, "a sentence"),
    "source": (_is_text, "where it was said, in words"),
    "cells": (_is_selector, "keys that choose cells, each with a value or a list of values, such as {init: zero}"),
    "test": (_is_test, _join([*ClaimTest], "or")),
    "reference": (
        lambda value: _is_selector(value) or (is_finite(value) and 1 <= value <= 100),
        "keys that choose the cells to compare with, such as {init: default}, "
        "or a test accuracy or R² in percent, 1 to 100",
    ),
    "margin": (
        lambda value: is_finite(value) and value >= 0,
        "percentage points of test accuracy or R², a finite number, 0 or greater",
    ),
    "order": (_is_order, "a list of layers, each once, the first to have a gradient first"),
    "size": (_is_text, "an option of the config group size"),
}
