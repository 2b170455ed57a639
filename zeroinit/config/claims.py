"""Checks of the claims of a sweep file: a sentence, the cells that it is about, and what should hold for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zeroinit.config.arguments import is_finite
from zeroinit.config.identity import KEYS_WITHOUT_EFFECT
from zeroinit.config.nearest import nearest
from zeroinit.config.unknown import known_keys
from zeroinit.errors import BadInput

KINDS: dict[str, tuple[str, ...]] = {  # with the keys that each needs in addition to says, cell and is
    "better_than": ("other", "points"),
    "as_good_as": ("other", "points"),
    "at_the_prior": (),
    "does_not_learn": (),
    "arrives_in_order": ("order",),
}


def check_claims(claims: Any) -> None:
    """Raise BadInput unless the value is a list of valid claims; the message names the claim and its key."""
    if not isinstance(claims, list):
        raise BadInput(f"claims={claims}: give a list of claims, each with the keys says, cell and is")
    for index, claim in enumerate(claims):
        _check_claim(f"claims[{index}]", claim)


def _check_claim(name: str, claim: Any) -> None:
    if not isinstance(claim, dict):
        raise BadInput(f"{name}={claim}: give the keys says, cell and is")
    unknown = next((key for key in claim if key not in FIELDS), None)
    if unknown is not None:
        raise BadInput(f"{name}.{unknown}: there is no such key; {', '.join(FIELDS)} are all")
    for key in ("is", "says", "cell", *KINDS.get(str(claim.get("is")), ())):
        if key not in claim:
            raise BadInput(f"{name}.{key} is missing: give {FIELDS[key][1]}")
    for key, value in claim.items():
        is_valid, accepted = FIELDS[key]
        if not is_valid(value):
            raise BadInput(f"{name}.{key}={value}: give {accepted}")
    for key in ("other", "points", "order"):
        if key in claim and key not in KINDS[claim["is"]]:
            raise BadInput(f"{name}.{key}={claim[key]}: is={claim['is']} takes none; leave it out")


def check_meant(
    claims: Sequence[Mapping[str, Any]], params: Sequence[Mapping[str, str]], options: Callable[[str], Sequence[str]]
) -> None:
    """Raise BadInput for a key or an option that chooses no cell of any sweep, or for an unknown size.

    A key that these runs lack but a shipped option has is accepted: the user may have narrowed an axis.

    Args:
        claims: valid claims.
        params: of the runs of the sweep.
        options: returns the options of a config group.
    """
    run_keys, sizes = set[str]().union(*params), options("size")
    for index, claim in enumerate(claims):
        if claim.get("size", "") not in ("", *sizes):
            accepted = f"give one of {', '.join(sizes)}" if sizes else "leave it out, as the sweep chooses no size"
            raise BadInput(f"claims[{index}].size={claim['size']}: {accepted}")
        for side in ("cell", "other"):
            for key in claim[side] if isinstance(claim.get(side), dict) else ():
                name = f"claims[{index}].{side}.{key}"
                if key.partition(".")[0] in (*KEYS_WITHOUT_EFFECT, "seeds"):
                    raise BadInput(f"{name}: it separates no cells, because a cell has all of its seeds; leave it out")
                if key not in run_keys and key not in known_keys():
                    accepted = nearest(key, {*run_keys, "init"})
                    raise BadInput(f"{name}: no run has such a key; give one that can be typed, such as {accepted}")
                chosen, used = claim[side][key], {run_params.get(key) for run_params in params}
                for value in chosen if isinstance(chosen, list) else [chosen]:
                    if (shipped := options(key)) and str(value) not in {*shipped, *used}:
                        raise BadInput(f"{name}={value}: there is no such option; give one of {', '.join(shipped)}")


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def is_selector(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(is_text(key) and not isinstance(chosen, dict) and chosen != [] for key, chosen in value.items())
    )


def is_order(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_text, value)) and len({*value}) == len(value)


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {  # {key: (whether a value is valid, what is accepted)}
    "says": (is_text, "a sentence"),
    "source": (is_text, "where it was said, in words"),
    "cell": (is_selector, "keys that choose cells, each with a value or a list of values, such as {init: zero}"),
    "is": (lambda value: value in list(KINDS), f"{', '.join([*KINDS][:-1])} or {[*KINDS][-1]}"),
    "other": (
        lambda value: is_selector(value) or (is_finite(value) and 1 <= value <= 100),
        "keys that choose the cells to compare with, such as {init: default}, or a test accuracy in percent, 1 to 100",
    ),
    "points": (
        lambda value: is_finite(value) and value >= 0,
        "percentage points of test accuracy, a finite number, 0 or greater",
    ),
    "order": (is_order, "a list of layers, each once, the first to have a gradient first"),
    "size": (is_text, "an option of the config group size"),
}
