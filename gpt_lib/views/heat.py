"""One passage read by several models: each character shaded by what it cost them."""

import html
from collections.abc import Mapping, Sequence
from itertools import groupby

import anywidget
import numpy as np
import traitlets
from numpy.typing import ArrayLike

from gpt_lib.views.picture import Panel, View, page_script, visible

LIKELIEST = 5
# Fixed steps in nats: two passages, or two lessons, can be compared by eye.
EDGES = (0.5, 1.0, 2.0, 4.0)
# Black on light, white on dark: the paper is white in every theme. Short, for a page
# holds one style a character.
STYLES = (
    "",
    "background:#def",
    "background:#9ce",
    "background:#48b",
    "background:#024;color:#fff",
    "color:#666;text-decoration:underline",
)
NO_PAST = len(STYLES) - 1
PAPER = (
    "background:#fff;color:#000;padding:2px 6px;margin:2px 0 8px;line-height:1.4;"
    "font-family:var(--jp-code-font-family,monospace);white-space:break-spaces;"
    "overflow-wrap:anywhere"
)


class HeatTextWidget(anywidget.AnyWidget):
    """The live half of `heat_text`; its page is drawn by heat.js."""

    _esm = page_script("heat.js")
    title = traitlets.Unicode().tag(sync=True)
    characters = traitlets.List(traitlets.Unicode()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    moment = traitlets.Int(-1).tag(sync=True)  # the one of `names` shown; -1: all
    means = traitlets.List(traitlets.Unicode()).tag(sync=True)
    losses = traitlets.Bytes().tag(sync=True)  # float32, model after model
    shades = traitlets.Bytes().tag(sync=True)  # an index into `styles` for each loss
    styles = traitlets.List(traitlets.Unicode()).tag(sync=True)
    legend = traitlets.List(traitlets.Unicode()).tag(sync=True)
    paper = traitlets.Unicode().tag(sync=True)
    # Five for each loss, "" where a list is shorter; with a float32 chance for each.
    guesses = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chances = traitlets.Bytes().tag(sync=True)


def heat_text(
    text: str,
    losses: Mapping[str, ArrayLike],
    likeliest: Mapping[str, Sequence[Sequence[tuple[str, float]]]],
    title: str,
) -> View:
    """The same text under each model: point at a character, or use the arrow keys.

    Args:
        text: N characters.
        losses: model -> (N,) nats a character, NaN where there was no past to read.
        likeliest: model -> for each of the N characters up to five pairs of what the
            model expected there and its probability, likeliest first.
        title: what is read.
    """
    table = table_of_losses(text, losses)
    guesses, chances = flat_guesses(text, losses, likeliest)
    names = [visible(character) for character in text]
    shades = shades_of(table)
    means = [mean_in_words(row) for row in table]
    widget = HeatTextWidget(
        title=title,
        characters=names,
        names=list(losses),
        means=means,
        losses=table.tobytes(),
        shades=shades.tobytes(),
        styles=list(STYLES),
        legend=legend(),
        paper=PAPER,
        guesses=guesses,
        chances=chances.tobytes(),
    )
    return View(widget, twin_of(text, list(losses), table, title))


def table_of_losses(text: str, losses: Mapping[str, ArrayLike]) -> np.ndarray:
    """(models, N) float32, once every model has a loss for every character."""
    if not text or not losses:
        raise ValueError("heat_text needs a text and the losses of at least one model")
    rows = {name: np.asarray(row, dtype=np.float32) for name, row in losses.items()}
    for name, row in rows.items():
        if row.shape != (len(text),):
            raise ValueError(
                f"losses of {name!r} have shape {row.shape}; a text of {len(text)}"
                f" characters needs ({len(text)},)"
            )
    return np.stack(list(rows.values()))


def flat_guesses(
    text: str,
    losses: Mapping[str, ArrayLike],
    likeliest: Mapping[str, Sequence[Sequence[tuple[str, float]]]],
) -> tuple[list[str], np.ndarray]:
    """Five names and float32 chances for each character of each model in turn."""
    if list(likeliest) != list(losses):
        raise ValueError(
            f"likeliest is given for {list(likeliest)}, losses for {list(losses)}"
        )
    guesses, chances = [], []
    for name, lists in likeliest.items():
        if len(lists) != len(text):
            raise ValueError(
                f"likeliest of {name!r} has {len(lists)} lists; a text of {len(text)}"
                f" characters needs {len(text)}"
            )
        for pairs in lists:
            full = [*pairs[:LIKELIEST], *[("", 0.0)] * (LIKELIEST - len(pairs))]
            guesses += [visible(character) for character, _ in full]
            chances += [float(chance) for _, chance in full]
    return guesses, np.asarray(chances, dtype=np.float32)


def shades_of(table: np.ndarray) -> np.ndarray:
    """An index into STYLES for each loss, uint8."""
    shades = np.digitize(table, EDGES)
    return np.where(np.isnan(table), NO_PAST, shades).astype(np.uint8)


def legend() -> list[str]:
    """What each of STYLES stands for."""
    steps = [f"{low:g}–{high:g}" for low, high in zip((0, *EDGES), EDGES)]
    return [*steps, f"over {EDGES[-1]:g}", "no past"]


def mean_in_words(row: np.ndarray) -> str:
    """A model's mean loss over the characters that have a past."""
    known = row[~np.isnan(row)]
    return f"{known.mean():.2f} nats a character" if len(known) else "no past"


def surprise_in_words(text: str, row: np.ndarray) -> str:
    """The character that cost a model most, and what came before it."""
    if np.isnan(row).all():
        return ""
    worst = int(np.nanargmax(row))
    before = "".join(map(visible, text[max(0, worst - 8) : worst]))
    seen = f" after “{before}”" if before else ""
    return f", most surprised by “{visible(text[worst])}”{seen} ({row[worst]:.2f})"


def twin_of(text: str, names: list[str], table: np.ndarray, title: str) -> Panel:
    """What a reader without a kernel sees: the same shades, nothing to point at."""
    key = " ".join(
        f'<span style="{style};padding:0 6px">{label}</span>'
        for style, label in zip(STYLES, legend())
    )
    page = (
        f"<p><b>{html.escape(title)}</b></p>"
        f'<p style="background:#fff;color:#000">loss in nats: {key}</p>'
    )
    words = []
    for name, row in zip(names, table):
        mean = mean_in_words(row)
        page += f"<p><b>{html.escape(name)}</b> {mean}</p>"
        # Lab drops `white-space` from a notebook it does not trust; <pre> stays.
        page += f'<pre style="{PAPER}">{shaded(text, shades_of(row))}</pre>'
        words.append(f"{name}: {mean}{surprise_in_words(text, row)}")
    return Panel(page, f"{title}. {'; '.join(words)}.")


def shaded(text: str, shades: np.ndarray) -> str:
    """The text in spans, one for each run of equal shades, to keep the page small."""
    page = ""
    for shade, run in groupby(zip(text, shades), key=lambda pair: pair[1]):
        piece = "".join(character for character, _ in run).replace("\n", "↵\n")
        escaped = html.escape(piece, quote=False)
        style = STYLES[shade]
        page += f"<span style={style}>{escaped}</span>" if style else escaped
    return page
