"""The exercise of lesson 12b."""

import math

from gpt_lib.check.exercise import Exercise


def reference_break_even(
    compile_seconds: float, eager: float, compiled: float
) -> float:
    """Solution: the compiler's time over what each character saves."""
    saved = eager - compiled
    return compile_seconds / saved if saved > 0 else math.inf


break_even = Exercise(
    solution=reference_break_even,
    inputs=lambda: [
        (25.0, 0.002, 0.0005),
        (30.0, 0.001, 0.001),
        (10.0, 0.001, 0.004),
    ],
    mistakes={
        "never is not negative": (
            lambda compile_seconds, eager, compiled: (
                compile_seconds / (eager - compiled) if eager != compiled else math.inf
            ),
            "Where the compiled step is slower it never pays: not after fewer than 0.",
        ),
        "compiled is not saved": (
            lambda compile_seconds, eager, compiled: compile_seconds / eager,
            "You divided by an eager step; a character saves eager − compiled.",
        ),
        "the wrong way round": (
            lambda compile_seconds, eager, compiled: reference_break_even(
                compile_seconds, compiled, eager
            ),
            "What is saved is eager − compiled, not compiled − eager.",
        ),
        "divided by zero": (
            lambda compile_seconds, eager, compiled: (
                compile_seconds / (eager - compiled)
            ),
            "Where both steps take as long, nothing is saved, and you divide by 0: such"
            " a case never pays, `math.inf`.",
        ),
        "never is not zero": (
            lambda compile_seconds, eager, compiled: (
                compile_seconds / (eager - compiled) if eager > compiled else 0.0
            ),
            "Where nothing is saved it never pays: that is `math.inf`, not 0.",
        ),
    },
    errors={"divided by zero": "^ZeroDivisionError"},
    praise="a compiler is bought with time, and pays back by the character.",
)
