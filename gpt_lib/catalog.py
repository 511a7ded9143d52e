"""Every model at hand, by name: those of the course, and the learner's runs."""

import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

# Reading with a memory, a model and an optimizer: what these lessons register.
from gpt_lib import cache, modern, muon  # noqa: F401
from gpt_lib.checkpoints import (
    CARD,
    CARD_FILE,
    RUNS,
    WEIGHTS,
    Card,
    CheckpointError,
    Shelf,
    Trained,
    best,
    check_name,
    finite_weights,
    load_checkpoint,
    write_checkpoint,
)
from gpt_lib.generation import Writer
from gpt_lib.text import DATA

MODELS = DATA / "models"
# From the lowest loss to the highest; shipped.py holds their recipes.
SHIPPED = ("shakespeare", "block", "many-heads", "one-head", "averaging", "bigram")


def names(root: Path = RUNS) -> list[str]:
    """The models of the course, then the runs in `root`."""
    return [*SHIPPED, *run_names(root)]


def run_names(root: Path = RUNS) -> list[str]:
    """The runs in `root` that have a checkpoint, in order."""
    if not root.is_dir():
        return []
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    return [name for name in folders if is_free(name) and Shelf(name, root).steps()]


def is_free(name: str) -> bool:
    """Whether a run may have this name."""
    try:
        return check_name(name) not in SHIPPED
    except ValueError:
        return False


def folder_of(name: str, root: Path = RUNS) -> Path:
    """The checkpoint that a model is read from: of a run its best.

    Raises:
        ValueError: there is no such model.
    """
    if name in SHIPPED:
        return MODELS / name
    if name not in run_names(root):
        raise ValueError(f"no model {name!r}: there are {', '.join(names(root))}")
    return best(Shelf(name, root))


def load(name: str, root: Path = RUNS) -> Trained:
    """A model by its name, on the CPU, with its tokenizer and its card.

    Raises:
        ValueError: there is no such model, or it cannot be read.
    """
    return load_checkpoint(folder_of(name, root))


def keep(folder: Path, model: nn.Module, card: Card) -> None:
    """Write a checkpoint that is only read, never trained on.

    Raises:
        ValueError: the weights are not finite.
    """
    weights = save(finite_weights(model, card.step))
    files = {CARD_FILE: CARD.dump_json(card, indent=1), WEIGHTS: weights}
    write_checkpoint(folder, files)


def load_writer(name: str, root: Path = RUNS) -> Writer:
    """The same, ready to write."""
    model, tokenizer, _ = load(name, root)
    return Writer(model, tokenizer)


def writers(root: Path = RUNS) -> dict[str, Writer]:
    """Every model that can be read, by name; the others are named on stderr."""
    found = {}
    for name in names(root):
        try:
            found[name] = load_writer(name, root)
        except CheckpointError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def row(name: str, root: Path = RUNS) -> dict[str, Any]:
    """What the table of models says of one; of a run its best checkpoint."""
    model, _, card = load(name, root)
    loss = card.validation_loss  # None before the first step
    return {
        "model": name,
        "kind": card.architecture,
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "text": Path(card.text).stem,
        "steps": card.step,
        "of": card.training.steps,
        "loss": None if loss is None else round(loss, 3),
        "trained": card.date,
    }
