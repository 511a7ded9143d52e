"""A shaded text as a picture: its lines, its colours, and what no font can draw."""

import io
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gpt_lib.views.tokens.shaded_text import (
    CELL_WIDTH,
    COLUMNS,
    LINES,
    MARGIN,
    ShadedText,
    break_lines,
    copyable_text_html,
    drawable_character,
    legend_as_shaded_text,
    picture_of_strips,
    strip_rows,
    truncation_note,
)
from gpt_lib.views.tokens.shades import (
    BLACK_ON_WHITE,
    PROMPT_SHADE,
    SHADE_RULES,
    SHADES,
    Shade,
    shade_indices,
    shade_labels,
)

VERSE = "First Citizen:\nBefore we proceed any further, hear me speak.\n\n"
DARKEST = SHADES[4]


def strip(text, shade=BLACK_ON_WHITE, heading=""):
    return ShadedText(text, [shade] * len(text), heading)


def pixels(picture):
    """(rows, columns, 3)"""
    return np.array(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


def area(picture, color):
    """How many pixels have this colour, give or take what the palette rounds."""
    rgb = [int(digit * 2, 16) for digit in color.lstrip("#")]
    return int((np.abs(pixels(picture) - rgb).max(axis=-1) <= 4).sum())


# The colours


def test_a_page_and_a_picture_take_their_colours_from_the_same_shades():
    styles = [
        "",
        "background:#def",
        "background:#9ce",
        "background:#48b",
        "background:#024;color:#fff",
        "color:#666;text-decoration:underline",
    ]
    assert [shade.css for shade in SHADES] == styles
    for index, style in enumerate(styles):
        assert f".gpt-shade-{index} {{ {style} }}" in SHADE_RULES
    assert PROMPT_SHADE.css == "color:#444;text-decoration:underline dotted"


def test_shades_have_fixed_steps():
    nats = np.array([0.1, 0.5, 1.5, 3, 9, np.inf, np.nan])
    assert shade_indices(nats).tolist() == [0, 1, 2, 3, 4, 4, 5]


@pytest.mark.parametrize("shade", [*SHADES[1:5]])
def test_each_character_has_its_shade(shade):
    few, more = [
        area(picture_of_strips([strip(" " * n, shade)], "", "w"), shade.background)
        for n in (10, 30)
    ]
    assert few / 10 == pytest.approx(more / 30)
    assert few / 10 > 200  # of the 264 pixels of a character's cell


def test_a_shade_is_where_its_character_is():
    row = [BLACK_ON_WHITE] * 20 + [DARKEST] * 5 + [BLACK_ON_WHITE] * 20
    drawn = pixels(picture_of_strips([ShadedText(" " * 45, row)], "", "w"))
    columns = np.flatnonzero((drawn.sum(axis=-1) < 300).any(axis=0))
    assert columns.min() == MARGIN + 20 * CELL_WIDTH
    assert columns.max() + 1 == MARGIN + 25 * CELL_WIDTH


def test_ink_is_light_on_a_dark_shade():
    white = Shade("#024", "#fff")
    black = Shade("#024", "#000")
    bright = [
        (pixels(picture_of_strips([strip("m" * 40, look)], "", "w")) > 240).sum()
        for look in (white, black)
    ]
    assert bright[0] > bright[1] + 40 * 20


def test_each_character_has_one_ink():
    both = ShadedText("m" * 40, [BLACK_ON_WHITE] * 20 + [DARKEST] * 20)
    drawn = pixels(picture_of_strips([both], "", "w"))
    half = MARGIN + 20 * CELL_WIDTH
    plain, dark = (drawn < 30).all(-1), (drawn > 240).all(-1)
    assert plain[:, :half].sum() > 20 * 20
    assert plain[:, half:].sum() == 0
    assert dark[18:30, half : half + 20 * CELL_WIDTH].sum() > 20 * 20


def test_an_underline_is_drawn_and_a_dotted_one_has_gaps():
    dark = [
        (pixels(picture_of_strips([strip(" " * 40, look)], "", "w")) < 160).sum()
        for look in (
            BLACK_ON_WHITE,
            Shade(underline="dotted"),
            Shade(underline="solid"),
        )
    ]
    assert dark[0] == 0
    assert dark[0] < dark[1] < dark[2]


# The lines


def test_lines_end_after_a_new_line_and_between_words():
    text = VERSE + "word " * 30
    lines = [text[line] for line in break_lines(text)]
    assert lines[:3] == VERSE.splitlines(keepends=True)
    assert lines[3] == "word " * 14
    assert [len(line) for line in lines[3:]] == [70, 70, 10]


def test_a_line_that_just_fits_keeps_what_ends_it():
    for end in " \n":
        text = "x" * COLUMNS + end + "y"
        assert [text[line] for line in break_lines(text)] == [text[:-1], "y"]


def test_a_word_longer_than_a_line_is_broken():
    assert [line.stop - line.start for line in break_lines("x" * 100)] == [72, 28]


def test_no_text_is_no_line():
    assert break_lines("") == []
    assert picture_of_strips([strip("")], "Nothing yet", "w").png


@given(st.text(st.sampled_from("ab \n"), max_size=400))
def test_the_lines_are_the_text(text):
    lines = [text[line] for line in break_lines(text)]
    assert "".join(lines) == text
    assert all(0 < len(line) <= COLUMNS + 1 for line in lines)
    assert all("\n" not in line[:-1] for line in lines)


def test_a_long_text_is_cut_and_says_so():
    long = "a\n" * (LINES + 5)
    rows = strip_rows(strip(long))
    assert len(rows) == LINES + 1
    assert rows[-1].text == "… 5 more lines"
    assert truncation_note(long) == f" The picture shows {LINES} of {LINES + 5} lines."


def test_a_text_of_as_many_lines_as_fit_is_not_cut():
    text = "a\n" * LINES
    assert len(strip_rows(strip(text))) == LINES
    assert truncation_note(text) == ""


def test_one_line_too_many_is_one_more_line():
    assert strip_rows(strip("a\n" * (LINES + 1)))[-1].text == "… 1 more line"


# The legend


LABELS = [*shade_labels("no past")]


def test_a_legend_names_each_shade_in_its_own_colours():
    row = legend_as_shaded_text("loss in nats", LABELS, np.array([0, 5]))
    assert row.text == ("loss in nats:  0–0.5   0.5–1   1–2   2–4   over 4   no past ")
    assert len(row.shades) == len(row.text) <= COLUMNS
    for shade, label in zip(SHADES[1:], LABELS[1:]):
        characters = [c for c, s in zip(row.text, row.shades) if s == shade]
        assert "".join(characters) == f" {label} "


def test_a_legend_leaves_out_what_is_not_known_where_all_is_known():
    assert legend_as_shaded_text("loss", LABELS, np.array([0, 4])).text.endswith(
        " over 4 "
    )


def test_a_legend_is_drawn_below_the_text():
    legend = legend_as_shaded_text("loss", LABELS, np.array([0]))
    drawn = pixels(picture_of_strips([strip("a\nb")], "", "w", legend))
    dark = np.flatnonzero((np.abs(drawn - [0, 0x22, 0x44]).max(-1) < 5).sum(1) > 50)
    assert dark.min() > len(drawn) / 2


# What is drawn


def test_a_new_line_is_seen_and_what_no_font_has_is_replaced():
    assert [drawable_character(c) for c in "a \n\té…"] == ["a", " ", "↵", "⇥", "é", "…"]
    assert [drawable_character(c) for c in "\r\u00a0"] == [" ", " "]
    assert [drawable_character(c) for c in "日😀\ud800\0\u200b"] == ["\ufffd"] * 5


@pytest.mark.parametrize(
    "text",
    ["日本 😀\0\ud800\u0301", "$x$ \\frac{", "a é \n\n", "שלום العربية", "fi ffl"],
)
def test_any_text_can_be_drawn(text):
    picture = picture_of_strips([strip(text, heading=text)], text, "w")
    assert picture.png.startswith(b"\x89PNG")
    assert (pixels(picture) < 128).any()


def test_a_dollar_is_a_dollar():
    drawn = pixels(picture_of_strips([strip("$x$")], "", "w"))
    ink = np.flatnonzero((drawn < 128).any(axis=(0, 2)))
    assert ink.max() > MARGIN + 2 * CELL_WIDTH


def test_nothing_is_clipped():
    text = ("W" * COLUMNS + "\n") * (LINES + 3) + "gjpqy"
    parts = [strip(text, PROMPT_SHADE, heading="step 5000 " * 12)] * 2
    legend = legend_as_shaded_text("surprisal in nats", LABELS, np.array([5]))
    drawn = pixels(picture_of_strips(parts, "A long title " * 12, "w", legend))
    for edge in (drawn[:8], drawn[-8:], drawn[:, :12], drawn[:, -12:]):
        assert (edge == 255).all()


def test_a_picture_is_quick_and_small():
    rng = np.random.default_rng(1)
    text = (VERSE * 9)[:400]
    random_shades = [SHADES[i] for i in rng.integers(6, size=400)]
    start = time.monotonic()
    picture = picture_of_strips([ShadedText(text, random_shades)], "Text", "w")
    assert time.monotonic() - start < 10
    assert len(picture.png) < 60_000
    assert 600 < picture.width < 800


def test_a_text_can_be_copied_and_is_escaped():
    page = copyable_text_html("\n<b>\n&")
    assert page.startswith("<details>")
    # A page drops the first of two new lines.
    assert "<pre>\n\n&lt;b&gt;\n&amp;</pre>" in page
