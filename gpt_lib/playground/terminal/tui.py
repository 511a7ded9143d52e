"""The playground as a Textual app: one thread shows, another one loads and writes."""

import os
import threading
from collections import deque
from queue import SimpleQueue
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.suggester import SuggestFromList
from textual.widgets import Label, Static

from gpt_lib.playground.messages import told
from gpt_lib.playground.session import Lane, Run, Session
from gpt_lib.playground.terminal.commands import Reply, completions, interrupt, obey
from gpt_lib.playground.terminal.widgets import Entry, PageView

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_TO_END = 3.0  # for a worker that still loads or writes
WELCOME = (
    "Type a prompt, such as ROMEO: and press Enter; Enter alone goes on, Escape stops,"
    " /help lists what else there is, and quit leaves."
)


def open_screen(session: Session) -> int:
    """Show the playground until the user leaves; the exit code."""
    app = Chat(session)
    app.run()
    app.wind_up()
    return app.return_code or 0


class Chat(App[None]):
    """The playground in a terminal."""

    CSS_PATH = "tui.tcss"
    TITLE = "chat"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS: ClassVar = [(0, "-narrow"), (76, "-wide")]
    BINDINGS: ClassVar = [
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("ctrl+d", "end_of_input", show=False, priority=True),
        Binding("escape", "halt", show=False),
        Binding("pageup", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(1)", show=False),
    ]

    def __init__(self, session: Session) -> None:
        # Without this, Textual would turn colours into greys, which are colours too.
        super().__init__(ansi_color=True if os.environ.get("NO_COLOR") else None)
        self.session = session
        self.runs: SimpleQueue[Run | None] = SimpleQueue()
        self.worker = threading.Thread(target=self.work, daemon=True)
        self.page: PageView | None = None
        self.note = Static(WELCOME, id="note", markup=False)
        self.transcript = VerticalScroll(self.note, id="transcript", can_focus=False)
        self.status = Static(id="status", markup=False)
        self.entry = Entry()

    def compose(self) -> ComposeResult:
        """Texts and the last answer, the status line, the line to type in."""
        yield self.transcript
        yield self.status
        yield Horizontal(Label("> "), self.entry, id="entry")

    def on_mount(self) -> None:
        """The screen is there; meanwhile, the model is loaded."""
        self.transcript.anchor()
        self.entry.focus()
        self.worker.start()
        self.set_interval(SECONDS_BETWEEN_LOOKS, self.follow)
        self.follow()

    # The worker

    def work(self) -> None:
        """Load and write, one run after the other; what it changes, `follow` shows."""
        try:
            deque(self.session.load(self.session.plan.models[0]), maxlen=0)
        except Exception as error:
            self.call_later(self.say, told(error), error=True)
        self.entry.suggester = SuggestFromList(
            completions(self.session), case_sensitive=False
        )
        for run in iter(self.runs.get, None):
            deque(run.steps(), maxlen=0)
            if run.error:
                self.call_later(self.say, run.error, error=True)

    def wind_up(self) -> None:
        """Leave no thread behind: the interpreter would end under it."""
        self.session.halt()
        self.runs.put(None)
        if self.worker.is_alive():
            self.worker.join(SECONDS_TO_END)

    # What is shown

    def follow(self) -> None:
        """Show what has changed: some times a second, whatever the worker does."""
        status = self.session.status()  # asked first, so that "done" comes last
        lanes = self.session.lanes
        if lanes and (self.page is None or self.page.lanes != lanes):
            self.turn_page(lanes)
        for view in self.page.views if self.page else []:
            view.show()
        if self.status.content != status:
            self.status.update(status)
        idle = "Enter goes on" if lanes else "a prompt, or /help"
        self.entry.placeholder = "Escape stops" if self.session.busy else idle

    def turn_page(self, lanes: list[Lane]) -> None:
        """Show other texts; one that was joined by another does not stay behind."""
        if self.page and self.page.lanes[0] is lanes[0]:
            self.page.remove()
        self.page = PageView(lanes)
        self.transcript.mount(self.page, before=self.note)

    def say(self, words: str, error: bool = False) -> None:
        """Put an answer below the texts, in place of the last one."""
        self.note.update(words)
        self.note.set_class(error, "error")
        self.note.display = bool(words)
        self.transcript.anchor()

    # Keys

    def on_input_submitted(self) -> None:
        """Answer the line."""
        try:
            self.answer(obey(self.session, self.entry.take()))
        except ValueError as error:
            self.say(str(error), error=True)

    def answer(self, reply: Reply) -> None:
        """Do what a line leads to."""
        self.say(reply.words)
        if reply.run:
            self.runs.put(reply.run)
        self.follow()
        if reply.leave:
            self.session.halt()  # while the screen closes
            self.exit()

    def action_interrupt(self) -> None:
        """Ctrl-C: copy what is marked, or stop, or leave when pressed twice."""
        if not self.session.busy and self.screen.get_selected_text():
            self.screen.action_copy_text()
            self.screen.clear_selection()
        else:
            self.answer(interrupt(self.session))

    def action_end_of_input(self) -> None:
        """Ctrl-D leaves, or deletes a letter where there is one."""
        if self.entry.value:
            self.entry.action_delete_right()
        else:
            self.answer(Reply(leave=True))

    def action_halt(self) -> None:
        """Stop writing."""
        self.session.halt()
        self.follow()

    def action_scroll(self, pages: int) -> None:
        """Look at what went by."""
        view = self.transcript
        if view.max_scroll_y:
            view.scroll_relative(y=pages * max(1, view.size.height - 1), animate=False)
