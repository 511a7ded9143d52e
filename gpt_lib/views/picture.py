"""A picture that also says in words what it shows, and a widget with such a twin."""

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ipywidgets import Widget
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
DOTS_PER_INCH = 120  # sharper than a page needs, and a lesson stays below 1 MB


class Picture:
    """A picture with words: an `<img alt>` in the page, plain text elsewhere."""

    def __init__(self, figure: Figure, words: str) -> None:
        self.png = png_of(figure)
        self.words = words
        self.width = round(figure.get_figwidth() * 96)  # CSS pixels

    @property
    def html(self) -> str:
        """The picture as one `<img>` that carries its words and its data."""
        data = base64.b64encode(self.png).decode()
        return (
            f'<img alt="{html.escape(self.words)}" width="{self.width}"'
            f' style="max-width:100%" src="data:image/png;base64,{data}">'
        )

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/html": self.html, "text/plain": self.words}


def png_of(figure: Figure) -> bytes:
    """The figure as a PNG of at most 256 colours, which is a third of the size."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    Image.open(drawn).convert("RGB").quantize(256).save(packed, "png", optimize=True)
    return packed.getvalue()


class Panel:
    """Text laid out in HTML, with the same words as plain text."""

    def __init__(self, page: str, words: str) -> None:
        self.html, self.words = page, words

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/html": self.html, "text/plain": self.words}


class View:
    """A live widget and its static twin, for where no kernel runs (a code host, a PDF).

    JupyterLab shows the widget; every other reader falls back to the twin.
    """

    def __init__(self, widget: Widget, twin: Picture | Panel) -> None:
        self.widget, self.twin = widget, twin

    def __repr__(self) -> str:
        return self.twin.words

    def _repr_mimebundle_(self, **_: Any) -> Mapping[str, Any]:
        live = {
            "version_major": 2,
            "version_minor": 0,
            "model_id": self.widget.model_id,
        }
        return {**self.twin._repr_mimebundle_(), WIDGET_VIEW: live}


def page_script(name: str) -> str:
    """The script of a live page: the helpers that all share, then the file `name`."""
    folder = Path(__file__).parent
    files = [folder / "page.js", folder / name]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def new_figure(width: float = 7.0, height: float = 3.2) -> tuple[Figure, Axes]:
    """A figure of `width` x `height` inches and its axes, in the house style.

    Not made by pyplot, which keeps every figure alive and is not safe in threads. The
    white ground keeps it readable in a dark theme.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def visible(character: str) -> str:
    """A name for a character that a reader could not see: space, new line, tab."""
    return {" ": "␣", "\n": "↵", "\t": "⇥"}.get(character, character)
