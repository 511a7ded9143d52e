"""`chat`, the playground in a terminal: type a prompt, watch the text come, go on.

`commands` says what a line means. `tui` is for a whole terminal; `plain` for pipes, and
for terminals that can only print.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gpt_lib.playground.messages import find_known_name
from gpt_lib.playground.session import GenerationOptions, Session

if TYPE_CHECKING:
    from gpt_lib.generation import TextGenerator


def chat(
    loaders: Mapping[str, Callable[[], "TextGenerator"]],
    model: str,
    seed: int = 1,
    length: int = 300,
) -> int:
    """Open the playground in a terminal; returns the exit code.

    Args:
        loaders: name -> a function that loads a text generator; called once, if needed.
        model: the name of the first one to write.
        seed: of the first text's random numbers.
        length: tokens to write at a time.

    Raises:
        ValueError: an unknown model, or a seed or length out of its range.
    """
    plan = GenerationOptions((find_known_name("model", model, loaders),), seed, length)
    session = Session(loaders, plan)
    # Textual draws on stderr, so that has to be a terminal too.
    terminals = (stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if all(terminals) and os.environ.get("TERM") != "dumb":
        from gpt_lib.playground.terminal.tui import run_app  # Textual takes a moment

        return run_app(session)
    from gpt_lib.playground.terminal.plain import PlainChat

    return PlainChat(session).run()
