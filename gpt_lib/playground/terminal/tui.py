"""The playground as a Textual app: one thread shows, another one loads and writes."""

import os
import threading
from queue import SimpleQueue
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.suggester import SuggestFromList
from textual.widgets import Label, Static

from gpt_lib.playground.messages import error_text, printable, printable_message
from gpt_lib.playground.session import GeneratedText, Run, Session
from gpt_lib.playground.terminal.commands import (
    InterruptHandler,
    Reply,
    answer_line,
    suggested_lines,
)
from gpt_lib.playground.terminal.widgets import InputLine, SideBySideView

SECONDS_BETWEEN_UPDATES = 0.1
SECONDS_TO_END = 3.0  # for a worker that still loads or writes
WELCOME = (
    "Type a prompt, such as ROMEO: and press Enter; Enter alone goes on, Escape stops,"
    " /help lists what else there is, and quit leaves."
)


def run_app(session: Session) -> int:
    """Show the playground until the user leaves; the exit code."""
    app = ChatApp(session)
    app.run()
    app.join_worker()
    return app.return_code or 0


class ChatApp(App[None]):
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
        self.session, self.interrupts = session, InterruptHandler()
        self.runs: SimpleQueue[Run | None] = SimpleQueue()
        self.worker = threading.Thread(target=self.work, daemon=True)
        self.page: SideBySideView | None = None
        self.message_line = Static(WELCOME, id="message", markup=False)
        self.transcript = VerticalScroll(
            self.message_line, id="transcript", can_focus=False
        )
        self.status = Static(id="status", markup=False)
        self.input_line = InputLine()

    def compose(self) -> ComposeResult:
        """Texts and the latest message, the status line, the line to type in."""
        yield self.transcript
        yield self.status
        yield Horizontal(Label("> "), self.input_line, id="input-line")

    def on_mount(self) -> None:
        """The screen is there; meanwhile, the model is loaded."""
        self.transcript.anchor()
        self.input_line.focus()
        self.worker.start()
        self.set_interval(SECONDS_BETWEEN_UPDATES, self.update_screen)
        self.update_screen()

    # The worker

    def work(self) -> None:
        """Load and write, one run after the other; `update_screen` shows it."""
        try:
            for _ in self.session.load_steps(self.session.plan.models[0]):
                pass
        except Exception as error:
            self.call_later(self.say, error_text(error), error=True)
        self.input_line.suggester = SuggestFromList(
            suggested_lines(self.session), case_sensitive=False
        )
        for run in iter(self.runs.get, None):
            for _ in run.write_in_steps():
                pass
            if run.error:
                self.call_later(self.say, run.error, error=True)

    def join_worker(self) -> None:
        """Leave no thread behind: the interpreter would end under it."""
        self.session.request_stop()
        self.runs.put(None)
        if self.worker.is_alive():
            self.worker.join(SECONDS_TO_END)

    # What is shown

    def update_screen(self) -> None:
        """Show what has changed: ten times a second, whatever the worker does."""
        status = self.session.status()  # read first, so that "done" comes last
        texts = self.session.texts
        if texts and (self.page is None or self.page.texts != texts):
            self.show_texts(texts)
        for view in self.page.views if self.page else []:
            view.update_text()
        if self.status.content != status:
            self.status.update(status)
        idle = "Enter goes on" if texts else "a prompt, or /help"
        self.input_line.placeholder = "Escape stops" if self.session.busy else idle

    def show_texts(self, texts: list[GeneratedText]) -> None:
        """Show other texts below; a text that another one joins moves there."""
        if self.page and self.page.texts[0] is texts[0]:
            self.page.remove()
        self.page = SideBySideView(texts)
        self.transcript.mount(self.page, before=self.message_line)

    def say(self, message: str, error: bool = False) -> None:
        """Put a message below the texts, in place of the one before."""
        safe_message = printable_message(message) if error else printable(message)
        self.message_line.update(safe_message)
        self.message_line.set_class(error, "error")
        self.message_line.display = bool(message)
        self.transcript.anchor()

    # Keys

    def on_input_submitted(self) -> None:
        """Answer the line."""
        try:
            self.answer(answer_line(self.session, self.input_line.take()))
        except ValueError as error:
            self.say(str(error), error=True)

    def answer(self, reply: Reply) -> None:
        """Show a message, start a run, or leave."""
        self.say(reply.message)
        if reply.run:
            self.runs.put(reply.run)
        self.update_screen()
        if reply.leave:
            self.session.request_stop()  # while the screen closes
            self.exit()

    def action_interrupt(self) -> None:
        """Ctrl-C: copy what is selected, or stop, or leave when pressed twice."""
        if not self.session.busy and self.screen.get_selected_text():
            self.screen.action_copy_text()
            self.screen.clear_selection()
        else:
            self.answer(self.interrupts.press(self.session))

    def action_end_of_input(self) -> None:
        """Ctrl-D: leave, or delete a letter where there is one."""
        if self.input_line.value:
            self.input_line.action_delete_right()
        else:
            self.answer(Reply(leave=True))

    def action_halt(self) -> None:
        """Stop writing."""
        self.session.request_stop()
        self.update_screen()

    def action_scroll(self, pages: int) -> None:
        """Scroll the texts by pages."""
        view = self.transcript
        if view.max_scroll_y:
            view.scroll_relative(y=pages * max(1, view.size.height - 1), animate=False)
