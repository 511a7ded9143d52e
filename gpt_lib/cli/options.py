"""What the commands share: options with one meaning, and errors in one line."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from gpt_lib.playground.messages import printable_message

INTERRUPTED_EXIT_CODE = 130  # what a shell says of a program that Ctrl-C ended

DeviceOption = Annotated[
    str | None,
    typer.Option(
        envvar="GPT_DEVICE", help="cpu, cuda or mps  [default: the best that works]"
    ),
]
ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="a name from: gpt-lib models")
]
SeedOption = Annotated[
    int, typer.Option(min=0, max=2**31 - 1, help="the same seed writes the same text")
]


def print_error(message: object) -> None:
    """Print what is wrong, in red, on standard error."""
    typer.secho(f"gpt-lib: {printable_message(message)}", err=True, fg="red")


def exit_exception(message: object) -> typer.Exit:
    """Print what is wrong; the exception to raise ends with exit code 1."""
    print_error(message)
    return typer.Exit(1)


def call_with_short_errors(function: Callable[[], Any]) -> Any:
    """Call a function; an error that a user can mend is one line, not a traceback."""
    try:
        return function()
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        raise exit_exception(error) from None


def interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """The same command, which Ctrl-C ends with the exit code that shells expect."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:  # typer's own code for it is 1
            raise typer.Exit(INTERRUPTED_EXIT_CODE) from None

    return run


def runs_folder() -> Path:
    """The folder that holds the user's runs, of all commands."""
    from gpt_lib.runs import RUNS

    return RUNS


def set_device_variable(name: str | None) -> None:
    """Let `pick_device` of lesson 00 take this device."""
    if name:
        os.environ["GPT_DEVICE"] = name
