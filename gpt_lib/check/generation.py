"""The exercises of lesson 09."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gpt_lib.check.exercise import Exercise
from gpt_lib.check.toys import ToyModel

CutFunction = Callable[
    [Tensor], Tensor
]  # sorted probabilities (..., V) -> bool, True: cut


def piece_index_at(bar: Tensor, u: Tensor | float) -> Tensor:
    """Which piece of a bar (..., V), in the order of the bar, holds u (...)."""
    ends = bar.cumsum(dim=-1)
    u = torch.as_tensor(u, dtype=bar.dtype)
    return (ends <= u[..., None] * ends[..., -1:]).sum(dim=-1)


def reference_sample_at_uniform(
    probabilities: Tensor, u: Tensor | float, descending: bool = True, early: int = 0
) -> Tensor:
    """Solution: the id whose piece of the bar holds u, the likeliest piece first."""
    ranked, order = probabilities.sort(dim=-1, descending=descending, stable=True)
    rank = (piece_index_at(ranked, u) - early).clamp(min=0)
    return order.gather(-1, rank[..., None]).squeeze(-1)


def mistake_rank_not_id(probabilities: Tensor, u: Tensor | float) -> Tensor:
    """Mistake: the rank is given back, not the id that has it."""
    return piece_index_at(probabilities.sort(dim=-1, descending=True).values, u)


sample_at_uniform = Exercise(
    solution=reference_sample_at_uniform,
    inputs=lambda: [
        (torch.tensor([0.2, 0.5, 0.3]), 0.1),
        (torch.tensor([0.2, 0.5, 0.3]), 0.6),
        (torch.tensor([0.2, 0.5, 0.3]), 0.95),
        (torch.tensor([0.1, 0.0, 0.6, 0.3, 0.0]), 0.75),
        (torch.tensor([0.25, 0.5, 0.25]), 0.5),  # an end belongs to the next piece
    ],
    mistakes={
        "rank": (
            mistake_rank_not_id,
            "That is the rank in the sorted bar. Whose piece is it? `order[rank]`.",
        ),
        "not sorted": (
            lambda probabilities, u: piece_index_at(probabilities, u),
            "Your bar is in the order of the ids. Sort it first, likeliest first.",
        ),
        "rising": (
            lambda probabilities, u: reference_sample_at_uniform(
                probabilities, u, descending=False
            ),
            "Your bar begins with the least likely. `descending=True`.",
        ),
        "one too early": (
            lambda probabilities, u: reference_sample_at_uniform(
                probabilities, u, early=1
            ),
            "One too early: the token is the first whose end lies beyond u.",
        ),
        "always the likeliest": (
            lambda probabilities, u: probabilities.argmax(dim=-1),
            "u changes nothing: that is greedy.",
        ),
    },
    praise="each token owns its share of the bar.",
    part="sample_at_uniform",
    observe=lambda function, args: int(function(*args)),
)


def reference_keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Solution: cut where the likelier ones cover p already."""
    if not 0 < p <= 1:
        raise ValueError(f"top_p={p} must be above 0 and at most 1")
    if p == 1:
        return logits
    return mask_sorted_logits(logits, lambda ranked: ranked.cumsum(-1) - ranked >= p)


def mask_sorted_logits(
    logits: Tensor, cut: CutFunction, descending: bool = True
) -> Tensor:
    """Logits with −∞ where `cut` is True of the sorted probabilities."""
    ranked, order = logits.sort(dim=-1, descending=descending, stable=True)
    remaining = ranked.masked_fill(cut(ranked.softmax(dim=-1)), -torch.inf)
    return logits.scatter(-1, order, remaining)


def mistake_cumulative_sum_over_batch(logits: Tensor, p: float) -> Tensor:
    """Mistake: one running sum for all rows."""

    def cut(probabilities: Tensor) -> Tensor:
        flat = probabilities.flatten()
        return (flat.cumsum(0) - flat >= p).view_as(probabilities)

    return mask_sorted_logits(logits, cut)


def mistake_mask_of_first_row_for_all(logits: Tensor, p: float) -> Tensor:
    """Mistake: what is cut in the first row is cut in all."""
    first_row = reference_keep_top_p(logits, p).flatten(0, -2)[0]
    return logits.masked_fill(first_row.isinf(), -torch.inf)


def mistake_logits_left_sorted(logits: Tensor, p: float) -> Tensor:
    """Mistake: never brought back to the order of the ids."""
    return reference_keep_top_p(logits.sort(dim=-1, descending=True).values, p)


def mistake_mask_of_sorted_row(logits: Tensor, p: float) -> Tensor:
    """Mistake: the mask of the sorted row is laid over the unsorted one."""
    ranked = reference_keep_top_p(logits.sort(dim=-1, descending=True).values, p)
    return logits.masked_fill(ranked.isinf(), -torch.inf)


def keep_top_p_inputs() -> list[tuple]:
    """A row by hand, a flat and a steep row, and a random batch."""
    generator = torch.Generator().manual_seed(0)
    by_hand = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log()
    two = torch.tensor([[0.0, 0.1, 0.2, 0.0, 0.1], [1.0, 9.0, 2.0, 0.0, -3.0]])
    batch = 2 * torch.randn(3, 8, generator=generator)
    return [(by_hand, 0.6), (two, 0.9), (batch, 0.7), (batch, 0.05)]


