"""The shades of surprise, in a page and in a picture of a shaded text."""

import html
import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Rectangle

from gpt_lib.views.picture import DOTS_PER_INCH, Picture, visible


class Shade(NamedTuple):
    """How a character looks. All is named as CSS and matplotlib both name it."""

    ground: str = "#fff"  # the paper is white in every theme
    ink: str = "#000"
    underline: str = ""  # or "solid", "dotted"

    @property
    def css(self) -> str:
        """The same for a page, on white paper; short, for a page holds many."""
        line = {"": "", "solid": "underline", "dotted": "underline dotted"}
        parts = {
            "background": self.ground.replace("#fff", ""),
            "color": self.ink.replace("#000", ""),
            "text-decoration": line[self.underline],
        }
        return ";".join(f"{key}:{value}" for key, value in parts.items() if value)


PLAIN = Shade()
PROMPT = Shade(ink="#444", underline="dotted")  # what was given, not written
# Black on light, white on dark; the last one is for what is not known.
SHADES = (
    PLAIN,
    Shade("#def"),
    Shade("#9ce"),
    Shade("#48b"),
    Shade("#024", "#fff"),
    Shade(ink="#666", underline="solid"),
)
STYLES = tuple(shade.css for shade in SHADES)
# Fixed steps in nats: two passages, or two lessons, can be compared by eye.
EDGES = (0.5, 1.0, 2.0, 4.0)
UNKNOWN = len(SHADES) - 1

# Of the picture. A line may be one column longer than COLUMNS, by what ends it.
COLUMNS, LINES, HEADING_COLUMNS = 72, 24, 60
# In pixels. Cells of whole pixels keep shades and characters in step over a line, and
# make equal characters equal to the pixel, which a PNG stores in a third of the space.
CELL, LINE, BASE, HEADING, MARGIN = 11, 24, 17, 34, 18
FONT = "DejaVu Sans Mono"  # comes with matplotlib
ADVANCE = 1233 / 2048  # its width, in its sizes
SIZE = CELL / ADVANCE * 72 / DOTS_PER_INCH  # points


class Strip(NamedTuple):
    """A text and the shade of each of its characters."""

    text: str
    shades: Sequence[Shade]
    heading: str = ""  # above it, bold


GAP = Strip("", [])


def shades_of(nats: np.ndarray) -> np.ndarray:
    """An index into SHADES for each surprise; the last is for NaN."""
    shades = np.digitize(nats, EDGES)
    return np.where(np.isnan(nats), UNKNOWN, shades).astype(np.uint8)


def labels_of(unknown: str) -> list[str]:
    """What each of SHADES stands for."""
    steps = [f"{low:g}–{high:g}" for low, high in zip((0, *EDGES), EDGES)]
    return [*steps, f"over {EDGES[-1]:g}", unknown]


