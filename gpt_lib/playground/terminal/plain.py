"""The playground line by line: texts go to stdout, everything else to stderr."""

import os
import sys
import time

from gpt_lib.playground.messages import (
    printable,
    printable_message,
    with_plain_newlines,
)
from gpt_lib.playground.session import GeneratedText, Run, Session
from gpt_lib.playground.terminal.commands import InterruptHandler, answer_line

SECONDS_BETWEEN_FLUSHES = 0.1


class PlainChat:
    """Reads lines and writes texts, in one thread."""

    def __init__(self, session: Session) -> None:
        self.session, self.interrupts = session, InterruptHandler()
        self.interactive = sys.stdin.isatty()  # a person types, and sees "> "
        self.exit_code = 0
        self.printed: dict[GeneratedText, int] = {}  # characters of each text
        self.last: GeneratedText | None = None  # the text that the output ends with
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            stream.reconfigure(errors="replace")

    def run(self) -> int:
        """Answer lines until there are no more; the exit code, 1 if anything failed."""
        try:
            while line := self.read_line():
                if not self.answer(with_plain_newlines(line).removesuffix("\n")):
                    break
        except KeyboardInterrupt:
            self.exit_code = 130  # as a shell has it
        except BrokenPipeError:  # whoever read has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self.end_line()
        return self.exit_code

    def read_line(self) -> str:
        """The next line; empty when there is none."""
        while True:
            try:
                if self.interactive:
                    self.say("> ", end="")
                return sys.stdin.readline()
            except KeyboardInterrupt:
                if not self.interactive:
                    raise
                reply = self.interrupts.press(self.session)
                self.say(f"\n{reply.message}")
                if reply.leave:
                    return ""

    def answer(self, line: str) -> bool:
        """Do what a line says; False when it ends the session."""
        try:
            reply = answer_line(self.session, line)
        except ValueError as error:
            self.fail(str(error))
            return True
        if reply.message:
            self.say(reply.message)
        if reply.run:
            self.write(reply.run)
        return not reply.leave

    def write(self, run: Run) -> None:
        """Make the steps of a run: the first text as it comes, a second one below."""
        flushed, steps = 0.0, run.write_in_steps()
        try:
            for _ in steps:
                if self.session.loading:
                    self.say(f"loading {self.session.loading}")
                elif time.monotonic() - flushed > SECONDS_BETWEEN_FLUSHES:
                    self.print_new(run.texts[:1])
                    flushed = time.monotonic()
        except KeyboardInterrupt:
            run.stop.set()
            if not self.interactive:
                raise
        finally:
            steps.close()
            self.print_new(run.texts)
        if sys.stdout.isatty():
            self.end_line()
        self.fail(run.error) if run.error else self.say(self.session.status())

    def print_new(self, texts: list[GeneratedText]) -> None:
        """Print the characters that were not printed yet."""
        for text in texts:
            new = text.text[self.printed.get(text, 0) :]
            if new and text is not self.last:
                self.end_line()
                if len(self.session.texts) > 1:
                    self.say(f"{text.title}:")
                self.last = text
            self.printed[text] = self.printed.get(text, 0) + len(new)
            print(printable(new) if sys.stdout.isatty() else new, end="", flush=True)

    def end_line(self) -> None:
        """End the line of a text; one that goes on stays on its line."""
        if self.last:
            print(flush=True)
        self.last = None

    def say(self, message: str, end: str = "\n") -> None:
        """Print a message, which is not part of a text."""
        print(printable(message), end=end, file=sys.stderr, flush=True)

    def fail(self, message: str) -> None:
        """Print what went wrong; the exit code will say so, too."""
        self.say(printable_message(message))
        self.exit_code = 1
