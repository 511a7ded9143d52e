"""A slider over the merges of a vocabulary, and the family of each token."""

from collections.abc import Callable, Sequence
from typing import Any

import traitlets

from gpt_lib.views.picture import HtmlPanel, WidgetWithFallback
from gpt_lib.views.tokens.merge_explorer_data import (
    PAGE_SOURCES,
    apply_merges,
    merge_explorer_data,
)
from gpt_lib.views.tokens.shaded_text import ShadedText, picture_of_strips
from gpt_lib.views.tokens.shades import BLACK_ON_WHITE, SHADES
from gpt_lib.views.visible_text import format_count, visible_text
from gpt_lib.views.widget import TextWidget

STILLS = 4  # numbers of merges in the fallback
# Two neighbours never have the same look, and black on both of them is readable.
TOKEN_SHADES = BLACK_ON_WHITE, SHADES[2]

Cut = Callable[[str], Sequence[Sequence[int]]]


class MergeExplorerWidget(TextWidget):
    """Carries `merge_explorer_data` to its page."""

    _esm, _css = PAGE_SOURCES
    chunks = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    merges = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)  # of all ids
    count = traitlets.Int().tag(sync=True)  # of merges that are done


def merge_explorer(
    cut: Cut,
    merges: Sequence[Sequence[int]],
    labels: Sequence[str],
    text: str,
    title: str,
    count: int | None = None,
) -> WidgetWithFallback:
    """A text cut by the first merges of a vocabulary: a slider says by how many.

    A token that is picked shows what it was merged from, and can be taken apart, merge
    by merge, down to single bytes.

    Args:
        cut: a text -> the ids of each of its chunks before any merge. Its `ValueError`
            is shown to the reader.
        merges: two ids each, in the order in which they were learned; the first makes
            the id `len(labels) - len(merges)`.
        labels: one for each id.
        text: the first text; the reader can type another.
        title: what is cut.
        count: merges that are done at first; by default, half of them.
    """
    count = len(merges) // 2 if count is None else count
    if not 0 <= count <= len(merges):
        raise ValueError(f"count={count} must be from 0 to {len(merges)}")

    def compute_data(typed: str) -> dict[str, Any]:
        """What the page shows for a text that was typed."""
        return merge_explorer_data(cut(typed), merges, labels)

    data = compute_data(text)
    widget = MergeExplorerWidget(title=title, text=text, count=count, **data)
    widget.on_text(compute_data)
    fallback = merges_fallback(data["chunks"], merges, labels, title)
    return WidgetWithFallback(widget, fallback)


def merges_fallback(
    chunks: Sequence[Sequence[int]],
    merges: Sequence[Sequence[int]],
    labels: Sequence[str],
    title: str,
) -> HtmlPanel:
    """The fallback: the text after none, a few and all of the merges."""
    first, strips, sentences = len(labels) - len(merges), [], []
    for still in range(STILLS):
        count = round(len(merges) * (still / (STILLS - 1)) ** 2)
        ids = [
            id for chunk in chunks for id in apply_merges(chunk, merges[:count], first)
        ]
        tokens = [visible_text(labels[id]) for id in ids]
        done, size = format_count(count, "merge"), format_count(len(ids), "token")
        strips.append(alternating_strip(tokens, f"{done}: {size}"))
        sentences.append(f"after {done} {size}")
    description = f"{title}. The same text has {', '.join(sentences)}."
    picture = picture_of_strips(strips, title, description)
    return HtmlPanel(picture.html, description)


def alternating_strip(tokens: Sequence[str], heading: str) -> ShadedText:
    """Tokens in two looks by turns, so that each cut can be seen."""
    shades = [
        TOKEN_SHADES[number % 2] for number, token in enumerate(tokens) for _ in token
    ]
    return ShadedText("".join(tokens), shades, heading)
