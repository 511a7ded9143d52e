"""Training by name: what `gpt-lib train` does, and what it says meanwhile."""

import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from gpt_lib.catalog import SHIPPED, run_names
from gpt_lib.checkpoints import (
    ARCHITECTURES,
    Card,
    Run,
    Trained,
    best,
    build,
    outline,
    recorded,
    resume,
)
from gpt_lib.device import pick_device
from gpt_lib.experiments.shipped import RECIPES
from gpt_lib.gpt import PRESETS as GPT_SHAPES
from gpt_lib.gpt import GPTConfig
from gpt_lib.modern import ModernConfig
from gpt_lib.text import TEXTS, CharTokenizer, load_text, split
from gpt_lib.training import Progress, TrainingConfig, train, validation_loss

MOST_FOR_PAIRS = 256  # characters


def presets() -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name -> architecture, shape without the vocabulary, how it is best trained."""
    stages = {
        name: (recipe.architecture, {}, {"learning_rate": recipe.plan.learning_rate})
        for name, recipe in reversed(RECIPES.items())
        if recipe.architecture != "GPT"
    }
    shapes = {name: asdict(shape) for name, shape in GPT_SHAPES.items()}
    for shape in shapes.values():
        del shape["vocab_size"]
    plain, muon = {"learning_rate": 4e-3}, {"learning_rate": 0.02, "optimizer": "Muon"}
    gpts = {name: ("GPT", shape, plain) for name, shape in shapes.items()}
    return stages | gpts | {"modern": ("modern GPT", {}, muon)}


def make_card(
    text: str, preset: str, shape: Mapping[str, Any], training: Mapping[str, Any]
) -> Card:
    """The card of a new run; `shape` and `training` change what the preset says.

    Raises:
        ValueError: what was given cannot be trained, and why.
    """
    content = load_text(text)
    if preset not in presets():
        raise ValueError(f"no preset {preset!r}: there are {', '.join(presets())}")
    architecture, usual, how = presets()[preset]
    check_options(architecture, shape)
    tokenizer = CharTokenizer.from_text(content)
    whole = {"vocab_size": tokenizer.vocab_size, **usual, **shape}
    if architecture == "modern GPT":
        whole.setdefault("key_heads", whole.get("heads", ModernConfig.heads))
        # A row for each pair of characters: of a large vocabulary that is too many.
        whole.setdefault("pairs", tokenizer.vocab_size <= MOST_FOR_PAIRS)
    steps = training.get("steps", TrainingConfig.steps)
    warmup = min(TrainingConfig.warmup, steps // 10)  # a short run warms up briefly
    config = {**how, "warmup": warmup, **training}
    if "context" in shape:
        config["context"] = shape["context"]  # for a model that reads any length
    model = outline(architecture, whole)
    config = TrainingConfig(**config)
    split(torch.empty(len(content)), model.context or config.context)
    known = text == "diary" or text in TEXTS
    name = text if known else str(Path(text).expanduser().resolve())
    digest = sha256(content.encode()).hexdigest()
    return Card(architecture, whole, tokenizer.characters, name, digest, config)


def check_options(architecture: str, shape: Mapping[str, Any]) -> None:
    """Whether a model of this kind has all that is asked of its shape."""
    configs = {"GPT": GPTConfig, "modern GPT": ModernConfig}
    kind = configs.get(architecture, ARCHITECTURES[architecture])
    known = [name for name in signature(kind).parameters if name != "vocab_size"]
    if unknown := [name for name in shape if name not in known]:
        has = ", ".join(known) or "nothing to choose"
        raise ValueError(f"{architecture} has no {unknown[0]}: it has {has}")


def begin(run: Run, card: Card) -> tuple[Trained, Progress]:
    """A fresh model of a card, saved before its first step."""
    torch.manual_seed(card.training.seed)
    model = build(card.architecture, card.shape).to(pick_device())
    progress = Progress.start(model, card.training)
    run.save(model, progress, card)
    return Trained(model, card.tokenizer, card), progress


def read_ids(card: Card) -> list[torch.Tensor]:
    """The text of a card as ids for training and validation.

    Raises:
        ValueError: the text is not there, or has changed since.
    """
    content = load_text(card.text)
    if sha256(content.encode()).hexdigest() != card.text_sha256:
        raise ValueError(
            f"{card.text} has changed since this run began: it cannot be resumed with"
            " another text; train a new run, under another name"
        )
    return [part.to(pick_device()) for part in split(card.tokenizer.encode(content))]


def follow(run: Run, trained: Trained, progress: Progress) -> bool:
    """Train to the end, or until Ctrl-C; whether the end was reached."""
    model, _, card = trained
    ids, total = read_ids(card), card.training.steps
    records = train(model, *ids, card.training, progress)
    records = recorded(records, run, model, progress, card, ids[1])
    bar = tqdm(total=total, initial=progress.step, unit="step", desc=run.name)
    with interrupts() as interrupted, bar, closing(records):
        told = {}
        for record in records:
            bar.update(progress.step - bar.n)
            told["loss"] = f"{record.batch_loss:.3f}"
            if record.validation_estimate is not None:
                told["validation"] = f"{record.validation_estimate:.3f}"
            bar.set_postfix(told, refresh=False)
            if interrupted.is_set():
                break
    return progress.step == total


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that no step is cut in half; twice ends at once."""
    interrupted = threading.Event()

    def remember(*_: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        tqdm.write("stopping after this record; Ctrl-C again ends at once", sys.stderr)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def start_run(name: str, card: Card) -> tuple[str, bool]:
    """Train a new run: what to tell the user, and whether it got to its end.

    Raises:
        ValueError: the name is taken, by a model of the course or by a run.
    """
    run = Run(name)
    if name in SHIPPED:
        raise ValueError(f"{name!r} comes with the course: take another name")
    for other in run_names():
        if (
            other.lower() == name.lower() and other != name
        ):  # one folder on some systems
            raise ValueError(
                f"{name!r} is too like the run {other!r}: take another name"
            )
    with run.claim(new=True):
        return told(run, *begin(run, card))


def resume_run(name: str) -> tuple[str, bool]:
    """Train a run on that was stopped; gives back what `start_run` does."""
    run = Run(name)
    run.last()  # an unknown name is said before a folder is made
    with run.claim():
        return told(run, *resume(run, pick_device()))


def told(run: Run, trained: Trained, progress: Progress) -> tuple[str, bool]:
    """Train, and say how it ended, and whether at its end."""
    steps = trained.card.training.steps
    if progress.step < steps and not follow(run, trained, progress):
        said = f"stopped and saved after {progress.step} of {steps} steps; go on with:"
        return f"{said} gpt-lib train --resume --name {run.name}", False
    loss = validation_loss(trained.model, read_ids(trained.card)[1])
    said = (
        f"{run.name} is trained: validation loss {loss:.3f}, {progress.seconds:.0f} s;"
    )
    if best(run) != run.last():
        said += f" its best checkpoint is {best(run).name}, and that one writes;"
    return f"{said} talk to it with: gpt-lib chat {run.name}", True
