"""Checks for the exercises, one module a lesson: `check.text.split(your_function)`."""

from gpt_lib.check import (
    attention,
    averaging,
    bigram,
    block,
    cache,
    checkpoints,
    device,
    generation,
    gpt,
    heads,
    modern,
    muon,
    speed,
    text,
    training,
)
from gpt_lib.check.exercise import Exercise, Verdict

__all__ = [
    "Exercise",
    "Verdict",
    "attention",
    "averaging",
    "bigram",
    "block",
    "cache",
    "checkpoints",
    "device",
    "generation",
    "gpt",
    "heads",
    "modern",
    "muon",
    "speed",
    "text",
    "training",
]
