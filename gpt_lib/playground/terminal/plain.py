"""The playground line by line: texts to stdout, everything else to stderr."""

import os
import sys
import time

from gpt_lib.playground.session import Lane, Run, Session
from gpt_lib.playground.terminal.commands import interrupt, obey

SECONDS_BETWEEN_FLUSHES = 0.1


class Lines:
    """Reads lines and writes texts, in one thread."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.asked = sys.stdin.isatty()  # by a person, who sees a prompt
        self.code = 0
        self.shown: dict[Lane, int] = {}  # characters that went out
        self.last: Lane | None = None  # whose text the output ends with
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            stream.reconfigure(errors="replace")

    def work(self) -> int:
        """Until the input ends; 1 if anything went wrong on the way."""
        try:
            while (line := self.read()) and self.answer(line.removesuffix("\n")):
                pass
        except KeyboardInterrupt:
            self.code = 130  # as a shell has it
        except BrokenPipeError:  # whoever read has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self.end_text()
        return self.code

    def read(self) -> str:
        """The next line; empty when there is none."""
        while True:
            try:
                if self.asked:
                    self.say("> ", end="")
                return sys.stdin.readline()
            except KeyboardInterrupt:
                if not self.asked:
                    raise
                reply = interrupt(self.session)
                self.say(f"\n{reply.words}")
                if reply.leave:
                    return ""

    def answer(self, line: str) -> bool:
        """Do what a line asks; False when it ends the session."""
        try:
            reply = obey(self.session, line)
        except ValueError as error:
            self.fail(str(error))
            return True
        if reply.words:
            self.say(reply.words)
        if reply.run:
            self.write(reply.run)
        return not reply.leave

    def write(self, run: Run) -> None:
        """Let a run write: the first text as it comes, a second one below."""
        shown, steps = 0.0, run.steps()
        try:
            for _ in steps:
                if self.session.loading:
                    self.say(f"loading {self.session.loading}")
                elif time.monotonic() - shown > SECONDS_BETWEEN_FLUSHES:
                    self.show(run.lanes[:1])
                    shown = time.monotonic()
        except KeyboardInterrupt:
            run.stop.set()
            if not self.asked:
                raise
        finally:
            steps.close()
            self.show(run.lanes)
        if sys.stdout.isatty():
            self.end_text()
        self.fail(run.error) if run.error else self.say(self.session.status())

    def show(self, lanes: list[Lane]) -> None:
        """Put out what is new."""
        for lane in lanes:
            text = lane.text
            new = text[self.shown.get(lane, 0) :]
            if new and lane is not self.last:
                self.end_text()
                if len(self.session.lanes) > 1:
                    self.say(f"{lane.title}:")
                self.last = lane
            self.shown[lane] = len(text)
            print(new, end="", flush=True)

    def end_text(self) -> None:
        """End the line, which a continued text needs not."""
        if self.last:
            print(flush=True)
        self.last = None

    def say(self, words: str, end: str = "\n") -> None:
        """Anything but text."""
        print(words, end=end, file=sys.stderr, flush=True)

    def fail(self, words: str) -> None:
        """What went wrong."""
        self.say(words)
        self.code = 1
