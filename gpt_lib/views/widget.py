"""What the widgets of all live pages share."""

from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets

from gpt_lib.views.page import error_message


class PageWidget(anywidget.AnyWidget):
    """Carries the data of a page to its script."""

    title = traitlets.Unicode().tag(sync=True)

    def put(self, data: Mapping[str, Any]) -> None:
        """Set several traits in one message: the page never mixes two states."""
        with self.hold_sync():
            for name, value in data.items():
                setattr(self, name, value)


class PickWidget(PageWidget):
    """A page on which a reader picks one of `pick_count` things, by click or Enter."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.pick_count = 0
        self.pick_callbacks: list[Callable[[int], None]] = []
        self.on_msg(self.receive)

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call `callback(index)` each time that a reader picks something."""
        self.pick_callbacks.append(callback)

    def receive(self, _: object, message: dict, __: list) -> None:
        """Pass a pick on; one of something that is no longer there is dropped."""
        index = message.get("index")
        if message.get("type") != "pick" or index not in range(self.pick_count):
            return
        for callback in self.pick_callbacks:
            callback(index)


class TextWidget(PageWidget):
    """A page with a field for a text: each that a reader types is answered with data.

    Its script begins with `text_field.js`.
    """

    text = traitlets.Unicode().tag(sync=True)  # what the reader typed
    status = traitlets.Unicode().tag(sync=True)  # why it cannot be shown, or ""

    def on_text(self, compute_data: Callable[[str], Mapping[str, Any]]) -> None:
        """Put `compute_data(text)` for each new text; if it raises, change nothing."""

        def answer(change: dict) -> None:
            try:
                self.put({"status": "", **compute_data(change["new"])})
            except Exception as error:
                self.status = error_message(error)

        self.observe(answer, "text")
