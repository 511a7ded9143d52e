"""The exercises of lesson 09."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gpt_lib.check.exercise import Exercise
from gpt_lib.check.shared_mistakes import build_into, mode_mistakes, observe_mode
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
    rank = (piece_index_at(ranked, u) - early).clamp(0, probabilities.size(-1) - 1)
    return order.gather(-1, rank[..., None]).squeeze(-1)


def mistake_rank_not_id(probabilities: Tensor, u: Tensor | float) -> Tensor:
    """Mistake: the rank is given back, not the id that has it."""
    return piece_index_at(probabilities.sort(dim=-1, descending=True).values, u)


def mistake_border_to_piece_before(probabilities: Tensor, u: Tensor | float) -> Tensor:
    """Mistake: u on the border of two pieces falls on the first."""
    ranked, order = probabilities.sort(dim=-1, descending=True, stable=True)
    u = torch.as_tensor(u, dtype=ranked.dtype)
    rank = (ranked.cumsum(dim=-1) < u[..., None]).sum(dim=-1)
    return order.gather(-1, rank[..., None]).squeeze(-1)


EIGHT_PROBABILITIES = torch.tensor([0.05, 0.2, 0.11, 0.03, 0.3, 0.02, 0.15, 0.14])

sample_at_uniform = Exercise(
    solution=reference_sample_at_uniform,
    inputs=lambda: [
        (torch.tensor([0.2, 0.5, 0.3]), 0.1),
        (torch.tensor([0.2, 0.5, 0.3]), 0.6),
        (torch.tensor([0.2, 0.5, 0.3]), 0.95),
        (torch.tensor([0.1, 0.0, 0.6, 0.3, 0.0]), 0.75),
        (torch.tensor([0.25, 0.5, 0.25]), 0.5),  # an end belongs to the next piece
        *((EIGHT_PROBABILITIES, u) for u in (0.0, 0.31, 0.55, 0.72, 0.92)),
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
        "border": (
            mistake_border_to_piece_before,
            "A border belongs to the *next* piece: at u = 0.5 a piece that ends at 0.5"
            " is over. Count the ends with `<=`.",
        ),
        "one too late": (
            lambda probabilities, u: reference_sample_at_uniform(
                probabilities, u, early=-1
            ),
            "One too late: the token is the first whose end lies beyond u.",
        ),
        "always the likeliest": (
            lambda probabilities, u: probabilities.argmax(dim=-1),
            "u changes nothing: that is greedy.",
        ),
    },
    praise="each token owns its share of the bar.",
    part="sample_at_uniform",
)


def reference_keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Solution: cut where the likelier ones cover p already."""
    if not 0 < p <= 1:
        raise ValueError(f"top_p={p} must be above 0 and at most 1")
    if p == 1:
        return logits
    return mask_sorted_logits(
        logits, lambda ranked: ranked.cumsum(-1) - ranked >= p - 1e-12 * p
    )


def mask_sorted_logits(
    logits: Tensor, cut: CutFunction, descending: bool = True
) -> Tensor:
    """Logits with −∞ where `cut` is True of the sorted probabilities."""
    ranked, order = logits.sort(dim=-1, descending=descending, stable=True)
    is_cut = cut(ranked.double().softmax(dim=-1))
    remaining = ranked.masked_fill(is_cut, -torch.inf)
    return logits.scatter(-1, order, remaining)


def mistake_cumulative_sum_over_batch(logits: Tensor, p: float) -> Tensor:
    """Mistake: one running sum for all rows."""

    def cut(probabilities: Tensor) -> Tensor:
        flat = probabilities.flatten()
        return (flat.cumsum(0) - flat >= p).view_as(probabilities)

    return mask_sorted_logits(logits, cut)


LimitedCut = Callable[[Tensor, float], Tensor]  # (logits (B, V), limit) -> logits


def mistake_mask_of_first_row_for_all(
    cut: LimitedCut, logits: Tensor, limit: float
) -> Tensor:
    """Mistake: what is cut in the first row is cut in all."""
    first_row = cut(logits, limit).flatten(0, -2)[0]
    return logits.masked_fill(first_row.isinf(), -torch.inf)


def mistake_logits_left_sorted(cut: LimitedCut, logits: Tensor, limit: float) -> Tensor:
    """Mistake: never brought back to the order of the ids."""
    return cut(logits.sort(dim=-1, descending=True).values, limit)


def mistake_mask_of_sorted_row(cut: LimitedCut, logits: Tensor, limit: float) -> Tensor:
    """Mistake: the mask of the sorted row is laid over the unsorted one."""
    ranked = mistake_logits_left_sorted(cut, logits, limit)
    return logits.masked_fill(ranked.isinf(), -torch.inf)


def mistake_wrong_ones_cut(cut: LimitedCut, logits: Tensor, limit: float) -> Tensor:
    """Mistake: cut is what should stay."""
    return logits.masked_fill(cut(logits, limit).isfinite(), -torch.inf)


