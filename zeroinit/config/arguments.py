"""Checks of the values that a config gives to functions of zeroinit and torch, by the types in their signatures."""

import inspect
import math
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from zeroinit.errors import BadInput

CHECKED_PACKAGES = ("zeroinit", "torch")  # their signatures are right; a user's function checks its own values
MAX_INT = 2**63 - 1  # the largest whole number that torch and the store accept


def is_finite(value: Any) -> bool:
    """Return whether the value is a finite number that torch accepts: a float, or an int of 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= MAX_INT if isinstance(value, int) else math.isfinite(value)


def check_values(key: str, function: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Raise BadInput for a value that the function's signature does not allow, such as NaN, or a bool for a number.

    Only numbers, bools, tuples of numbers and named choices are checked; the function checks everything else.
    """
    if str(getattr(function, "__module__", "")).partition(".")[0] not in CHECKED_PACKAGES:
        return
    hints = _type_hints(function)
    for name, value in values.items():
        if name in hints and (accepted := _describe_accepted(value, hints[name])):
            raise BadInput(f"{key}.{name}={format_value(value)}: give {accepted}")


@cache
def _type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the type of each argument; none if Python cannot evaluate them."""
    try:
        return get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError, AttributeError):
        return {}


def _describe_accepted(value: Any, hint: Any) -> str:
    """Return what the type accepts, in words; empty if the value fits, or if the type is not checked."""
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    or_null = ", or null" if type(None) in choices else ""
    if value is None and or_null:
        return ""
    if bool in choices:
        return "" if isinstance(value, bool) else "true, false or null" if or_null else "true or false"
    if float in choices:
        return "" if is_finite(value) else f"a finite number{or_null}"
    if int in choices:
        return "" if is_finite(value) and isinstance(value, int) else f"a whole number{or_null}"
    for choice in choices:
        parts = get_args(choice)
        if get_origin(choice) is Literal:
            return "" if value in parts else f"one of {', '.join(map(str, parts))}{or_null}"
        if get_origin(choice) is tuple and Ellipsis not in parts:
            pairs = zip(value, parts, strict=True) if isinstance(value, list) and len(value) == len(parts) else ()
            fits = [not _describe_accepted(item, part) for item, part in pairs]
            return "" if fits and all(fits) else f"a list of {len(parts)} finite numbers{or_null}"
    return ""


def format_value(value: Any) -> str:
    """Return the value as a user types it in YAML."""
    if isinstance(value, list):
        return f"[{','.join(map(format_value, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
