"""A picture of texts whose characters are shaded."""

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

from gpt_lib.views.picture import DOTS_PER_INCH, Picture
from gpt_lib.views.tokens.shades import BLACK_ON_WHITE, SHADES, UNKNOWN_INDEX, Shade
from gpt_lib.views.visible_text import visible_character

# A line may be one column longer than COLUMNS, by what ends it.
COLUMNS, LINES, HEADING_COLUMNS = 72, 24, 60
# In pixels. Cells of whole pixels keep shades and characters in step over a line, and
# make equal characters equal to the pixel, which a PNG stores in a third of the space.
CELL_WIDTH, LINE_HEIGHT, BASELINE, HEADING_HEIGHT, MARGIN = 11, 24, 17, 34, 18
FONT = "DejaVu Sans Mono"  # comes with matplotlib
ADVANCE = 1233 / 2048  # width of a character, as a fraction of the font's size
FONT_SIZE = CELL_WIDTH / ADVANCE * 72 / DOTS_PER_INCH  # points


class ShadedText(NamedTuple):
    """A text and the shade of each of its characters."""

    text: str
    shades: Sequence[Shade]
    heading: str = ""  # above it, bold


BLANK_LINE = ShadedText("", [])


def picture_of_strips(
    strips: Sequence[ShadedText],
    title: str,
    description: str,
    legend: ShadedText | None = None,
) -> Picture:
    """Shaded texts below each other, each cut after LINES lines.

    Args:
        strips: the texts, each with its heading, if any.
        title: what they are.
        description: what the picture shows; see `truncation_note`.
        legend: a line below them that tells what the shades mean; see
            `legend_as_shaded_text`.
    """
    rows = [ShadedText("", [], line) for line in textwrap.wrap(title, HEADING_COLUMNS)]
    title_rows = len(rows)
    rows += [row for strip in strips for row in strip_rows(strip)]
    rows += [BLANK_LINE, legend] if legend else []
    tops = np.cumsum([MARGIN // 2, *map(row_height, rows)]).tolist()
    width, height = 2 * MARGIN + (COLUMNS + 1) * CELL_WIDTH, tops[-1] + MARGIN
    figure, axes = pixel_figure(width, height)
    for number, (top, row) in enumerate(zip(tops, rows)):
        draw_heading(axes, top, row.heading, bold=number >= title_rows)
        draw_row(axes, top, row)
    return Picture(figure, description)


def pixel_figure(width: int, height: int) -> tuple[Figure, Axes]:
    """A white figure of so many pixels, and axes that count them, downwards."""
    inches = (width / DOTS_PER_INCH, height / DOTS_PER_INCH)
    figure = Figure(figsize=inches, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return figure, axes


def row_height(row: ShadedText) -> int:
    """The pixels from the top of a row to the next."""
    return HEADING_HEIGHT if row.heading else LINE_HEIGHT // (1 if row.text else 2)


def break_lines(text: str) -> list[slice]:
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


def strip_rows(strip: ShadedText) -> list[ShadedText]:
    """The heading, the lines that are drawn, and how many are not."""
    rows = [
        ShadedText("", [], line)
        for line in textwrap.wrap(strip.heading, HEADING_COLUMNS)
    ]
    lines = break_lines(strip.text)
    rows += [ShadedText(strip.text[line], strip.shades[line]) for line in lines[:LINES]]
    if (more := len(lines) - LINES) > 0:
        note = f"… {more:,} more line{'s' * (more > 1)}"
        rows.append(ShadedText(note, [Shade(ink="#666")] * len(note)))
    return rows


def truncation_note(text: str) -> str:
    """A sentence for a text that is longer than its picture, or ""."""
    count = len(break_lines(text))
    return f" The picture shows {LINES} of {count:,} lines." if count > LINES else ""


def legend_as_shaded_text(
    quantity: str, labels: Sequence[str], indices_in_text: np.ndarray
) -> ShadedText:
    """A line that names each of SHADES in its own colours.

    Args:
        quantity: what is shaded, and its unit.
        labels: one for each of SHADES; the last is left out where it does not occur.
        indices_in_text: the indices into SHADES that the text has.
    """
    text, shades = f"{quantity}: ", [BLACK_ON_WHITE] * (len(quantity) + 2)
    count = len(SHADES) if UNKNOWN_INDEX in indices_in_text else UNKNOWN_INDEX
    for label, shade in zip(labels[:count], SHADES):
        text += f" {label}  "
        shades += [*[shade] * (len(label) + 2), BLACK_ON_WHITE]
    return ShadedText(text[:-1], shades[:-1])


def draw_heading(axes: Axes, top: float, text: str, bold: bool) -> None:
    """A title, or the heading of a strip."""
    weight = "bold" if bold else "normal"
    drawable = "".join(map(drawable_character, text))
    position = (MARGIN, top + HEADING_HEIGHT - 10)
    size = 10 if bold else 11
    axes.text(*position, drawable, fontsize=size, weight=weight, parse_math=False)


def draw_row(axes: Axes, top: float, row: ShadedText) -> None:
    """One line: backgrounds and underlines below, characters above."""
    for shade, run in groupby(range(len(row.text)), key=row.shades.__getitem__):
        columns = [*run]
        left, width = MARGIN + CELL_WIDTH * columns[0], CELL_WIDTH * len(columns)
        if shade.background != BLACK_ON_WHITE.background:
            box = ((left, top + 1), width, LINE_HEIGHT - 2)
            style = {"facecolor": shade.background, "linewidth": 0}
            # `add_patch` would update the limits, which is slow.
            axes.add_artist(Rectangle(*box, antialiased=False, **style))
        if shade.underline:
            style = {"color": shade.ink, "linestyle": shade.underline, "linewidth": 0.8}
            axes.plot([left, left + width], [top + BASELINE + 3.5] * 2, **style)
    for ink in sorted({shade.ink for shade in row.shades}):
        draw_characters_in_ink(axes, top + BASELINE, row, ink)


def draw_characters_in_ink(
    axes: Axes, baseline: float, row: ShadedText, ink: str
) -> None:
    """The characters of one ink, as one text, which is several times faster.

    Characters outside ASCII are drawn one by one: matplotlib might join them or turn
    their order around, and they would leave their shades.
    """
    pairs = zip(row.text, row.shades)
    characters = [drawable_character(c) if s.ink == ink else " " for c, s in pairs]
    pieces = [(0, "".join(c if c.isascii() else " " for c in characters))]
    pieces += [(at, c) for at, c in enumerate(characters) if not c.isascii()]
    style = {"family": FONT, "fontsize": FONT_SIZE, "color": ink, "parse_math": False}
    for column, piece in pieces:
        if piece.strip():
            left = MARGIN + CELL_WIDTH * column
            axes.text(left, baseline, piece, va="baseline", **style)


def drawable_character(character: str) -> str:
    """What stands for a character in a picture; � for what the font cannot draw."""
    if character in "\n\t":
        return visible_character(character)
    if character.isspace():
        return " "
    glyph = get_font(findfont(FONT)).get_char_index(ord(character))
    return character if glyph and character.isprintable() else "\ufffd"


def copyable_text_html(text: str) -> str:
    """HTML: a text as text, folded, to stand below its picture."""
    return (
        "<details><summary>the text, to copy</summary>"
        # A page drops one new line after <pre>; this one, so that none is lost.
        f"<pre>\n{html.escape(text, quote=False)}</pre></details>"
    )
