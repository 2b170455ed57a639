"""What the claims of a sweep file must be: a sentence, the cells that it is about, and what is to hold of them."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from zeroinit.config.arguments import finite
from zeroinit.config.keys import NO_NUMBER
from zeroinit.config.unknown import all_keys
from zeroinit.errors import BadInput

KINDS: dict[str, tuple[str, ...]] = {  # with the keys that each needs beside says, cell and is
    "better_than": ("other", "points"),
    "as_good_as": ("other", "points"),
    "at_the_prior": (),
    "does_not_learn": (),
    "arrives_in_order": ("order",),
}


def check_claims(claims: Any) -> None:
    """Raise BadInput for what is no list of claims, with the claim, its key and what is accepted."""
    if not isinstance(claims, list):
        raise BadInput(f"claims={claims}: give a list of claims, each with the keys says, cell and is")
    for place, claim in enumerate(claims):
        check_claim(f"claims[{place}]", claim)


def check_claim(name: str, claim: Any) -> None:
    if not isinstance(claim, dict):
        raise BadInput(f"{name}={claim}: give the keys says, cell and is")
    unknown = next((key for key in claim if key not in FIELDS), None)
    if unknown is not None:
        raise BadInput(f"{name}.{unknown}: there is no such key; {', '.join(FIELDS)} are all")
    for key in ("is", "says", "cell", *KINDS.get(str(claim.get("is")), ())):
        if key not in claim:
            raise BadInput(f"{name}.{key} is missing: give {FIELDS[key][1]}")
    for key, value in claim.items():
        fits, wanted = FIELDS[key]
        if not fits(value):
            raise BadInput(f"{name}.{key}={value}: give {wanted}")
    for key in ("other", "points", "order"):
        if key in claim and key not in KINDS[claim["is"]]:
            raise BadInput(f"{name}.{key}={claim[key]}: is={claim['is']} takes none; leave it out")


def check_meant(
    claims: Sequence[Mapping[str, Any]], params: Sequence[Mapping[str, str]], options: Callable[[str], Sequence[str]]
) -> None:
    """Raise BadInput for a key or an option that chooses no cell of any sweep, or a size that there is not.

    `params` are those of the sweep's runs, `options` those of a config group. What these runs lack but a shipped option
    has, or a group, may be of an axis that was narrowed.
    """
    known, sizes = set().union(*params), options("size")
    for place, claim in enumerate(claims):
        if claim.get("size", "") not in ("", *sizes):
            accepted = f"give one of {', '.join(sizes)}" if sizes else "leave it out, as the sweep chooses no size"
            raise BadInput(f"claims[{place}].size={claim['size']}: {accepted}")
        for side in ("cell", "other"):
            for key in claim[side] if isinstance(claim.get(side), dict) else ():
                name = f"claims[{place}].{side}.{key}"
                if key.partition(".")[0] in (*NO_NUMBER, "seeds"):
                    raise BadInput(f"{name}: it tells no cells apart, as a cell is all of its seeds; leave it out")
                if key not in known and key not in all_keys():
                    close = get_close_matches(key, sorted(known), 1) or ["init"]
                    raise BadInput(f"{name}: no run has such a key; give one that can be typed, such as {close[0]}")
                value, there = claim[side][key], {one.get(key) for one in params}
                for one in value if isinstance(value, list) else [value]:
                    if (given := options(key)) and str(one) not in {*given, *there}:
                        raise BadInput(f"{name}={one}: there is no such option; give one of {', '.join(given)}")


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


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {  # by key: whether a value will do, and what does
    "says": (is_text, "a sentence"),
    "source": (is_text, "where it was said, in words"),
    "cell": (is_selector, "keys that choose cells, each with a value or a list of values, such as {init: zero}"),
    "is": (lambda value: value in list(KINDS), f"{', '.join([*KINDS][:-1])} or {[*KINDS][-1]}"),
    "other": (
        lambda value: is_selector(value) or (finite(value) and 1 <= value <= 100),
        "keys that choose the cells to compare with, such as {init: default}, or a test accuracy in percent, 1 to 100",
    ),
    "points": (
        lambda value: finite(value) and value >= 0,
        "percentage points of test accuracy, a finite number, 0 or greater",
    ),
    "order": (is_order, "a list of layers, each once, the first to have a gradient first"),
    "size": (is_text, "an option of the config group size"),
}
