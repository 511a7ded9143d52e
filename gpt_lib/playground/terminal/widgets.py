"""What the screen is made of: the texts, and the line to type in."""

import re
from typing import ClassVar

from textual import events
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from gpt_lib.playground.messages import printable
from gpt_lib.playground.session import GeneratedText


class TextView(Vertical):
    """One text, under who writes it."""

    def __init__(self, text: GeneratedText) -> None:
        self.text, self.version = text, None  # title and tokens that are on the screen
        self.title_line = Static(classes="title", markup=False)
        self.body = Static(markup=False)
        super().__init__(self.title_line, self.body)

    def update_text(self) -> None:
        """Show the text as it is now; the prompt is bold."""
        version = self.text.title, len(self.text.branch.pieces)
        if version != self.version:
            self.version = version
            self.title_line.update(printable(self.text.title))
            bold, text = len(printable(self.text.prompt)), printable(self.text.text)
            self.body.update(Content(text).stylize("bold", 0, bold))


class SideBySideView(Horizontal):
    """What one prompt led to: one text, or two, side by side where there is room."""

    def __init__(self, texts: list[GeneratedText]) -> None:
        self.texts, self.views = texts, [TextView(text) for text in texts]
        super().__init__(*self.views)


class InputLine(Input):
    """The line to type in; Up and Down walk through the earlier ones."""

    BINDINGS: ClassVar = [
        Binding("up", "walk(-1)", show=False),
        Binding("down", "walk(1)", show=False),
        Binding("tab", "cursor_right", show=False),  # accepts a suggestion
    ]

    def __init__(self) -> None:
        super().__init__(compact=True)
        self.history, self.position = [""], 0  # the last line is the one being typed

    def take(self) -> str:
        """The line that was typed; an empty one takes its place."""
        line, self.value = self.value, ""
        self.history[-1:] = [line, ""] if line else [""]
        self.position = len(self.history) - 1
        return line

    def action_walk(self, by: int) -> None:
        """Go to an earlier or a later line."""
        if 0 <= self.position + by < len(self.history):
            self.history[self.position] = self.value
            self.position += by
            self.value = self.history[self.position]
            self.cursor_position = len(self.value)

    def _on_paste(self, event: events.Paste) -> None:
        """Input keeps the first line only; here a new line becomes its two letters."""
        self.insert_text_at_cursor(re.sub(r"\r\n?|\n", r"\\n", event.text))
        event.prevent_default()
        event.stop()
