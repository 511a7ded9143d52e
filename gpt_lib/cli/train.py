"""`gpt-lib train`: its options; `train_run` does the work."""

import math
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from gpt_lib.cli.options import (
    INTERRUPTED_EXIT_CODE,
    DeviceOption,
    call_with_short_errors,
    runs_folder,
    set_device_variable,
)


def train(
    text: Annotated[
        str | None,
        typer.Argument(
            help="tinyshakespeare, prideandprejudice, sotu, tinystories, toy-diary, a"
            " file, a folder of notes, or hf:owner/name  [default: tinyshakespeare]"
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="name of the run  [default: the text's]"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with the run of this name")
    ] = False,
    skip_damaged: Annotated[
        bool,
        typer.Option("--skip-damaged", help="resume from the newest whole checkpoint"),
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "-p",
            help="bigram, averaging, one-head, many-heads, block; cpu, nanogpt-cpu,"
            " lecture, shakespeare, presidents or austen, which are GPTs; modern, of"
            " lesson 13"
            "  [default: cpu]",
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            "-t",
            help="character, word, bpe or gpt2  [default: character]",
        ),
    ] = None,
    vocab_size: Annotated[
        int | None,
        typer.Option(
            min=257, max=100_000, help="tokens of word or bpe, V  [default: 2048]"
        ),
    ] = None,
    clean: Annotated[
        bool,
        typer.Option(
            "--clean", help="clean it by every rule but lower-case and copies"
        ),
    ] = False,
    rules: Annotated[
        list[str] | None,
        typer.Option("--rule", help="clean it by this rule, too; may be repeated"),
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=1, max=65536, help="tokens read at once, T")
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
        float | None, typer.Option(min=0, max=0.9, help="fraction dropped in training")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="of training  [default: 2000]")
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(
            min=1e-3, max=10**6, help="instead of steps: how often it is read"
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="evaluations without a better loss, then it ends"),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float32 or bfloat16  [default: float32]"),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="windows a step, B  [default: 32]")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=1e-9, max=10, help="the highest  [default: the preset's]"),
    ] = None,
    warmup_steps: Annotated[
        int | None,
        typer.Option(min=0, help="steps up to it  [default: a tenth, at most 100]"),
    ] = None,
    final_lr_fraction: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="of it, at the last step  [default: 0.1]"),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(min=0, max=10, help="[default: 0.1]")
    ] = None,
    max_grad_norm: Annotated[
        float | None,
        typer.Option(min=1e-9, help="larger gradients are scaled down  [default: 1]"),
    ] = None,
    evaluate_every: Annotated[
        int | None,
        typer.Option(min=1, help="steps between validation losses  [default: 100]"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**31 - 1, help="[default: 1]")
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Train a model. It is saved as a run along the way; Ctrl-C saves it, too."""
    shape = {
        "context": context,
        "width": width,
        "heads": heads,
        "depth": depth,
        "dropout": dropout,
    }
    training = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "warmup_steps": warmup_steps,
        "final_lr_fraction": final_lr_fraction,
        "weight_decay": weight_decay,
        "max_grad_norm": max_grad_norm,
        "evaluate_every": evaluate_every,
        "seed": seed,
    }
    shape, training = (
        {key: value for key, value in options.items() if value is not None}
        for options in (shape, training)
    )
    if resume:
        others = {
            "preset": preset,
            "tokenizer": tokenizer,
            "vocab_size": vocab_size,
            "clean": clean or None,
            "rule": rules or None,
            "epochs": epochs,
            "patience": patience,
            "precision": precision,
        }
        given = [key for key, value in others.items() if value is not None]
        check_resume_options(name, [*shape, *training, *given])
    elif skip_damaged:
        raise typer.BadParameter("--skip-damaged goes with --resume")
    if steps and epochs:
        raise typer.BadParameter("give --steps or --epochs, not both")
    if precision not in (None, "float32", "bfloat16"):
        raise typer.BadParameter(f"--precision {precision}: float32 or bfloat16")
    set_device_variable(device)
    new_text = "tinyshakespeare" if text is None else text

    def run() -> tuple[str, bool]:
        from gpt_lib.catalog import (
            DEFAULT_VOCAB_SIZE,
            LEARNED_TOKENIZERS,
            make_tokenizer,
        )
        from gpt_lib.cleaning import DEFAULT_RULES
        from gpt_lib.cli.train_run import plan_new_run, resume_run, train_new_run
        from gpt_lib.prepare import prepare_new_text
        from gpt_lib.runs import CheckpointWriter

        run_name = default_run_name(new_text) if name is None else name
        training_run = CheckpointWriter(run_name, runs_folder())
        if resume:
            return resume_run(training_run, text, skip_damaged)
        chosen = [*(DEFAULT_RULES if clean else ()), *(rules or ())]
        prepared = prepare_new_text(new_text, chosen)
        if prepared.special_tokens:  # of documents, or large
            print(f"gpt-lib: {prepared.summary()}", file=sys.stderr)
        learned = make_tokenizer(tokenizer or "character", prepared, vocab_size)
        asked = vocab_size or DEFAULT_VOCAB_SIZE
        if tokenizer in LEARNED_TOKENIZERS and learned.vocab_size < asked:
            message = f"the text gives {learned.vocab_size:,} tokens, not {asked:,}"
            print(f"gpt-lib: {message}", file=sys.stderr)
        card, corpus = plan_new_run(
            prepared,
            preset or "cpu",
            shape,
            training,
            learned,
            epochs,
            precision=precision or "float32",
            patience=patience,
        )
        later = math.ceil(card.training.steps / card.training.evaluate_every)
        if patience and patience >= later:
            message = f"patience {patience} cannot end this run before its last step"
            reason = f"after its first evaluation it has {later}"
            print(f"gpt-lib: {message}: {reason}", file=sys.stderr)
        return train_new_run(training_run, card, corpus)

    message, finished = call_with_short_errors(run)
    print(message)
    if not finished:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)


def default_run_name(text: str) -> str:
    """The name of a run by that of its text, which may be a file.

    Raises:
        ValueError: no name of a run can be made of it.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(text).stem).strip("-._")[:64]
    if not name:
        raise ValueError(
            f"the run has no name, and none can be made of {text!r}: give one by --name"
        )
    return name.rstrip(".")


def check_resume_options(name: str | None, options: list[str]) -> None:
    """Refuse what cannot be combined with --resume.

    Raises:
        typer.BadParameter: no name, or anything that the run has of its own.
    """
    if options:
        raise typer.BadParameter(
            "--resume keeps the run's own settings: leave out"
            f" {', '.join(sorted(options)).replace('_', '-')}"
        )
    if not name:
        raise typer.BadParameter("--resume which run? Give --name too")
