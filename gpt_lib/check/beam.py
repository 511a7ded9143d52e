"""The exercises of lesson 09b."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gpt_lib.check.exercise import Exercise
from gpt_lib.check.toys import ToyModel


class Beam(NamedTuple):
    """A continuation with the sum of its log-probabilities, as in the lesson."""

    ids: tuple[int, ...]
    log_probability: float


class Extension(NamedTuple):
    """A beam with one id more, and that id's own log-probability."""

    beam: Beam
    new: float

    @property
    def before(self) -> float:
        """The beam's sum before that id."""
        return self.beam.log_probability - self.new


def all_extensions(
    model: nn.Module,
    ids: Tensor,
    beams: list[Beam],
    position: int = -1,
    normalize: Callable[[Tensor], Tensor] = lambda row: row.log_softmax(dim=-1),
) -> list[Extension]:
    """Every beam after ids (T,) with every id, in no order."""
    rows = torch.stack([torch.cat([ids, ids.new_tensor(b.ids)]) for b in beams])
    rows = rows[:, -(model.context or rows.size(1)) :]
    was_training, device = model.training, next(model.parameters()).device
    with torch.inference_mode():
        logits = model.eval()(rows.to(device))[:, position].double().cpu()
    model.train(was_training)
    return [
        Extension(type(beam)((*beam.ids, id), beam.log_probability + new), new)
        for beam, row in zip(beams, normalize(logits).tolist())
        for id, new in enumerate(row)
    ]


def select_top_beams(
    candidates: list[Extension],
    count: int,
    key: Callable[[Extension], float] = lambda each: each.beam.log_probability,
    descending: bool = True,
) -> list[Beam]:
    """The first `count` beams, by `key`."""
    ranked = sorted(candidates, key=key, reverse=descending)
    return [candidate.beam for candidate in ranked[:count]]


def reference_extend_beams(
    model: nn.Module, ids: Tensor, beams: list[Beam], count: int
) -> list[Beam]:
    """Solution: of all beams with all ids, those of the largest sum."""
    return select_top_beams(all_extensions(model, ids, beams), count)


def mistake_best_of_each_beam(
    model: nn.Module, ids: Tensor, beams: list[Beam], count: int
) -> list[Beam]:
    """Mistake: every beam goes on with its own likeliest id only."""
    best = [reference_extend_beams(model, ids, [beam], 1)[0] for beam in beams]
    return sorted(best, key=lambda beam: beam.log_probability, reverse=True)[:count]


def mistake_new_id_in_front(
    model: nn.Module, ids: Tensor, beams: list[Beam], count: int
) -> list[Beam]:
    """Mistake: the new id stands before the others."""
    extended = reference_extend_beams(model, ids, beams, count)
    return [beam._replace(ids=(beam.ids[-1], *beam.ids[:-1])) for beam in extended]


def mistake_sum_not_carried(
    model: nn.Module, ids: Tensor, beams: list[Beam], count: int
) -> list[Beam]:
    """Mistake: a beam forgets what its ids before the new one have cost."""
    candidates = [
        each._replace(beam=each.beam._replace(log_probability=each.new))
        for each in all_extensions(model, ids, beams)
    ]
    return select_top_beams(candidates, count)


def mistake_sums_multiplied(
    model: nn.Module, ids: Tensor, beams: list[Beam], count: int
) -> list[Beam]:
    """Mistake: a beam's sum is multiplied by the new log-probability."""
    candidates = [
        each._replace(beam=each.beam._replace(log_probability=each.before * each.new))
        for each in all_extensions(model, ids, beams)
    ]
    return select_top_beams(candidates, count)


def extend_beams_inputs() -> list[tuple]:
    """The first round, a later one with two beams, and one beyond the context."""
    model, start = ToyModel(4, context=3, dropout=0.0, scale=2.0), torch.tensor([1, 2])
    two = [Beam((3, 0), -0.9), Beam((1, 2), -1.1)]
    four = [Beam((2, id, 1), -1.5 - 0.4 * id) for id in range(4)]
    return [
        (model, start, [Beam((), 0.0)], 2),
        (model, start, two, 3),
        (model, torch.tensor([0]), four, 4),
    ]


extend_beams = Exercise(
    solution=reference_extend_beams,
    inputs=extend_beams_inputs,
    mistakes={
        "best of each beam": (
            mistake_best_of_each_beam,
            "Each of your beams goes on with its likeliest id alone. The second best of"
            " a good beam may be better than the best of another.",
        ),
        "sum not carried": (
            mistake_sum_not_carried,
            "You compare the new ids alone. Add each beam's own sum first.",
        ),
        "ranked by the new id": (
            lambda model, ids, beams, count: select_top_beams(
                all_extensions(model, ids, beams), count, key=lambda each: each.new
            ),
            "Your sums are right, but you ranked by the new id's log-probability.",
        ),
        "logits added": (
            lambda model, ids, beams, count: select_top_beams(
                all_extensions(model, ids, beams, normalize=lambda row: row), count
            ),
            "You added logits. Only log-probabilities of different rows can be"
            " compared: `log_softmax`.",
        ),
        "probabilities added": (
            lambda model, ids, beams, count: select_top_beams(
                all_extensions(
                    model, ids, beams, normalize=lambda row: row.softmax(-1)
                ),
                count,
            ),
            "You added probabilities. A product becomes a sum of *logarithms*.",
        ),
        "first position": (
            lambda model, ids, beams, count: select_top_beams(
                all_extensions(model, ids, beams, position=0), count
            ),
            "That is what follows the first id. Take the last row of the logits.",
        ),
        "the least likely": (
            lambda model, ids, beams, count: select_top_beams(
                all_extensions(model, ids, beams), count, descending=False
            ),
            "You kept the least likely: the largest sum comes first.",
        ),
        "in front": (
            mistake_new_id_in_front,
            "The new id comes *after* the others of its beam.",
        ),
        "all of them": (
            lambda model, ids, beams, count: reference_extend_beams(
                model, ids, beams, len(beams) * model.vocab_size
            ),
            "You gave back all candidates. Only the `count` likeliest go on.",
        ),
        "sums multiplied": (
            mistake_sums_multiplied,
            "You multiplied log-probabilities. Probabilities are multiplied; their"
            " logarithms are *added*.",
        ),
        "prompt repeated": (
            lambda model, ids, beams, count: [
                beam._replace(ids=(*ids.tolist(), *beam.ids))
                for beam in reference_extend_beams(model, ids, beams, count)
            ],
            "Your beams repeat the prompt: a beam's ids are those after it.",
        ),
        "one too few": (
            lambda model, ids, beams, count: reference_extend_beams(
                model, ids, beams, count - 1
            ),
            "You kept one beam less than `count`.",
        ),
    },
    praise="every beam with every id, and the best of them all.",
    part="extend_beams",
)
