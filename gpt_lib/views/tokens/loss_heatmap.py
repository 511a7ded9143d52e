"""One passage read by several models: each character shaded by what it cost them."""

from collections.abc import Mapping, Sequence

import anywidget
import numpy as np
import traitlets
from numpy.typing import ArrayLike

from gpt_lib.views.picture import Panel, View, page_script, visible
from gpt_lib.views.tokens.shades import (
    SHADES,
    STYLES,
    Strip,
    copyable,
    cut_in_words,
    key_of,
    labels_of,
    picture_of_text,
    shades_of,
)

LIKELIEST = 5
LEGEND = labels_of("no past")
PAPER = (
    "background:#fff;color:#000;padding:2px 6px;margin:2px 0 8px;line-height:1.4;"
    "font-family:var(--jp-code-font-family,monospace);white-space:break-spaces;"
    "overflow-wrap:anywhere"
)


class HeatTextWidget(anywidget.AnyWidget):
    """The live half of `heat_text`; its page is drawn by heat.js."""

    _esm = page_script("tokens/loss_heatmap.js")
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
    widget = heat_widget(text, losses, likeliest, title)
    return View(widget, twin_of(text, losses, title))


def heat_widget(
    text: str,
    losses: Mapping[str, ArrayLike],
    likeliest: Mapping[str, Sequence[Sequence[tuple[str, float]]]],
    title: str,
) -> HeatTextWidget:
    """The live half alone, for a view with a twin of its own; takes the same."""
    table = table_of_losses(text, losses)
    guesses, chances = flat_guesses(text, losses, likeliest)
    return HeatTextWidget(
        title=title,
        characters=[visible(character) for character in text],
        names=list(losses),
        means=[mean_in_words(row) for row in table],
        losses=table.tobytes(),
        shades=shades_of(table).tobytes(),
        styles=list(STYLES),
        legend=LEGEND,
        paper=PAPER,
        guesses=guesses,
        chances=chances.tobytes(),
    )


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


def twin_of(text: str, losses: Mapping[str, ArrayLike], title: str) -> Panel:
    """What a reader without a kernel sees: the same shades, nothing to point at."""
    table, strips, told = table_of_losses(text, losses), [], []
    for name, row in zip(losses, table):
        looks = [SHADES[shade] for shade in shades_of(row)]
        mean = f"{name}: {mean_in_words(row)}"
        strips.append(Strip(text, looks, mean))
        told.append(mean + surprise_in_words(text, row))
    words = f"{title}. {'; '.join(told)}.{cut_in_words(text)}"
    key = key_of("loss in nats", LEGEND, shades_of(table))
    picture = picture_of_text(strips, title, words, key)
    return Panel(picture.html + copyable(text), words)
