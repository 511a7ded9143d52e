"""The text that a model writes, token by token: select one to ask about it."""

from collections.abc import Sequence

import anywidget
import numpy as np
import traitlets
from numpy.typing import ArrayLike

from gpt_lib.views.picture import Panel, View, page_script
from gpt_lib.views.tokens.shades import (
    EDGES,
    PLAIN,
    PROMPT,
    SHADES,
    STYLES,
    Shade,
    Strip,
    copyable,
    cut_in_words,
    key_of,
    labels_of,
    picture_of_text,
    shades_of,
)

# Tokens have no past to lack: the last style is for a chance that nobody told.
LEGEND = labels_of("not known")


class TokensWidget(anywidget.AnyWidget):
    """A prompt and the tokens written after it; drawn by tokens.js.

    Assign a new, longer list to `tokens` (with `chances`, under `hold_sync`) and the
    page adds what is new. Any other list redraws from the first token that differs.
    """

    _esm = page_script("tokens/tokens_text.js")
    title = traitlets.Unicode().tag(sync=True)  # a line above the text, if any
    label = traitlets.Unicode("Text").tag(sync=True)  # the accessible name of the text
    prompt = traitlets.Unicode().tag(sync=True)
    # Strings, not checked: that would take half of the time of a long text's update.
    tokens = traitlets.List().tag(sync=True)
    chances = traitlets.Bytes().tag(sync=True)  # float32, one a token; may be shorter
    selected = traitlets.Int(-1).tag(sync=True)  # len(tokens): the next; -1: none
    forks = traitlets.List(traitlets.Int()).tag(sync=True)  # where branches begin
    writing = traitlets.Bool().tag(sync=True)
    shaded = traitlets.Bool().tag(sync=True)
    record = traitlets.Unicode().tag(sync=True)  # what Copy and Save give
    filename = traitlets.Unicode("text.txt").tag(sync=True)
    ended = traitlets.Bool().tag(sync=True)  # the page sets it: the kernel is gone
    styles = traitlets.List(list(STYLES)).tag(sync=True)
    edges = traitlets.List(list(EDGES)).tag(sync=True)  # nats, between the styles
    legend = traitlets.List(LEGEND).tag(sync=True)

    def show(self, prompt: str, tokens: Sequence[str], chances: ArrayLike = ()) -> None:
        """Put a whole text at once, so that the page never mixes two.

        Args:
            prompt: what the model was given.
            tokens: N strings that it wrote.
            chances: (N,) probabilities it gave them, NaN where not known; or empty.
        """
        row = row_of_chances(tokens, chances)
        with self.hold_sync():
            self.prompt, self.tokens = prompt, list(tokens)
            self.chances = row.tobytes()
            if self.selected > len(tokens):
                self.selected = -1


def tokens_text(
    prompt: str, tokens: Sequence[str], chances: ArrayLike, title: str
) -> View:
    """A written text, shaded by surprise: select a token to read its chance.

    Args:
        prompt: what the model was given.
        tokens: N strings that it wrote.
        chances: (N,) probabilities it gave them, NaN where not known; or empty.
        title: what is shown.
    """
    row = row_of_chances(tokens, chances)
    widget = TokensWidget(
        title=title,
        label=title,
        shaded=row.size > 0,
        record=prompt + "".join(tokens),
    )
    widget.show(prompt, tokens, row)
    return View(widget, twin_of(prompt, tokens, row, title))


def row_of_chances(tokens: Sequence[str], chances: ArrayLike) -> np.ndarray:
    """(N,) float32 for N tokens, or (0,), once both are what a text can show."""
    for place, token in enumerate(tokens):
        if not isinstance(token, str):
            raise ValueError(
                f"token {place} is {token!r}; every token must be a string"
            )
    row = np.asarray(chances, dtype=np.float32)
    if row.shape not in [(0,), (len(tokens),)]:
        raise ValueError(
            f"chances have shape {row.shape}; {len(tokens)} tokens need"
            f" ({len(tokens)},), or none"
        )
    if ((row < 0) | (row > 1)).any():
        raise ValueError(
            f"chances run from {np.nanmin(row):g} to {np.nanmax(row):g}, not 0 to 1"
        )
    return row


def twin_of(
    prompt: str, tokens: Sequence[str], chances: np.ndarray, title: str
) -> Panel:
    """What a reader without a kernel sees: the same shades, nothing to select."""
    with np.errstate(divide="ignore"):
        nats = -np.log(chances)
    shades, text = shades_of(nats), prompt + "".join(tokens)
    told = f"{len(tokens)} tokens{mean_in_words(nats)}"
    words = f"{title}. {told}.{cut_in_words(text)}"
    strip = Strip(text, looks_of(prompt, tokens, shades), told)
    key = key_of("surprise in nats", LEGEND, shades) if nats.size else None
    picture = picture_of_text([strip], title, words, key)
    return Panel(picture.html + copyable(text), f"{words} {text}")


def looks_of(prompt: str, tokens: Sequence[str], shades: np.ndarray) -> list[Shade]:
    """The shade of each character; tokens without chances have none."""
    known = [SHADES[shade] for shade in shades] or [PLAIN] * len(tokens)
    looks = [PROMPT] * len(prompt)
    for token, shade in zip(tokens, known):
        looks += [shade] * len(token)
    return looks


def mean_in_words(nats: np.ndarray) -> str:
    """The mean of the surprises that are known."""
    known = nats[~np.isnan(nats)]
    return f", {known.mean():.2f} nats a token" if known.size else ""