keep_top_p = Exercise(
    solution=reference_keep_top_p,
    inputs=keep_top_p_inputs,
    mistakes={
        "last one lost": (
            lambda logits, p: mask_sorted_logits(
                logits, lambda c: (c.cumsum(-1) > p) & (c.cumsum(-1) > c)
            ),
            "The id that reaches p is missing: without it the rest has less than p.",
        ),
        "nothing left": (
            lambda logits, p: mask_sorted_logits(logits, lambda c: c.cumsum(-1) > p),
            "Where the likeliest alone has more than p you cut it, too: nothing is"
            " left. Count only what the *likelier* ones cover.",
        ),
        "leaks across the batch": (
            mistake_cumulative_sum_over_batch,
            "Your running sum runs from one row into the next. `dim=-1`.",
        ),
        "first row for all": (
            mistake_mask_of_first_row_for_all,
            "Every row is cut where the first one is. Each row has its own order.",
        ),
        "still sorted": (
            mistake_logits_left_sorted,
            "Your logits are still sorted: bring them back, `scatter(-1, order, …)`.",
        ),
        "mask of the sorted": (
            mistake_mask_of_sorted_row,
            "The mask belongs to the sorted row, but you laid it over the unsorted"
            " one: cut first, then `scatter`.",
        ),
        "each by itself": (
            lambda logits, p: logits.masked_fill(
                logits.softmax(dim=-1) < 1 - p, -torch.inf
            ),
            "You compare each probability with 1 − p. Top-p looks at *sums*.",
        ),
        "least likely kept": (
            lambda logits, p: mask_sorted_logits(
                logits, lambda c: c.cumsum(-1) - c >= p, descending=False
            ),
            "You kept the least likely. Sort with `descending=True`.",
        ),
        "zero, not −∞": (
            lambda logits, p: reference_keep_top_p(logits, p).nan_to_num(neginf=0.0),
            "A logit of 0 is not a probability of 0: e⁰ = 1. Cut with −∞.",
        ),
    },
    praise="the fewest that reach p, row by row.",
    part="keep_top_p",
)


def reference_penalize_repetition(
    logits: Tensor, ids: Tensor, penalty: float
) -> Tensor:
    """Solution: divide what is positive, multiply what is negative."""
    if not penalty > 0:
        raise ValueError(f"repetition_penalty={penalty} must be above 0")
    occurred = logits.gather(-1, ids)
    smaller = torch.where(occurred > 0, occurred / penalty, occurred * penalty)
    return logits.scatter(-1, ids, smaller)


def change_at_ids(
    logits: Tensor, ids: Tensor, change: Callable[[Tensor], Tensor]
) -> Tensor:
    """Logits changed at ids only."""
    return logits.scatter(-1, ids, change(logits.gather(-1, ids)))


