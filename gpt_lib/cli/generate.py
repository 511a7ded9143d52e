"""`gpt-lib generate`: text after a prompt, as it comes, or as JSON."""

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpt_lib.cli.options import (
    DeviceOption,
    ModelOption,
    SeedOption,
    call_with_short_errors,
    runs_folder,
    set_device_variable,
)
from gpt_lib.playground.messages import printable, with_plain_newlines

if TYPE_CHECKING:
    from gpt_lib.generation import TextGenerator


def generate(
    prompt: Annotated[
        str | None,
        typer.Argument(
            help=r"what comes before; \n is a new line  [default: standard input]"
        ),
    ] = None,
    model: ModelOption = "shakespeare",
    length: Annotated[
        int, typer.Option(min=0, max=10_000_000, help="tokens to write")
    ] = 300,
    seed: SeedOption = 1,
    stop: Annotated[
        str,
        typer.Option(help="end when this text was written; the prompt does not count"),
    ] = "",
    temperature: Annotated[
        float,
        typer.Option(min=0, help="below 1 the likely tokens gain; 0 is greedy"),
    ] = 1.0,
    top_k: Annotated[
        int, typer.Option(min=0, help="keep the k likeliest tokens; 0 keeps all")
    ] = 0,
    top_p: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="keep the likeliest that have this probability, above 0"
        ),
    ] = 1.0,
    min_p: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="cut below this fraction of the likeliest one's"
        ),
    ] = 0.0,
    repetition_penalty: Annotated[
        float, typer.Option(min=0, help="above 1: repeat less")
    ] = 1.0,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="first turn the model into machine code: pays for books"
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="text, probabilities and settings")
    ] = False,
    device: DeviceOption = None,
) -> None:
    """Generate text after a prompt."""
    set_device_variable(device)
    if prompt is None:
        prompt = call_with_short_errors(read_prompt)
    prompt = with_plain_newlines(prompt).replace("\\n", "\n")
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    settings |= {"min_p": min_p, "repetition_penalty": repetition_penalty}
    request = {"model": model, "prompt": prompt, "length": length, "seed": seed}
    request |= {"stop": stop.replace("\\n", "\n"), "settings": settings}
    call_with_short_errors(lambda: generate_and_print(request, compiled, as_json))


def read_prompt() -> str:
    """All of standard input, without its last new line.

    Raises:
        ValueError: it is not text.
    """
    if sys.stdin.isatty():
        typer.echo("Type a prompt, then Ctrl-D.", err=True)
    try:
        return with_plain_newlines(sys.stdin.read()).removesuffix("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"standard input is not text in {error.encoding}: byte {error.start} cannot"
            " be read"
        ) from None


def generate_and_print(request: dict[str, Any], compiled: bool, as_json: bool) -> None:
    """Write to standard output, piece by piece, or all as one JSON object."""
    from gpt_lib.catalog import load_text_generator
    from gpt_lib.device import pick_device
    from gpt_lib.generation import SamplingConfig

    text_generator = load_text_generator(request["model"], runs_folder())
    text_generator.model.to(pick_device())
    # A wrong setting is an error before anything is written.
    SamplingConfig(**request["settings"])
    if compiled:
        text_generator = with_compiled_reader(text_generator, request["model"])
    options = {key: request[key] for key in ("length", "seed", "stop")}
    ids = text_generator.encode(request["prompt"])
    start, tokens = time.perf_counter(), []
    # What a model has learned may be no text: it must not control the terminal.
    show = printable if sys.stdout.isatty() else str
    if not as_json:
        print(show(request["prompt"]), end="", flush=True)
    for token in text_generator.generate(ids, **options, **request["settings"]):
        tokens.append(token)
        if not as_json:
            print(show(token.text), end="", flush=True)
    seconds = time.perf_counter() - start
    if as_json:
        result = {"text": "".join(token.text for token in tokens)}
        result |= {"tokens": len(tokens)}
        result |= {"probabilities": [token.probability for token in tokens]}
        result |= {"tokens_per_second": round(len(tokens) / max(seconds, 1e-9), 1)}
        print(json.dumps({**request, **result}, ensure_ascii=False))
    else:
        print()


def with_compiled_reader(text_generator: "TextGenerator", name: str) -> "TextGenerator":
    """The same text generator with a compiled step; stderr says if there is none."""
    from gpt_lib.compiled import CompiledReader
    from gpt_lib.gpt import GPT

    if not isinstance(text_generator.model, GPT):
        kind = type(text_generator.model).__name__
        raise ValueError(f"{name} is a {kind}; --compile can do a GPT only")
    typer.echo("compiling …", err=True)
    reader = CompiledReader(text_generator.model)
    if reader.problem:
        typer.echo(f"not compiled: {reader.problem}", err=True)
    return replace(text_generator, make_reader=lambda _: reader)
