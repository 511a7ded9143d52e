"""What ipywidgets leaves out of its controls: keys that stay, names to be spoken."""

import anywidget
from ipywidgets import Box

from gpt_lib.views.picture import page_script


class FormWidget(anywidget.AnyWidget):
    """Draws nothing; form.js mends the controls of the box that it stands in."""

    _esm = page_script("accessible.js")


def form(box: Box) -> Box:
    """The box, its controls usable by keyboard and named for a screen reader."""
    box.children = (*box.children, FormWidget())
    box.add_class("gpt-form")
    return box