def mistake_once_per_occurrence(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Mistake: an id that occurs twice is penalized twice."""
    for id in ids.split(1, dim=-1):
        logits = reference_penalize_repetition(logits, id, penalty)
    return logits


penalize_repetition = Exercise(
    solution=reference_penalize_repetition,
    inputs=lambda: [
        (torch.tensor([2.0, -1.0, 0.5]), torch.tensor([0, 1, 1]), 2.0),
        (torch.tensor([0.3, -4.0, 1.5, -0.2, 3.0]), torch.tensor([3, 4, 3, 1]), 1.3),
    ],
    mistakes={
        "divided": (
            lambda logits, ids, penalty: change_at_ids(
                logits, ids, lambda x: x / penalty
            ),
            "You divided negative logits, too: −1 / 2 = −0.5 is a reward. Multiply"
            " those.",
        ),
        "multiplied": (
            lambda logits, ids, penalty: change_at_ids(
                logits, ids, lambda x: x * penalty
            ),
            "You multiplied positive logits: they grew. Divide those.",
        ),
        "subtracted": (
            lambda logits, ids, penalty: change_at_ids(
                logits, ids, lambda x: x - penalty
            ),
            "You subtracted the penalty. The rule of the paper is a factor.",
        ),
        "everyone": (
            lambda logits, ids, penalty: torch.where(
                logits > 0, logits / penalty, logits * penalty
            ),
            "You penalized every token. Only those in `ids` were said.",
        ),
        "twice": (
            mistake_once_per_occurrence,
            "What was said twice is penalized twice. Once is the rule.",
        ),
        "rewarded": (
            lambda logits, ids, penalty: reference_penalize_repetition(
                logits, ids, 1 / penalty
            ),
            "Said tokens became *likelier*. Divide the positive, multiply the rest.",
        ),
    },
    praise="what was said is less likely, whatever its sign.",
    part="penalize_repetition",
)


def reference_ids_at_low_temperature_and_top_p(
    logits: Tensor, u: float
) -> tuple[int, int]:
    """Solution: where u lands at temperature 0.2, and where with top-p 0.5."""
    return ids_at_same_u(logits / 0.2, reference_keep_top_p(logits, 0.5), u)


def ids_at_same_u(cold: Tensor, cut: Tensor, u: float) -> tuple[int, int]:
    """The ids on which the same u lands in two rows of logits."""
    first, second = (
        reference_sample_at_uniform(row.softmax(-1), u).item() for row in (cold, cut)
    )
    return first, second


def mistake_min_p_instead(logits: Tensor) -> Tensor:
    """Mistake: min-p 0.5 in place of top-p 0.5."""
    return logits.masked_fill(logits < logits.max() - math.log(2), -torch.inf)


def ids_at_low_temperature_and_top_p_inputs() -> list[tuple]:
    """An open choice, a coin toss and a certainty, each with some random numbers."""
    opening = torch.tensor([0.05, 0.14, 0.12, 0.1, 0.08, 0.07, 0.09, 0.35]).log()
    toss = torch.tensor([0.4, 0.59, 0.01]).log()
    sure = torch.tensor([3.0, 9.0, 1.0])
    even = torch.tensor([0.24, 0.26, 0.3, 0.2]).log()
    return [
        (opening, 0.7), (opening, 0.95), (toss, 0.7), (toss, 0.9), (sure, 0.5),
        (even, 0.5), (even, 0.9),
    ]  # fmt: skip


ids_at_low_temperature_and_top_p = Exercise(
    solution=reference_ids_at_low_temperature_and_top_p,
    inputs=ids_at_low_temperature_and_top_p_inputs,
    mistakes={
        "one after the other": (
            lambda logits, u: ids_at_same_u(
                logits / 0.2, reference_keep_top_p(logits / 0.2, 0.5), u
            ),
            "Your top-p cuts what the temperature has bent already. Each is applied to"
            " the model's own logits.",
        ),
        "multiplied": (
            lambda logits, u: ids_at_same_u(
                logits * 0.2, reference_keep_top_p(logits, 0.5), u
            ),
            "You multiplied by 0.2: that is temperature 5. Divide.",
        ),
        "swapped": (
            lambda logits, u: reference_ids_at_low_temperature_and_top_p(logits, u)[
                ::-1
            ],
            "First the temperature, then top-p.",
        ),
        "compared": (
            lambda logits, u: ids_at_same_u(
                logits / 0.2, mistake_min_p_instead(logits), u
            ),
            "You kept what has half the probability of the likeliest: that is min-p.",
        ),
        "neither": (
            lambda logits, u: ids_at_same_u(logits, logits, u),
            "These are draws from the model as it is.",
        ),
    },
    praise="one u, two bars, and sometimes two tokens.",
)


def reference_next_logits(
    model: nn.Module,
    ids: Tensor,
    evaluate: bool = True,
    restore: bool = True,
    first: bool = False,
) -> Tensor:
    """Solution: the last row, of what fits the context, without dropout."""
    was_training = model.training
    if not ids.numel():
        raise ValueError("the prompt is empty: give at least one token")
    model.train(was_training and not evaluate)
    context = model.context or ids.size(1)
    cropped = ids[:, :context] if first else ids[:, -context:]
    logits = model(cropped)[:, -1].detach()
    model.train(was_training if restore else False)
    return logits


def mistake_every_position(model: nn.Module, ids: Tensor) -> Tensor:
    """Mistake: the logits of all positions, not of the last one."""
    was_training = model.training
    logits = model.eval()(ids[:, -model.context :]).detach()
    model.train(was_training)
    return logits


next_logits = Exercise(
    solution=reference_next_logits,
    inputs=lambda: [
        (ToyModel(6, context=3).eval(), torch.tensor([[0, 3]])),
        (
            ToyModel(6, context=3).train(),
            torch.tensor([[1, 2, 5, 4, 0], [3, 3, 0, 1, 2]]),
        ),
    ],
    mistakes={
        "dropout left on": (
            lambda model, ids: reference_next_logits(model, ids, evaluate=False),
            "Dropout was on: the model wrote with holes in it. `model.eval()` first.",
        ),
        "mode not restored": (
            lambda model, ids: reference_next_logits(model, ids, restore=False),
            "The model came in training mode and left in evaluation mode: whoever goes"
            " on training it would do so without dropout.",
        ),
        "the beginning": (
            lambda model, ids: reference_next_logits(model, ids, first=True),
            "You cut off the end. What comes next depends on the *last* ids.",
        ),
        "not cut": (
            lambda model, ids: (
                model(ids)
                if ids.size(1) > model.context
                else reference_next_logits(model, ids)
            ),
            "More ids than the context: give the model the last `model.context`.",
        ),
        "first row": (
            lambda model, ids: (
                reference_next_logits(model, ids),
                reference_next_logits(model, ids[:, -model.context :][:, :1]),
            )[1],
            "That is the first row: what follows the *first* character. Take the last.",
        ),
        "all rows": (
            mistake_every_position,
            "You gave back a row for each position. Only the last one counts.",
        ),
    },
    praise="the last row, with all the past that fits, and no holes.",
    part="next_logits",
    observe=lambda function, args: (
        function(*args).detach(),
        float(args[0].training),
    ),
)
