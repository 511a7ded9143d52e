"""A small training run, and a checkpoint of it: what several tests begin with."""

import torch

from gpt_lib import checkpoints, runs
from gpt_lib.text import CharTokenizer
from gpt_lib.training import TrainingConfig, TrainingState, train

TEXT = "abcdefgh" * 60
TOKENIZER = CharTokenizer("abcdefgh")
SHAPE = {"vocab_size": 8, "context": 8, "width": 8, "heads": 2, "dropout": 0.2}
CONFIG = TrainingConfig(
    steps=24, batch_size=4, learning_rate=0.01, warmup_steps=2, record_every=1,
    evaluate_every=8, evaluation_batches=1,
)  # fmt: skip
CARD = checkpoints.ModelCard(
    architecture="one-block", shape=SHAPE, tokenizer=TOKENIZER.to_card(),
    text="alphabet", text_sha256="0" * 64, training=CONFIG,
)  # fmt: skip


def text_parts():
    """The ids for training and for validation."""
    ids = TOKENIZER.encode(TEXT)
    return ids[:400], ids[400:]


def begin(run, card=CARD):
    """A fresh model of a card, saved before its first step."""
    torch.manual_seed(0)
    model = checkpoints.build_architecture(card.architecture, card.shape)
    state = TrainingState.start(model, card.training)
    run.save(model, state, card)
    return model, state


def resume_and_train(run, fraction=1.0):
    """Resume a run and train it to its end: its records."""
    (model, _, card), state = runs.load_for_resuming(run, torch.device("cpu"))
    parts = text_parts()
    records = train(model, *parts, card.training, state)
    progress = runs.TrainingProgress(run, model, state, card, parts[1], fraction)
    return runs.checkpointed(records, progress)


def replace_checkpoint(folder, files):
    """Write a checkpoint where one was."""
    checkpoints.shutil.rmtree(folder)
    checkpoints.write_checkpoint_files(folder, files)


def same_tensors(one, other):
    """Whether two dicts have the same tensors under the same names."""
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one
    )
