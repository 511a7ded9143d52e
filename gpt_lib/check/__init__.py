"""Checks for the exercises, one module a lesson: `check.text.split(your_function)`."""

from gpt_lib.check import bigram, device, text, training
from gpt_lib.check.exercise import Exercise, Verdict

__all__ = ["Exercise", "Verdict", "bigram", "device", "text", "training"]
