"""The colour of each init, the same in every chart of every sweep, and the colours of other scales."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from zeroinit.report.views.panels import elide
from zeroinit.report.views.view import Scale, spread_evenly


class LineStyle(NamedTuple):
    """A hex colour and an SVG dash array; an empty one is a solid line."""

    colour: str
    dash: str = ""


# Each has a contrast of 3:1 or more on white. The first six, which sweeps compare most, differ for readers who see no
# red or no green, too. The others have dashes where their colours are near each other.
SHIPPED_INITS = {
    "default": LineStyle("#2B2F33"),
    "zero": LineStyle("#D55E00"),
    "zero_normal": LineStyle("#0072B2"),
    "zero_uniform": LineStyle("#009E73"),
    "zero_uniform_matched": LineStyle("#AA3377"),
    "zero_log_uniform": LineStyle("#8A6D00"),
    "constant": LineStyle("#F20F59"),
    "ones": LineStyle("#60280A"),
    "layer_constant": LineStyle("#4C0D5C", "6 2"),
    "row_constant": LineStyle("#1397AC", "6 2"),
    "small_normal": LineStyle("#486B3E"),
    "orthogonal": LineStyle("#7A7F85"),
    "xavier_normal": LineStyle("#4E7CFF"),
    "xavier_uniform": LineStyle("#001392", "6 2"),
    "kaiming_normal": LineStyle("#8A4FD0"),
    "kaiming_uniform": LineStyle("#C0409B", "6 2"),
    "lecun_normal": LineStyle("#A0621F", "2 1.5"),
    "lecun_uniform": LineStyle("#3C7A78", "2 1.5"),
    "keep": LineStyle("#5B7F00", "2 1.5"),
}
OTHER_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#AA3377", "#8A6D00", "#F20F59", "#4E7CFF", "#8A4FD0")
OTHER_DASHES = ("4 1.5", "1.5 1.5", "6 1.5 1.5 1.5", "8 3")
BASELINE_STYLE = LineStyle("#7A7F85", "4 2")  # of logistic regression beside other archs

# from low to high, even in lightness: of matplotlib's maps cividis, viridis, plasma up to what is visible on white,
# Reds and PuOr
CIVIDIS = ("#00224E", "#123570", "#3B496C", "#575D6D", "#707173", "#8A8678", "#A59C74", "#C3B369", "#E1CC55", "#FEE838")
VIRIDIS = ("#440154", "#482878", "#3E4A89", "#31688E", "#26828E", "#1F9E89", "#35B779", "#6DCD59", "#B4DE2C", "#FDE725")
PLASMA = ("#0D0887", "#4C02A1", "#7E03A8", "#A92395", "#CC4778", "#E56B5D", "#F89540")
REDS = ("#FFF5F0", "#FCBEA5", "#FB7050", "#D32020", "#67000D")
PURPLE_ORANGE = ("#7F3B08", "#E08214", "#FDD6A2", "#F7F7F7", "#CFCFE5", "#8073AC", "#2D004B")
PALE = "#E8E8E8"  # exact zeros, unlike any colour of the scales
EMPTY = "#F3F4F6"  # what has no run
DARK_BACKGROUND = "#15181C"  # of the dark theme of the page


def style_inits(inits: Iterable[str]) -> dict[str, LineStyle]:
    """Return the line style of each init of a sweep: of a shipped init its own, of others a dashed one.

    An init that is not shipped prefers a colour by its name. If another init of the sweep has that colour, it takes the
    next one that is free. Where there are more inits than colours, inits with one colour differ in their dashes.
    """
    names = list(dict.fromkeys(inits))
    styles = {init: SHIPPED_INITS[init] for init in names if init in SHIPPED_INITS}
    for init in sorted({*names} - {*SHIPPED_INITS}):
        digest = int.from_bytes(hashlib.sha256(init.encode()).digest()[:4], "big")
        preferred, rest = _rotate(OTHER_COLOURS[3:], digest), [style.colour for style in SHIPPED_INITS.values()]
        colours = list(dict.fromkeys([*preferred, *rest]))
        dashes = _rotate(OTHER_DASHES, digest // len(preferred))
        candidates = [LineStyle(colour, dash) for dash in dashes for colour in colours]
        used = {style.colour for style in styles.values()}
        free = (style for style in candidates if style.colour not in used)
        unused = (style for style in candidates if style not in styles.values())
        styles[init] = next(free, None) or next(unused, candidates[0])
    return {init: styles[init] for init in names}


def _rotate(items: Sequence[str], start: int) -> Sequence[str]:
    """Return the items from an index on, and then those before it."""
    start %= len(items)
    return (*items[start:], *items[:start])


def scale_inits(inits: Sequence[str], styles: Mapping[str, LineStyle]) -> Scale:
    """Return the colours and dashes of inits, with a legend."""
    colours, dashes = [styles[init].colour for init in inits], [styles[init].dash for init in inits]
    return Scale("init", "category", inits, "text", colours, dashes, labels=[elide(init) for init in inits])


def choose_widths(count: int) -> list[float]:
    """Return widths in points from wide to narrow, so that lines below others are visible."""
    return spread_evenly(2.6, 1.2, count) if count > 1 else [1.8]


def interpolate(colours: Sequence[str], share: float) -> str:
    """Return the hex colour at a share from 0 to 1 of the way along the colours."""
    position = min(max(share, 0), 1) * (len(colours) - 1)
    index = min(int(position), len(colours) - 2)
    first, second = (_channels(colours[index + offset]) for offset in (0, 1))
    mixed = (round(low + (position - index) * (high - low)) for low, high in zip(first, second, strict=True))
    return "#" + "".join(f"{channel:02X}" for channel in mixed)


def is_dark(colour: str) -> bool:
    """Return whether white text is easier to read on a hex colour than black text."""
    return measure_luminance(colour) < 0.179  # contrast with white and with black are equal there


def measure_luminance(colour: str) -> float:
    """Return the relative luminance of a hex colour (WCAG 2.1)."""
    linear = []
    for channel in _channels(colour):
        share = channel / 255
        linear.append(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue from 0 to 255."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return red, green, blue


def brighten(colour: str, contrast: float = 4.5) -> str:
    """Return the colour, mixed with as much white as it needs for the contrast on DARK_BACKGROUND."""
    needed = contrast * (measure_luminance(DARK_BACKGROUND) + 0.05) - 0.05
    mixed = (interpolate((colour, "#FFFFFF"), share / 20) for share in range(21))
    return next((candidate for candidate in mixed if measure_luminance(candidate) >= needed), "#FFFFFF")