def picture_of_text(
    strips: Sequence[Strip], title: str, words: str, key: Strip | None = None
) -> Picture:
    """Shaded texts below each other, each cut after LINES lines.

    Args:
        strips: the texts, each with its heading, if any.
        title: what they are.
        words: what the picture shows; see `cut_in_words`.
        key: a line below them that tells what the shades mean; see `key_of`.
    """
    rows = [Strip("", [], line) for line in textwrap.wrap(title, HEADING_COLUMNS)]
    titles = len(rows)
    rows += [row for strip in strips for row in rows_of(strip)]
    rows += [GAP, key] if key else []
    tops = np.cumsum([MARGIN // 2, *map(height_of, rows)]).tolist()
    width, height = 2 * MARGIN + (COLUMNS + 1) * CELL, tops[-1] + MARGIN
    figure, axes = paper(width, height)
    for place, (top, row) in enumerate(zip(tops, rows)):
        draw_heading(axes, top, row.heading, bold=place >= titles)
        draw_row(axes, top, row)
    return Picture(figure, words)


def paper(width: int, height: int) -> tuple[Figure, Axes]:
    """A white figure of so many pixels, and axes that count them, downwards."""
    inches = (width / DOTS_PER_INCH, height / DOTS_PER_INCH)
    figure = Figure(figsize=inches, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return figure, axes


def height_of(row: Strip) -> int:
    """The pixels from the top of a row to the next."""
    return HEADING if row.heading else LINE if row.text else LINE // 2


def lines_of(text: str) -> list[slice]:
    """Where each line is: it ends after a new line, or between words if it must."""
    lines, begin = [], 0
    while begin < len(text):
        limit = begin + COLUMNS
        end = text.find("\n", begin, limit + 1) + 1
        if not end and limit < len(text):
            end = text.rfind(" ", begin, limit + 1) + 1 or limit
        lines.append(slice(begin, end or len(text)))
        begin = lines[-1].stop
    return lines


def rows_of(strip: Strip) -> list[Strip]:
    """The heading, the lines that are drawn, and how many are not."""
    rows = [
        Strip("", [], line) for line in textwrap.wrap(strip.heading, HEADING_COLUMNS)
    ]
    lines = lines_of(strip.text)
    rows += [Strip(strip.text[line], strip.shades[line]) for line in lines[:LINES]]
    if (more := len(lines) - LINES) > 0:
        note = f"… {more:,} more line{'s' * (more > 1)}"
        rows.append(Strip(note, [Shade(ink="#666")] * len(note)))
    return rows


def cut_in_words(text: str) -> str:
    """A sentence for a text that is longer than its picture."""
    count = len(lines_of(text))
    return f" The picture shows {LINES} of {count:,} lines." if count > LINES else ""


def key_of(what: str, labels: Sequence[str], shades: np.ndarray) -> Strip:
    """A line that names each of SHADES in its own colours.

    Args:
        what: the quantity and its unit.
        labels: one for each of SHADES; the last is left out where it does not occur.
        shades: the indices into SHADES that the text has.
    """
    text, looks = f"{what}: ", [PLAIN] * (len(what) + 2)
    shown = len(SHADES) if UNKNOWN in shades else UNKNOWN
    for label, shade in zip(labels[:shown], SHADES):
        text += f" {label}  "
        looks += [*[shade] * (len(label) + 2), PLAIN]
    return Strip(text[:-1], looks[:-1])


def draw_heading(axes: Axes, top: float, text: str, bold: bool) -> None:
    """A title, or the heading of a strip."""
    weight = "bold" if bold else "normal"
    place = (MARGIN, top + HEADING - 10, "".join(map(sign, text)))
    axes.text(*place, fontsize=10 if bold else 11, weight=weight, parse_math=False)


def draw_row(axes: Axes, top: float, row: Strip) -> None:
    """One line: grounds and underlines below, characters above."""
    for shade, run in groupby(range(len(row.text)), key=row.shades.__getitem__):
        columns = [*run]
        left, width = MARGIN + CELL * columns[0], CELL * len(columns)
        if shade.ground != PLAIN.ground:
            place = ((left, top + 1), width, LINE - 2)
            look = {"facecolor": shade.ground, "linewidth": 0, "antialiased": False}
            axes.add_artist(Rectangle(*place, **look))  # without updating limits
        if shade.underline:
            look = {"color": shade.ink, "linestyle": shade.underline, "linewidth": 0.8}
            axes.plot([left, left + width], [top + BASE + 3.5] * 2, **look)
    for ink in sorted({shade.ink for shade in row.shades}):
        draw_ink(axes, top + BASE, row, ink)


def draw_ink(axes: Axes, base: float, row: Strip, ink: str) -> None:
    """The characters of one ink, in one piece, which is several times faster.

    Others than ASCII are drawn one by one: in a piece they might be joined or turned
    around, and would leave their shades.
    """
    pairs = zip(row.text, row.shades)
    signs = [sign(c) if shade.ink == ink else " " for c, shade in pairs]
    pieces = [(0, "".join(c if c.isascii() else " " for c in signs))]
    pieces += [(at, c) for at, c in enumerate(signs) if not c.isascii()]
    style = {"family": FONT, "fontsize": SIZE, "color": ink, "parse_math": False}
    for at, piece in pieces:
        if piece.strip():
            axes.text(MARGIN + CELL * at, base, piece, va="baseline", **style)


def sign(character: str) -> str:
    """What stands for a character in a picture; � for what the font cannot draw."""
    if character in "\n\t":
        return visible(character)
    if character.isspace():
        return " "
    known = get_font(findfont(FONT)).get_char_index(ord(character))
    return character if known and character.isprintable() else "\ufffd"


def copyable(text: str) -> str:
    """A text as text, folded, to stand below its picture."""
    return (
        "<details><summary>the text, to copy</summary>"
        # A page drops one new line after <pre>; this one, so that none is lost.
        f"<pre>\n{html.escape(text, quote=False)}</pre></details>"
    )