# Mistakes of any cut of logits, as functions of the right one
CUT_MISTAKES = {
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
        "The mask belongs to the sorted row, but you laid it over the unsorted one: cut"
        " first, then `scatter`.",
    ),
    "zero, not −∞": (
        lambda cut, logits, limit: cut(logits, limit).nan_to_num(neginf=0.0),
        "A logit of 0 is not a probability of 0: e⁰ = 1. Cut with −∞.",
    ),
    "wrong ones cut": (
        mistake_wrong_ones_cut,
        "You cut what should stay, and left the rest.",
    ),
    "probabilities": (
        lambda cut, logits, limit: cut(logits, limit).softmax(dim=-1),
        "Those are probabilities. Give back the logits, with −∞ for what is cut.",
    ),
}


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
        **build_into(
            CUT_MISTAKES,
            lambda mistake: lambda logits, p: mistake(reference_keep_top_p, logits, p),
        ),
    },
    praise="the fewest that reach p, row by row.",
    part="keep_top_p",
)


def cut_by_rank(logits: Tensor, k: int, descending: bool = True) -> Tensor:
    """Logits with −∞ for all but the first k in order of size."""
    places = torch.arange(logits.size(-1), device=logits.device)
    return mask_sorted_logits(logits, lambda _: places >= k, descending)


def reference_keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Solution: cut what is not among the first k."""
    if k < 1:
        raise ValueError(f"top_k={k} must be 1 or more: something must be left to draw")
    return cut_by_rank(logits, k)


def mistake_top_k_of_whole_batch(logits: Tensor, k: int) -> Tensor:
    """Mistake: the k largest of all rows together stay."""
    return reference_keep_top_k(logits.flatten(), k).view_as(logits)


def mistake_k_above_vocabulary(logits: Tensor, k: int) -> Tensor:
    """Mistake: `topk` is asked for more than there are."""
    smallest = logits.topk(k).values[..., -1:]
    return logits.masked_fill(logits < smallest, -torch.inf)


def keep_top_k_inputs() -> list[tuple]:
    """A row by hand, a batch with three values of k, and a k above V."""
    by_hand = torch.tensor([[0.5, 2.5, -1.0, 1.5]])
    batch = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    return [(by_hand, 2), (batch, 3), (batch, 1), (batch, 6), (by_hand, 9)]


keep_top_k = Exercise(
    solution=reference_keep_top_k,
    inputs=keep_top_k_inputs,
    mistakes={
        "one too few": (
            lambda logits, k: cut_by_rank(logits, k - 1),
            "One too few stays: the k-th largest itself is to stay as well.",
        ),
        "one too many": (
            lambda logits, k: cut_by_rank(logits, k + 1),
            "One too many stays: of the sorted logits those at 0 … k − 1.",
        ),
        "least likely kept": (
            lambda logits, k: cut_by_rank(logits, k, descending=False),
            "You kept the smallest. Sort with `descending=True`.",
        ),
        "whole batch": (
            mistake_top_k_of_whole_batch,
            "The k largest of *all* rows stay. Each row has k of its own: `dim=-1`.",
        ),
        "k above V": (
            mistake_k_above_vocabulary,
            "`topk` refuses a k above V, and there everything should stay: take the"
            " smaller of the two.",
        ),
        **build_into(
            CUT_MISTAKES,
            lambda mistake: lambda logits, k: mistake(reference_keep_top_k, logits, k),
        ),
    },
    praise="the k largest, row by row, and the rest out of reach.",
    part="keep_top_k",
    errors={"k above V": "out of range"},
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
        (torch.tensor([0.4, 0.9, -0.6, 0.2]), torch.tensor([1, 2, 3]), 1.8),
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
        "positive only": (
            lambda logits, ids, penalty: change_at_ids(
                logits, ids, lambda x: torch.where(x > 0, x / penalty, x)
            ),
            "Negative logits stay as they are. Multiply those, so that they fall, too.",
        ),
        "those only": (
            lambda logits, ids, penalty: reference_penalize_repetition(
                logits, ids, penalty
            )[ids],
            "You gave back the changed logits alone. Put them in their places among all"
            " V.",
        ),
        "the others": (
            lambda logits, ids, penalty: torch.where(
                reference_penalize_repetition(logits, ids, penalty) == logits,
                torch.where(logits > 0, logits / penalty, logits * penalty),
                logits,
            ),
            "You penalized all but those that were said.",
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
    model.train(was_training)
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
        "the beginning": (
            lambda model, ids: reference_next_logits(model, ids, first=True),
            "You cut off the end. What comes next depends on the *last* ids.",
        ),
        "not cut": (
            lambda model, ids: model.eval()(ids)[:, -1],
            "More ids than the context: give the model the last `model.context`.",
        ),
        "first row": (
            lambda model, ids: reference_next_logits(
                model, ids[:, -model.context :][:, :1]
            ),
            "That is the first row: what follows the *first* character. Take the last.",
        ),
        "all rows": (
            mistake_every_position,
            "You gave back a row for each position. Only the last one counts.",
        ),
        "probabilities": (
            lambda model, ids: reference_next_logits(model, ids).softmax(dim=-1),
            "Those are probabilities. The logits are asked for, before the softmax.",
        ),
        **mode_mistakes(reference_next_logits),
    },
    praise="the last row, with all the past that fits, and no holes.",
    part="next_logits",
    observe=observe_mode("the logits"),
    errors={"not cut": "are more than"},
)
