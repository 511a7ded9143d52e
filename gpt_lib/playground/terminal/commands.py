"""What a line means: a command, a prompt, or, when it is empty, to go on.

The first line of a command's docstring is what /help says about it.
"""

import time
from pathlib import Path
from typing import NamedTuple

from gpt_lib.playground.messages import find_known_name, format_columns, unescape
from gpt_lib.playground.session import GeneratedText, Run, Session
from gpt_lib.playground.settings import (
    PRESETS_BY_NAME,
    SETTINGS_BY_NAME,
    describe_changed_settings,
    format_settings,
    parse_settings,
)

SECONDS_BETWEEN_PRESSES = 2.0
KEYS = [
    ("Enter", "write after what was typed, taken as it is; on an empty line, go on"),
    (r"\n", r"a new line in a prompt; \\ is a backslash, \/ a slash to begin with"),
    ("Escape, Ctrl-C", "stop; Ctrl-C twice quits, as does Ctrl-D on an empty line"),
    ("Up, Down, Tab", "earlier lines; accept the completion"),
    ("PageUp, PageDown", "scroll"),
]


class Reply(NamedTuple):
    """The answer to a line: a message, a run whose steps are to be made, or the end."""

    message: str = ""
    run: Run | None = None
    leave: bool = False


def answer_line(session: Session, line: str) -> Reply:
    """Answer a line.

    Raises:
        ValueError: a command that cannot be understood; it changes nothing.
    """
    if line.strip() in ("quit", "exit"):
        return Reply(leave=True)
    if line.startswith("/"):
        name, _, arguments = line.partition(" ")
        name = find_known_name("command", name, COMMANDS)
        return COMMANDS[name](session, arguments.strip())
    if line.strip():
        return Reply(run=session.begin(unescape(line)))
    if session.busy:
        return Reply("still writing: Escape or Ctrl-C stops it")
    return Reply(run=session.begin())


class InterruptHandler:
    """Ctrl-C: it stops what is being written; otherwise the second of two quits."""

    def __init__(self) -> None:
        self.latest = float("-inf")  # when it was pressed, in seconds

    def press(self, session: Session) -> Reply:
        """Answer Ctrl-C."""
        if session.busy:
            session.request_stop()
            return Reply()
        before, self.latest = self.latest, time.monotonic()
        if self.latest - before < SECONDS_BETWEEN_PRESSES:
            return Reply(leave=True)
        return Reply("Ctrl-C again quits; so do `quit`, and Ctrl-D on an empty line")


def suggested_lines(session: Session) -> list[str]:
    """Lines to offer: the first one that begins with what was typed."""
    models = [f"{name} {m}" for name in ("/model", "/compare") for m in session.loaders]
    settings = [f"/set {name}" for name in (*SETTINGS_BY_NAME, *PRESETS_BY_NAME)]
    return [*COMMANDS, *models, *settings]


# Commands


def show_help(session: Session, _: str) -> Reply:
    """This list."""
    rows = [(name, command.__doc__) for name, command in COMMANDS.items()]
    return Reply(format_columns(rows + KEYS))


def set_model(session: Session, name: str) -> Reply:
    """NAME: let another model write; alone: list them."""
    models = session.plan.models
    if not name:
        rows = [(each, "writes" * (each in models)) for each in session.loaders]
        return Reply(format_columns(rows))
    name = find_known_name("model", name, session.loaders)
    if name in models[1:]:
        raise ValueError(f"{name} already writes beside; /compare off ends that")
    session.change_options(models=(name, *models[1:]))
    return Reply(f"{name} writes from the next prompt or Enter on")


def compare(session: Session, name: str) -> Reply:
    """NAME: have a second model write beside; off: one alone."""
    first = session.plan.models[0]
    others = [each for each in session.loaders if each != first]
    name = find_known_name("model to compare with", name, [*others, "off"])
    if name == "off":
        session.change_options(models=(first,))
        return Reply(f"{first} writes alone from the next Enter on")
    session.change_options(models=(first, name))
    if any(session.model_texts[:1]) and not session.busy:
        # If another model wrote beside, this one joins the first text all the same.
        own = [text for text in session.model_texts[1:] if text and text.model == name]
        run = session.begin(length=0, texts=[session.model_texts[0], *own])
        return Reply(f"{name} catches up", run)
    return Reply(f"{first} | {name} write from the next prompt or Enter on")


def change_settings(session: Session, arguments: str) -> Reply:
    """NAME VALUE: change settings, also by preset; alone: show them."""
    plan = session.plan
    current = {**plan.settings_of(0), "length": plan.length, "seed": plan.seed}
    if not arguments:
        return Reply(format_settings(current))
    new = parse_settings(arguments, current)
    description = describe_changed_settings(new)
    length, seed = int(new.pop("length")), int(new.pop("seed"))
    session.change_options(length=length, seed=seed, settings=(new,))
    return Reply(f"{description}, from the next prompt or Enter on")


def again(session: Session, _: str) -> Reply:
    """The same prompt with a seed that was set, or else the next one."""
    first = require_texts(session)[0]
    if session.plan.seed == first.seed:
        session.change_options(seed=first.seed + 1)
    return Reply(run=session.begin(first.prompt))


def save(session: Session, name: str) -> Reply:
    """FILE: keep the text in a new file, with who wrote it and how."""
    texts = [f"{text.title}\n\n{text.text}\n" for text in require_texts(session)]
    try:
        with Path(name).expanduser().open("x", encoding="utf-8") as file:
            file.write("\n".join(texts))
    except OSError as error:
        raise ValueError(f"/save cannot write {name!r}: {error.strerror}") from error
    return Reply(f"saved as {name}")


def leave(session: Session, _: str) -> Reply:
    """Leave; so do quit and exit."""
    return Reply(leave=True)


def require_texts(session: Session) -> list[GeneratedText]:
    """The texts that stand, or a ValueError."""
    if not session.texts:
        raise ValueError("there is no text yet: type a prompt first")
    return session.texts


COMMANDS = {
    "/help": show_help,
    "/model": set_model,
    "/compare": compare,
    "/set": change_settings,
    "/again": again,
    "/save": save,
    "/quit": leave,
}
