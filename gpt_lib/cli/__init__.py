"""The command line: `gpt-lib`, or `python -m gpt_lib`.

Nothing heavy is imported before a command really runs: `--help` is there at once.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gpt_lib.generation import Writer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would swallow what stands in brackets
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train small GPTs, keep them, let them write. Runs are kept in runs/, or where"
    " the variable GPT_RUNS says. The course is in notebooks/.",
)

INTERRUPTED = 130  # what a shell says of a program that Ctrl-C ended

Device = Annotated[
    str | None,
    typer.Option(
        envvar="GPT_DEVICE", help="cpu, cuda or mps  [default: the best that works]"
    ),
]
Model = Annotated[
    str, typer.Option("--model", "-m", help="a name from: gpt-lib models")
]
Seed = Annotated[
    int, typer.Option(min=0, max=2**31 - 1, help="the same seed writes the same text")
]


def fail(message: object) -> typer.Exit:
    """Say what is wrong, and end with exit code 1."""
    typer.secho(f"gpt-lib: {message}", err=True, fg="red")
    return typer.Exit(1)


def use_device(name: str | None) -> None:
    """What the course's `pick_device` reads."""
    if name:
        os.environ["GPT_DEVICE"] = name


@app.command()
def doctor(device: Device = None) -> None:
    """Is this machine right? What computes here, and does it agree with the CPU?"""
    from gpt_lib.device import available_devices, choose_device, describe, distrust

    try:
        chosen = choose_device(device, available_devices())
    except ValueError as error:
        raise fail(error) from None
    for what, value in describe(chosen).items():
        print(f"{what:14}{value}")
    reason = distrust(chosen)
    print(f"{'parity':14}{reason or 'agrees with the CPU'}")
    if reason:
        raise typer.Exit(1)


@app.command()
def train(
    text: Annotated[
        str, typer.Argument(help="tinyshakespeare, prideandprejudice, diary, or a file")
    ] = "tinyshakespeare",
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="name of the run  [default: the text's]"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with the run of this name")
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "-p",
            help="bigram, averaging, one-head, many-heads, block; cpu, nanogpt-cpu or"
            " lecture, which are GPTs; modern, of lesson 13  [default: cpu]",
        ),
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=1, max=65536, help="characters read at once, T")
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=1, max=8192, help="features a position, C")
    ] = None,
    heads: Annotated[
        int | None, typer.Option(min=1, max=512, help="must divide the width")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, max=128, help="blocks of a GPT")
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(min=0, max=0.9, help="share dropped in training")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="of training  [default: 2000]")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="windows a step, B  [default: 32]")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=1e-9, max=10, help="the highest  [default: the preset's]"),
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(min=0, help="steps up to it  [default: a tenth, at most 100]"),
    ] = None,
    final_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="of it, at the last step  [default: 0.1]"),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(min=0, max=10, help="[default: 0.1]")
    ] = None,
    clip: Annotated[
        float | None,
        typer.Option(min=1e-9, help="longest gradient left as it is  [default: 1]"),
    ] = None,
    evaluate_every: Annotated[
        int | None,
        typer.Option(min=1, help="steps between looks at hidden text  [default: 100]"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**31 - 1, help="[default: 1]")
    ] = None,
    device: Device = None,
) -> None:
    """Train a model. It is saved as runs/NAME along the way; Ctrl-C saves, too."""
    shape = {"context": context, "width": width, "heads": heads, "depth": depth}
    shape |= {"dropout": dropout}
    training = {"steps": steps, "batch": batch, "learning_rate": learning_rate}
    training |= {"warmup": warmup, "final_share": final_share, "clip": clip}
    training |= {"weight_decay": weight_decay, "evaluate_every": evaluate_every}
    training |= {"seed": seed}
    given = {k: v for k, v in {**shape, **training}.items() if v is not None}
    if resume and (given or preset):
        told = ", ".join(sorted([*given, *(["preset"] if preset else [])]))
        raise typer.BadParameter(
            f"--resume keeps the run's own settings: leave out {told}"
        )
    use_device(device)
    if resume and not name:
        raise typer.BadParameter("--resume which run? Give --name too")
    if resume and text != "tinyshakespeare":
        raise typer.BadParameter("--resume reads the run's own text: leave out " + text)
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", Path(text).stem).strip("-.")

    def work() -> tuple[str, bool]:
        from gpt_lib.cli.train import make_card, resume_run, start_run

        if resume:
            return resume_run(name)
        wanted = {k: v for k, v in shape.items() if k in given}
        rest = {k: v for k, v in training.items() if k in given}
        return start_run(name, make_card(text, preset or "cpu", wanted, rest))

    said, finished = guarded(work)
    print(said)
    if not finished:
        raise typer.Exit(INTERRUPTED)


def guarded(work: Callable[[], Any]) -> Any:
    """What `work` gives; what a user can mend is one line, not a traceback."""
    try:
        return work()
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        raise fail(error) from None


