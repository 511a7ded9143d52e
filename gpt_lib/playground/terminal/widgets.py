"""What the screen is made of: the texts, and the line to type in."""

import re
from typing import ClassVar

from textual import events
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from gpt_lib.playground.session import Lane


class LaneView(Vertical):
    """One text, under who writes it."""

    def __init__(self, lane: Lane) -> None:
        self.lane, self.shown = lane, None
        self.title = Static(classes="title", markup=False)
        self.text = Static(markup=False)
        super().__init__(self.title, self.text)

    def show(self) -> None:
        """Follow the text; the prompt is bold."""
        now = self.lane.title, len(self.lane.ids)
        if now != self.shown:
            self.shown = now
            self.title.update(self.lane.title)
            bold = len(self.lane.prompt)
            self.text.update(Content(self.lane.text).stylize("bold", 0, bold))


class PageView(Horizontal):
    """What one prompt led to: one text, or two, side by side where there is room."""

    def __init__(self, lanes: list[Lane]) -> None:
        self.lanes, self.views = lanes, [LaneView(lane) for lane in lanes]
        super().__init__(*self.views)


class Entry(Input):
    """The line to type in; Up and Down lead through the earlier ones."""

    BINDINGS: ClassVar = [
        Binding("up", "walk(-1)", show=False),
        Binding("down", "walk(1)", show=False),
        Binding("tab", "cursor_right", show=False),  # accepts a suggestion
    ]

    def __init__(self) -> None:
        super().__init__(compact=True)
        self.history, self.place = [""], 0  # the last is the one being typed

    def take(self) -> str:
        """The line, which makes room for the next one."""
        line, self.value = self.value, ""
        self.history[-1:] = [line, ""] if line else [""]
        self.place = len(self.history) - 1
        return line

    def action_walk(self, by: int) -> None:
        """Go to an earlier or a later line."""
        if 0 <= self.place + by < len(self.history):
            self.history[self.place] = self.value
            self.place += by
            self.value = self.history[self.place]
            self.cursor_position = len(self.value)

    def _on_paste(self, event: events.Paste) -> None:
        """Input keeps the first line only; here a new line becomes its two letters."""
        self.insert_text_at_cursor(re.sub(r"\r\n?|\n", r"\\n", event.text))
        event.prevent_default()
        event.stop()
