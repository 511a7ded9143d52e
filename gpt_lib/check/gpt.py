"""The exercises of lesson 08."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gpt_lib.check.exercise import Exercise
from gpt_lib.check.shared_mistakes import (
    LOG_MISTAKES,
    PROBABILITIES_MESSAGE,
    build_into,
    mode_mistakes,
    observe_mode,
)
from gpt_lib.check.toys import StandInConfig, ToyModel


def reference_parameter_count(config: StandInConfig) -> int:
    """Solution: embeddings, blocks, the last norm, and `unembed`."""
    V, T, C = config.vocab_size, config.context, config.width
    block = 4 * C * C + 8 * C * C + 5 * C + 4 * C
    return V * C + T * C + config.depth * block + 2 * C + C * V


def parameter_count_inputs() -> list[tuple[StandInConfig]]:
    """Two shapes in which no two parts have the same size."""
    first = StandInConfig(vocab_size=65, context=64, width=128, heads=4, depth=4)
    second = StandInConfig(vocab_size=11, context=7, width=6, heads=3, depth=2)
    return [(first,), (second,)]


parameter_count = Exercise(
    solution=reference_parameter_count,
    inputs=parameter_count_inputs,
    mistakes={
        "no positions": (
            lambda config: (
                reference_parameter_count(config) - config.context * config.width
            ),
            "The position embeddings are missing: T · C.",
        ),
        "tied": (
            lambda config: (
                reference_parameter_count(config) - config.vocab_size * config.width
            ),
            "You counted the V × C table once. Here the way in (`embed`) and the way"
            " out (`unembed`) are two tables.",
        ),
        "no biases in the MLP": (
            lambda config: (
                reference_parameter_count(config) - config.depth * 5 * config.width
            ),
            "The MLP's biases are missing: 4C in the middle and C at its end.",
        ),
        "last norm": (
            lambda config: reference_parameter_count(config) - 2 * config.width,
            "The norm after the last block is missing: 2C.",
        ),
        "norms": (
            lambda config: (
                reference_parameter_count(config)
                - (2 * config.depth + 1) * 2 * config.width
            ),
            "The norms are missing: two in each block and one at the end, 2C each.",
        ),
        "output": (
            lambda config: (
                reference_parameter_count(config) - config.depth * config.width**2
            ),
            "A table of C × C is missing in each block. Attention has four: queries,"
            " keys, values, *and* output; the MLP's two have 4C² each.",
        ),
        "biases in attention": (
            lambda config: (
                reference_parameter_count(config) + config.depth * 4 * config.width
            ),
            "You counted biases in attention. Its four tables have none here.",
        ),
        "MLP": (
            lambda config: (
                reference_parameter_count(config)
                - config.depth * (8 * config.width**2 + 5 * config.width)
            ),
            "The MLP is missing: two tables, C × 4C and 4C × C, and their biases.",
        ),
        "times heads": (
            lambda config: (
                reference_parameter_count(config)
                + config.depth * 3 * config.width**2 * (config.heads - 1)
            ),
            "You counted queries, keys and values once for each head at full width."
            " N heads share the width: C / N each.",
        ),
        "one block": (
            lambda config: reference_parameter_count(
                StandInConfig(**vars(config) | {"depth": 1})
            ),
            "You counted a single block: there are `config.depth`.",
        ),
    },
    praise="each table is in its place.",
    tolerance=0,
)


def reference_next_token_loss(model: nn.Module, windows: Tensor) -> float:
    """Solution: every position predicts the next id."""
    logits = model(windows[:, :-1])
    return cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()).item()


def mean_loss(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Mean loss of x (B, T) against targets y (B, T)."""
    return cross_entropy(model(x).flatten(0, 1), y.flatten()).item()


def next_token_loss_inputs() -> list[tuple]:
    """Windows of T + 1 ids, for a model in evaluation mode."""
    model = ToyModel(5, context=4).eval()
    return [
        (model, torch.tensor([[0, 3, 1, 4, 2]])),
        (model, torch.tensor([[1, 1, 2, 0], [4, 0, 3, 2], [2, 2, 3, 1]])),
    ]


