"""`gpt-lib chat`: the playground in a terminal."""

from functools import partial
from typing import Annotated

import typer

from gpt_lib.cli.options import (
    DeviceOption,
    SeedOption,
    call_with_short_errors,
    runs_folder,
    set_device_variable,
)


def chat(
    model: Annotated[
        str, typer.Argument(help="a name from: gpt-lib models")
    ] = "shakespeare",
    length: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="tokens an answer")
    ] = 300,
    seed: SeedOption = 1,
    device: DeviceOption = None,
) -> None:
    """Talk to a model in the terminal; /help there says what it can do."""
    set_device_variable(device)
    from gpt_lib.playground.terminal import chat as open_chat

    def run() -> int:
        from gpt_lib.catalog import load_text_generator, model_names

        root = runs_folder()
        loaders = {
            name: partial(load_text_generator, name, root) for name in model_names(root)
        }
        if model not in loaders:
            raise ValueError(f"no model {model!r}: there are {', '.join(loaders)}")
        return open_chat(loaders, model, seed=seed, length=length)

    raise typer.Exit(call_with_short_errors(run))
