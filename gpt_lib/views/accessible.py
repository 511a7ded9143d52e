"""What ipywidgets leaves out of its controls: keys that stay, names to be spoken."""

import anywidget
from ipywidgets import Box

from gpt_lib.views.page import load_page_files


class AccessibilityWidget(anywidget.AnyWidget):
    """Draws nothing; accessible.js repairs the controls of the box that holds it."""

    _esm, _ = load_page_files("accessible")


def make_controls_accessible(box: Box) -> Box:
    """The box, its controls usable by keyboard and named for a screen reader."""
    box.children = (*box.children, AccessibilityWidget())
    box.add_class("gpt-accessible")
    return box