next_token_loss = Exercise(
    solution=reference_next_token_loss,
    inputs=next_token_loss_inputs,
    mistakes={
        "targets unshifted": (
            lambda model, windows: mean_loss(model, windows[:, :-1], windows[:, :-1]),
            "Inputs and targets are the same ids: the model only has to repeat what it"
            " sees. The target of position t is the id at t + 1.",
        ),
        "shifted backwards": (
            lambda model, windows: mean_loss(model, windows[:, 1:], windows[:, :-1]),
            "Your targets lie in the past: the model is asked what came *before*.",
        ),
        "only the last": (
            lambda model, windows: cross_entropy(
                model(windows[:, :-1])[:, -1], windows[:, -1]
            ).item(),
            "Only the last position is asked. Every position has a next character:"
            " T questions for the price of one.",
        ),
        "sum": (
            lambda model, windows: (
                reference_next_token_loss(model, windows) * windows[:, 1:].numel()
            ),
            "That is the sum of all losses. Divide by how many there are, B · T.",
        ),
        "probabilities": (
            lambda model, windows: cross_entropy(
                model(windows[:, :-1]).softmax(-1).flatten(0, 1),
                windows[:, 1:].flatten(),
            ).item(),
            PROBABILITIES_MESSAGE,
        ),
        "two apart": (
            lambda model, windows: mean_loss(model, windows[:, :-2], windows[:, 2:]),
            "Your targets are two ids ahead. The target of position t is at t + 1.",
        ),
        **build_into(
            LOG_MISTAKES,
            lambda change: (
                lambda *arguments: change(reference_next_token_loss(*arguments))
            ),
        ),
    },
    praise="every position is asked for the next one.",
)


def log_probabilities_by_loop(
    model: nn.Module, ids: Tensor, context: int | None = None, blocks: bool = False
) -> Tensor:
    """Log-probabilities (N - 1, V) before each id but the first, by a plain loop."""
    context = context or model.context or len(ids)
    rows = []
    for t in range(1, len(ids)):
        first = (t - 1) // context * context if blocks else max(0, t - context)
        rows.append(model(ids[None, first:t])[0, -1].log_softmax(dim=-1))
    return torch.stack(rows).detach()


def reference_next_token_log_distributions(model: nn.Module, ids: Tensor) -> Tensor:
    """Solution: a window that slides, without dropout."""
    return expected_without_dropout(model, ids)


def mistake_log_probabilities_with_dropout(model: nn.Module, ids: Tensor) -> Tensor:
    """Mistake: dropout is on in a model that came in training mode."""
    return log_probabilities_by_loop(model, ids)


def expected_without_dropout(model: nn.Module, ids: Tensor, **options: Any) -> Tensor:
    """Log-probabilities by a loop, in the model's own mode after."""
    was_training = model.training
    rows = log_probabilities_by_loop(model.eval(), ids, **options)
    model.train(was_training)
    return rows


next_token_log_distributions = Exercise(
    solution=reference_next_token_log_distributions,
    inputs=lambda: [
        (ToyModel(5, context=4), torch.tensor([0, 3, 1])),
        (ToyModel(5, context=4), torch.tensor([2, 2, 4, 0, 1, 3, 1, 0, 4])),
        (ToyModel(5, context=3).eval(), torch.tensor([4, 0, 2, 2, 1])),
    ],
    observe=observe_mode("the rows"),
    mistakes={
        "dropout left on": (
            mistake_log_probabilities_with_dropout,
            "Dropout is on: the model is asked with holes in it. `model.eval()` first.",
        ),
        "cold starts": (
            lambda model, ids: expected_without_dropout(model, ids, blocks=True),
            "You cut the text into blocks, so the first character of each block has no"
            " past. Let the window slide.",
        ),
        "one character": (
            lambda model, ids: expected_without_dropout(model, ids, context=1),
            "The model sees only one character. Give it up to `model.context`.",
        ),
        "one less": (
            lambda model, ids: expected_without_dropout(
                model, ids, context=model.context - 1
            ),
            "The window is one short: `model.context` ids fit.",
        ),
        "never cut": (
            lambda model, ids: model.eval()(ids[None, :-1])[0].log_softmax(dim=-1),
            "More ids than the context: give the model the last `model.context`.",
        ),
        "one row too many": (
            lambda model, ids: expected_without_dropout(
                model, torch.cat([ids, ids[-1:]])
            ),
            "You have N rows. What follows the last id is not asked for: N − 1.",
        ),
        "logits": (
            lambda model, ids: torch.stack(
                [
                    model.eval()(ids[None, max(0, t - model.context) : t])[0, -1]
                    for t in range(1, len(ids))
                ]
            ).detach(),
            "Those are logits. `log_softmax` makes log-probabilities of them.",
        ),
        "probabilities": (
            lambda model, ids: reference_next_token_log_distributions(model, ids).exp(),
            "Those are probabilities. Give back their logarithms: `log_softmax`.",
        ),
        **build_into(
            LOG_MISTAKES,
            lambda change: (
                lambda model, ids: change(
                    reference_next_token_log_distributions(model, ids)
                )
            ),
        ),
        "left in evaluation mode": mode_mistakes(
            reference_next_token_log_distributions
        )["left in evaluation mode"],
        "one late": (
            lambda model, ids: expected_without_dropout(
                model, torch.cat([ids[1:], ids[:1]])
            ),
            "Row 0 is about the id at 1, and is made from the id at 0 alone. Yours"
            " already contains what it should predict.",
        ),
    },
    praise="what the model expected, each time with all the past it can hold.",
    part="next_token_log_distributions",
    errors={"never cut": "are more than"},
)
