"""`chat`, the terminal playground: type a prompt, watch the text come, go on.

`session` remembers and writes, `commands` understands lines; `screen` shows it in a
terminal, `lines` through a pipe, or where a terminal can do no more than print.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gpt_lib.playground.messages import meant
from gpt_lib.playground.session import Plan, Session

if TYPE_CHECKING:
    from gpt_lib.generation import Writer


def chat(
    writers: Mapping[str, Callable[[], "Writer"]],
    model: str,
    seed: int = 1,
    length: int = 300,
) -> int:
    """Open the terminal playground; the exit code.

    Args:
        writers: name -> a function that loads the writer; called once, when needed.
        model: the name of the first one to write.
        seed: of the first text's luck.
        length: tokens to write at a time.

    Raises:
        ValueError: an unknown model, or a seed or length that cannot be.
    """
    session = Session(writers, Plan((meant("model", model, writers),), seed, length))
    # Textual draws on stderr, so that has to be a terminal too.
    screens = (stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if all(screens) and os.environ.get("TERM") != "dumb":
        from gpt_lib.playground.terminal.tui import (
            open_screen,  # Textual takes a moment
        )

        return open_screen(session)
    from gpt_lib.playground.terminal.plain import Lines

    return Lines(session).work()
