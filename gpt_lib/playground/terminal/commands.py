"""What a line means: a command, a prompt, or, when it is empty, to go on.

A command's first line of documentation is what /help says about it.
"""

import time
from pathlib import Path
from typing import NamedTuple

from gpt_lib.playground.messages import in_words, listed, meant, unescape
from gpt_lib.playground.session import Lane, Run, Session

SECONDS_BETWEEN_PRESSES = 2.0
KEYS = [
    ("Enter", "write after what was typed, taken as it is; on an empty line, go on"),
    (r"\n", r"a new line in a prompt; \\ is a backslash, \/ a slash to begin with"),
    ("Escape, Ctrl-C", "stop; Ctrl-C twice quits, as does Ctrl-D on an empty line"),
    ("Up, Down, Tab", "earlier lines; accept the completion"),
    ("PageUp, PageDown", "scroll"),
]


class Reply(NamedTuple):
    """What a line leads to."""

    words: str = ""
    run: Run | None = None  # to be worked off by `steps`
    leave: bool = False


def obey(session: Session, line: str) -> Reply:
    """Answer a line.

    Raises:
        ValueError: a command that cannot be understood; it changes nothing.
    """
    if line.strip() in ("quit", "exit"):
        return Reply(leave=True)
    if line.startswith("/"):
        name, _, rest = line.partition(" ")
        return COMMANDS[meant("command", name, COMMANDS)](session, rest.strip())
    if line.strip():
        return Reply(run=session.begin(unescape(line)))
    if session.busy:
        return Reply("still writing: Escape or Ctrl-C stops it")
    return Reply(run=session.begin())


def interrupt(session: Session) -> Reply:
    """What Ctrl-C does: stop; where nothing runs, a second one quits."""
    if session.busy:
        session.halt()
        return Reply()
    last, session.pressed = session.pressed, time.monotonic()
    if session.pressed - last < SECONDS_BETWEEN_PRESSES:
        return Reply(leave=True)
    return Reply("Ctrl-C again quits; so do `quit`, and Ctrl-D on an empty line")


def completions(session: Session) -> list[str]:
    """Lines to offer: the first one that begins with what was typed."""
    from gpt_lib.playground.terminal.settings import PRESET, TABLE

    models = [f"{name} {m}" for name in ("/model", "/compare") for m in session.loaders]
    return [*COMMANDS, *models, *(f"/set {name}" for name in (*TABLE, *PRESET))]


# Commands


def show_help(session: Session, _: str) -> Reply:
    """This list."""
    rows = [(name, command.__doc__) for name, command in COMMANDS.items()]
    return Reply(listed(rows + KEYS))


def set_model(session: Session, name: str) -> Reply:
    """NAME: let another model write; alone: list them."""
    models = session.plan.models
    if not name:
        rows = [(each, "writes" * (each in models)) for each in session.loaders]
        return Reply(listed(rows))
    name = meant("model", name, session.loaders)
    if name in models[1:]:
        raise ValueError(f"{name} already writes beside; /compare off ends that")
    session.change(models=(name, *models[1:]))
    return Reply(f"{name} writes from the next prompt or Enter on")


def compare(session: Session, name: str) -> Reply:
    """NAME: have a second model write beside; off: one alone."""
    first = session.plan.models[0]
    others = [each for each in session.loaders if each != first]
    name = meant("model to compare with", name, [*others, "off"])
    if name == "off":
        session.change(models=(first,))
        return Reply(f"{first} writes alone from the next Enter on")
    session.change(models=(first, name))
    if session.lanes and not session.busy:
        return Reply(f"{name} catches up", session.begin(length=0))
    return Reply(f"{first} | {name} write from the next prompt or Enter on")


def set_settings(session: Session, words: str) -> Reply:
    """NAME VALUE: change settings, also by preset; alone: show them."""
    from gpt_lib.playground.terminal import (
        settings,  # with matplotlib, which takes a moment
    )

    plan = session.plan
    now = {**plan.settings, "length": plan.length, "seed": plan.seed}
    if not words:
        return Reply(settings.described(now))
    new = settings.parsed(words, now)
    told = in_words(new)
    session.change(length=new.pop("length"), seed=new.pop("seed"), settings=new)
    return Reply(f"{told}, from the next prompt or Enter on")


def again(session: Session, _: str) -> Reply:
    """The same prompt with a seed that was set, or else the next one."""
    first = standing(session)[0]
    if session.plan.seed == first.seed:
        session.change(seed=first.seed + 1)
    return Reply(run=session.begin(first.prompt))


def save(session: Session, name: str) -> Reply:
    """FILE: keep the text in a new file, with who wrote it and how."""
    texts = [f"{lane.title}\n\n{lane.text}\n" for lane in standing(session)]
    try:
        with Path(name).expanduser().open("x", encoding="utf-8") as file:
            file.write("\n".join(texts))
    except OSError as error:
        words = f"/save cannot write {name!r}: {error.strerror}"
        raise ValueError(words) from error
    return Reply(f"saved as {name}")


def leave(session: Session, _: str) -> Reply:
    """Leave; so do quit and exit."""
    return Reply(leave=True)


def standing(session: Session) -> list[Lane]:
    """The texts that stand, or a ValueError."""
    if not session.lanes:
        raise ValueError("there is no text yet: type a prompt first")
    return session.lanes


COMMANDS = {
    "/help": show_help,
    "/model": set_model,
    "/compare": compare,
    "/set": set_settings,
    "/again": again,
    "/save": save,
    "/quit": leave,
}
