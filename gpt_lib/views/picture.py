"""Pictures that say in words what they show, and live views with a static fallback."""

import base64
import html
import io
from collections.abc import Mapping
from typing import Any

from ipywidgets import Widget
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
DOTS_PER_INCH = 120  # sharper than a page needs, and a lesson stays below 1 MB
CSS_PIXELS_PER_INCH = 96


class Picture:
    """A picture with a description: `<img alt>` in a page, plain text elsewhere."""

    def __init__(self, figure: Figure, description: str) -> None:
        self.png = figure_to_png(figure)
        self.description = description
        self.width = round(figure.get_figwidth() * CSS_PIXELS_PER_INCH)

    @property
    def source(self) -> str:
        """The picture as a `data:` URL."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"

    @property
    def html(self) -> str:
        """The picture as one `<img>` that carries its description and its data."""
        return (
            f'<img alt="{html.escape(self.description)}" width="{self.width}"'
            f' style="max-width:100%" src="{self.source}">'
        )

    def __repr__(self) -> str:
        return self.description

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/html": self.html, "text/plain": self.description}


def figure_to_png(figure: Figure) -> bytes:
    """The figure as a PNG of at most 256 colours, which is a third of the size."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    Image.open(drawn).convert("RGB").quantize(256).save(packed, "png", optimize=True)
    return packed.getvalue()


class HtmlPanel:
    """Text laid out in HTML, and described in plain text."""

    def __init__(self, html: str, description: str) -> None:
        self.html, self.description = html, description

    def __repr__(self) -> str:
        return self.description

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/html": self.html, "text/plain": self.description}


class WidgetWithFallback:
    """A live widget and its static fallback, for where no kernel runs.

    JupyterLab shows the widget; a code host or a PDF shows the fallback.
    """

    def __init__(self, widget: Widget, fallback: Picture | HtmlPanel) -> None:
        self.widget, self.fallback = widget, fallback

    def __repr__(self) -> str:
        return self.fallback.description

    def _repr_mimebundle_(self, **_: Any) -> Mapping[str, Any]:
        live = {
            "version_major": 2,
            "version_minor": 0,
            "model_id": self.widget.model_id,
        }
        return {**self.fallback._repr_mimebundle_(), WIDGET_VIEW: live}


def new_figure_and_axes(width: float = 7.0, height: float = 3.2) -> tuple[Figure, Axes]:
    """A figure of `width` x `height` inches and its axes, in the style of the course.

    Not made by pyplot, which keeps every figure alive and is not safe in threads. The
    white background keeps it readable in a dark theme.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