def shown(value: Any) -> str:
    """A cell of the table: whole numbers grouped, losses to three places."""
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.3f}"
        case None:
            return "–"
    return str(value)


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Every model at hand: those of the course, and those in runs/."""
    from gpt_lib.catalog import names, row

    rows = []
    for name in names():
        try:
            rows.append(row(name))
        except ValueError as error:
            typer.secho(f"gpt-lib: {error}", err=True, fg="red")
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="")
    wholes = [each.pop("of") for each in rows]
    for column in rows[0]:
        right = isinstance(rows[0][column], int | float)
        table.add_column(column, justify="right" if right else "left")
    for each, whole in zip(rows, wholes, strict=True):
        if each["steps"] < whole:
            each["steps"] = f"{each['steps']:,} of {whole:,}"
        table.add_row(*map(shown, each.values()))
    Console(highlight=False).print(table)


@app.command()
def generate(
    prompt: Annotated[
        str | None,
        typer.Argument(
            help=r"what comes before; \n is a new line  [default: standard input]"
        ),
    ] = None,
    model: Model = "shakespeare",
    length: Annotated[int, typer.Option(min=0, help="characters to write")] = 300,
    seed: Seed = 1,
    stop: Annotated[str, typer.Option(help="end when this text is complete")] = "",
    temperature: Annotated[
        float, typer.Option(min=0, help="below 1 the favourites win more; 0 greedy")
    ] = 1.0,
    top_k: Annotated[
        int, typer.Option(min=0, help="keep the k likeliest; 0 keeps all")
    ] = 0,
    top_p: Annotated[
        float, typer.Option(min=0, max=1, help="keep this share, above 0")
    ] = 1.0,
    min_p: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="drop what has less than this share of the best"
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
    as_json: Annotated[bool, typer.Option("--json", help="text and settings")] = False,
    device: Device = None,
) -> None:
    """Let a model write on after a prompt."""
    use_device(device)
    if prompt is None:
        if sys.stdin.isatty():
            typer.echo("Type a prompt, then Ctrl-D.", err=True)
        prompt = sys.stdin.read().removesuffix("\n")
    prompt = prompt.replace("\\n", "\n")
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    settings |= {"min_p": min_p, "repetition_penalty": repetition_penalty}
    asked = {"model": model, "prompt": prompt, "length": length, "seed": seed}
    asked |= {"stop": stop.replace("\\n", "\n"), "settings": settings}
    guarded(lambda: write(asked, compiled, as_json))


def write(asked: dict[str, Any], compiled: bool, as_json: bool) -> None:
    """Write what was asked for to standard output, piece by piece, or as JSON."""
    from gpt_lib.catalog import load_writer
    from gpt_lib.device import pick_device
    from gpt_lib.generation import Sampling

    writer = load_writer(asked["model"])
    writer.model.to(pick_device())
    Sampling(**asked["settings"])  # a wrong setting is said before anything is written
    if compiled:
        writer = with_compiled_step(writer, asked["model"])
    how = {"seed": asked["seed"], "stop": asked["stop"], **asked["settings"]}
    steps = writer.stream(writer.encode(asked["prompt"]), asked["length"], **how)
    begun, written = time.perf_counter(), []
    if not as_json:
        print(asked["prompt"], end="", flush=True)
    for id, chance in steps:
        written.append((writer.tokens[id], chance))
        if not as_json:
            print(writer.tokens[id], end="", flush=True)
    seconds = time.perf_counter() - begun
    if as_json:
        found = {"text": "".join(token for token, _ in written), "tokens": len(written)}
        found |= {"chances": [chance for _, chance in written]}
        found |= {"tokens_per_second": round(len(written) / max(seconds, 1e-9), 1)}
        print(json.dumps({**asked, **found}, ensure_ascii=False))
    else:
        print()


def with_compiled_step(writer: "Writer", name: str) -> "Writer":
    """The same writer, faster once it begins; the news go to standard error."""
    from gpt_lib.cache import CompiledGPT
    from gpt_lib.gpt import GPT

    if not isinstance(writer.model, GPT):
        kind = type(writer.model).__name__
        raise ValueError(f"{name} is a {kind}; --compile can do a GPT only")
    typer.echo("compiling …", err=True)
    model = CompiledGPT(writer.model)
    if model.problem:
        typer.echo(f"not compiled: {model.problem}", err=True)
    return replace(writer, model=model)


@app.command()
def chat(
    model: Annotated[
        str, typer.Argument(help="a name from: gpt-lib models")
    ] = "shakespeare",
    length: Annotated[int, typer.Option(min=1, help="characters an answer")] = 300,
    seed: Seed = 1,
    device: Device = None,
) -> None:
    """Talk to a model in the terminal; /help there says what it can do."""
    use_device(device)
    from functools import partial

    from gpt_lib.playground.terminal import chat as open_chat

    def work() -> int:
        from gpt_lib.catalog import load_writer, names

        writers = {name: partial(load_writer, name) for name in names()}
        if model not in writers:
            raise ValueError(f"no model {model!r}: there are {', '.join(writers)}")
        return open_chat(writers, model, seed=seed, length=length)

    raise typer.Exit(guarded(work))
