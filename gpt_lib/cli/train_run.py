"""Training a run by its name, with a progress bar, until its end or until Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from gpt_lib.catalog import (
    ARCHITECTURES,
    OPTIMIZERS,
    SHIPPED_MODEL_NAMES,
    TOKENIZER_LOADERS,
    find_recipe,
    run_names,
    shape_from_recipe,
)
from gpt_lib.checkpoints import (
    LoadedModel,
    ModelCard,
    build_architecture,
    build_on_meta,
    build_tokenizer,
)
from gpt_lib.data import PUBLIC_TEXTS, Corpus, load_corpus, load_text
from gpt_lib.device import pick_device
from gpt_lib.runs import (
    CheckpointWriter,
    best_checkpoint,
    checkpointed,
    load_for_resuming,
)
from gpt_lib.text import Tokenizer
from gpt_lib.training import TrainingConfig, TrainingState, evaluate_loss, train


def make_new_run_card(
    text: str,
    preset: str,
    shape: Mapping[str, Any],
    training: Mapping[str, Any],
    tokenizer: Tokenizer | None = None,
) -> ModelCard:
    """The card of a new run.

    Args:
        text: as `load_corpus` takes it.
        preset: a name in `catalog.TRAINING_RECIPES`.
        shape: what to change of the preset's shape.
        training: what to change of how it is trained.
        tokenizer: by default, one for the characters of the text.

    Raises:
        ValueError: what was given cannot be trained, and why.
    """
    preset_recipe, corpus = find_recipe(preset), load_corpus(text, tokenizer)
    shape = shape_from_recipe(preset, corpus.tokenizer.vocab_size, **shape)
    config = merge_training_options(preset_recipe.training, training)
    if "context" in shape:
        config["context"] = shape["context"]  # for a model that reads any length
    model = build_on_meta(preset_recipe.architecture, shape, ARCHITECTURES)
    config = TrainingConfig(**config)
    # A text that is too short for the context is an error before a run is there.
    load_corpus(text, corpus.tokenizer, model.context or config.context)
    return ModelCard(
        architecture=preset_recipe.architecture,
        shape=shape,
        tokenizer=corpus.tokenizer.to_card(),
        text=text if is_known_text(text) else str(Path(text).expanduser().resolve()),
        text_sha256=corpus.sha256,
        split=corpus.split,
        training=config,
    )


def merge_training_options(
    preset: TrainingConfig, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """How a run is trained: a preset's optimizer and learning rate, and the changes."""
    steps = changes.get("steps", TrainingConfig.steps)
    return {
        "learning_rate": preset.learning_rate,
        "optimizer": preset.optimizer,
        # A short run warms up briefly.
        "warmup_steps": min(TrainingConfig.warmup_steps, steps // 10),
        **changes,
    }


def is_known_text(text: str) -> bool:
    """Whether this is the name of a text, not a file."""
    return text == "toy-diary" or text in PUBLIC_TEXTS


def begin(run: CheckpointWriter, card: ModelCard) -> tuple[LoadedModel, TrainingState]:
    """A fresh model of a card, saved before its first step."""
    torch.manual_seed(card.training.seed)
    model = build_architecture(card.architecture, card.shape, ARCHITECTURES).to(
        pick_device()
    )
    state = TrainingState.start(model, card.training, OPTIMIZERS)
    run.save(model, state, card)
    return LoadedModel(
        model, build_tokenizer(card.tokenizer, TOKENIZER_LOADERS), card
    ), state


def load_run_corpus(loaded: LoadedModel) -> Corpus:
    """The text of a run as ids of its tokenizer, on the device that trains.

    Raises:
        ValueError: the text is not there, or has changed since.
    """
    card = loaded.card
    if sha256(load_text(card.text).encode()).hexdigest() != card.text_sha256:
        raise ValueError(
            f"{card.text} has changed since this run began: it cannot be resumed with"
            " another text; train a new run, under another name"
        )
    corpus = load_corpus(card.text, loaded.tokenizer, split=card.split)
    return corpus.to(pick_device())


def train_until_interrupted(
    run: CheckpointWriter, loaded: LoadedModel, state: TrainingState, corpus: Corpus
) -> bool:
    """Train to the end, or until Ctrl-C; whether the end was reached."""
    model, _, card = loaded
    total = card.training.steps
    records = train(model, corpus.train, corpus.validation, card.training, state)
    records = checkpointed(records, run, model, state, card, corpus.validation)
    bar = tqdm(total=total, initial=state.step, unit="step", desc=run.name)
    with interrupts() as interrupted, bar, closing(records):
        losses = {}
        for record in records:
            bar.update(state.step - bar.n)
            losses["loss"] = f"{record.batch_loss:.3f}"
            if record.validation_estimate is not None:
                losses["validation"] = f"{record.validation_estimate:.3f}"
            bar.set_postfix(losses, refresh=False)
            if interrupted.is_set():
                break
    return state.step == total


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that no step is cut in half; twice ends at once."""
    interrupted = threading.Event()

    def handle_signal(*_: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        tqdm.write("stopping after this record; Ctrl-C again ends at once", sys.stderr)

    before = signal.signal(signal.SIGINT, handle_signal)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def train_new_run(run: CheckpointWriter, card: ModelCard) -> tuple[str, bool]:
    """Train a new run; a message for the user, and whether it got to its end.

    Raises:
        ValueError: the name is taken, by a model of the course or by a run.
    """
    name = run.name
    if name in SHIPPED_MODEL_NAMES:
        raise ValueError(f"{name!r} comes with the course: take another name")
    for other in run_names(run.root):
        # Some file systems take both for one folder.
        if other.lower() == name.lower() and other != name:
            raise ValueError(
                f"{name!r} is too like the run {other!r}: take another name"
            )
    with run.lock(new=True):
        return run_to_end(run, *begin(run, card))


def resume_run(run: CheckpointWriter) -> tuple[str, bool]:
    """Go on with a run that was stopped; returns what `train_new_run` does."""
    run.last()  # an unknown name is an error before a folder is made
    with run.lock():
        options = ARCHITECTURES, TOKENIZER_LOADERS, OPTIMIZERS
        return run_to_end(run, *load_for_resuming(run, pick_device(), *options))


def run_to_end(
    run: CheckpointWriter, loaded: LoadedModel, state: TrainingState
) -> tuple[str, bool]:
    """Train; a message on how it ended, and whether at its end."""
    steps, corpus = loaded.card.training.steps, load_run_corpus(loaded)
    print(f"saving in {run.folder}", file=sys.stderr)
    if state.step < steps and not train_until_interrupted(run, loaded, state, corpus):
        message = f"stopped and saved after {state.step} of {steps} steps; go on with:"
        return f"{message} gpt-lib train --resume --name {run.name}", False
    loss = evaluate_loss(loaded.model, corpus.validation)
    test_loss = evaluate_loss(loaded.model, corpus.test)
    message = (
        f"{run.name} is trained: validation loss {loss:.3f}, test loss {test_loss:.3f}"
    )
    message += f", {state.seconds:.0f} s;"
    best = best_checkpoint(run)
    if best != run.last():
        message += f" its best checkpoint is {best.name}, and that one writes;"
    return f"{message} talk to it with: gpt-lib chat {run.name}", True
