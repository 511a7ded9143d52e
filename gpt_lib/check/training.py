"""The exercises of lesson 03."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gpt_lib.check.exercise import Exercise

Config = SimpleNamespace  # stands for a TrainingConfig: same fields


def scheduled(step: int, config: Config) -> float:
    """Solution: linear warm-up, then half a cosine down to a share."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - 1 - config.warmup)
    fall = (1 + math.cos(math.pi * done)) / 2
    return config.learning_rate * (config.final_share + (1 - config.final_share) * fall)


def schedule_inputs() -> list[tuple]:
    """Every kind of moment in two schedules."""
    first = Config(steps=100, learning_rate=0.5, warmup=10, final_share=0.1)
    second = Config(steps=21, learning_rate=2.0, warmup=0, final_share=0.25)
    return [(step, first) for step in (0, 4, 9, 10, 40, 99)] + [
        (step, second) for step in (0, 10, 20)
    ]


def without_warmup(step: int, config: Config) -> float:
    """Mistake: the cosine from the first step."""
    return scheduled(step, Config(**vars(config) | {"warmup": 0}))


def rising(step: int, config: Config) -> float:
    """Mistake: the cosine upside down."""
    if step < config.warmup:
        return scheduled(step, config)
    highest, lowest = config.learning_rate, config.learning_rate * config.final_share
    return highest + lowest - scheduled(step, config)


def linear(step: int, config: Config) -> float:
    """Mistake: a straight line instead of the cosine."""
    if step < config.warmup:
        return scheduled(step, config)
    done = (step - config.warmup) / max(1, config.steps - 1 - config.warmup)
    return config.learning_rate * (1 - (1 - config.final_share) * done)


def cold_start(step: int, config: Config) -> float:
    """Mistake: step 0 gets rate 0."""
    if step < config.warmup:
        return config.learning_rate * step / config.warmup
    return scheduled(step, config)


learning_rate = Exercise(
    solution=scheduled,
    inputs=schedule_inputs,
    mistakes={
        "no warm-up": (
            without_warmup,
            "There is no warm-up: step 0 is already at the highest rate, while the"
            " optimizer's averages are still noise.",
        ),
        "down to zero": (
            lambda step, config: scheduled(
                step, Config(**vars(config) | {"final_share": 0.0})
            ),
            "Your rate falls to 0: the last steps do nothing. Let it end at final_share"
            " of the highest rate.",
        ),
        "rising": (
            rising,
            "Your cosine is upside down: after the warm-up the rate should fall.",
        ),
        "linear": (
            linear,
            "Your rate falls in a straight line. Half a cosine stays high for longer"
            " and lands softly.",
        ),
        "cold start": (
            cold_start,
            "Step 0 has rate 0, so the first batch is read for nothing: use step + 1.",
        ),
        "constant": (
            lambda step, config: scheduled(min(step, config.warmup), config),
            "After the warm-up your rate stays where it is. Let it fall.",
        ),
    },
    praise="a gentle start, a high middle, a soft landing.",
    part="learning_rate",
    tolerance=1e-9,
)


class Reader(nn.Module):
    """A small model with dropout, so that a forgotten `eval()` shows."""

    def __init__(self, vocab_size: int = 5, dropout: float = 0.5) -> None:
        super().__init__()
        self.context, self.vocab_size = None, vocab_size
        self.embed = nn.Embedding(vocab_size, 8)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(8, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V); each place also sees the mean of the block so far."""
        seen = self.embed(ids)
        steps = torch.arange(1, ids.size(1) + 1)[:, None]
        return self.out(self.dropout(seen + seen.cumsum(1) / steps))


def take_steps(step: Callable[..., Any], arguments: tuple) -> list[Tensor]:
    """The weights after three steps: what a training step did, not what it says."""
    x, y, clip = arguments
    model = Reader(dropout=0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        step(model, optimizer, x, y, clip)
    return [parameter.detach().clone() for parameter in model.parameters()]


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean loss of a batch (B, T)."""
    return cross_entropy(model(x).flatten(0, 1), y.flatten())


Step = tuple[Tensor, Tensor]
Optimizer = torch.optim.Optimizer


def step_in_order(
    model: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, clip: float
) -> Step:
    """Solution: loss, zero_grad, backward, clip, step."""
    loss = loss_of(model, x, y)
    optimizer.zero_grad()
    loss.backward()
    length = nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.detach(), length


def keep_gradients(
    model: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, clip: float
) -> Step:
    """Mistake: no zero_grad."""
    loss = loss_of(model, x, y)
    loss.backward()
    length = nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.detach(), length


def clip_each_value(
    model: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, clip: float
) -> Step:
    """Mistake: every number is clamped, which turns the arrow."""
    loss = loss_of(model, x, y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), clip)
    optimizer.step()
    return loss.detach(), torch.tensor(clip)


def clear_too_late(
    model: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, clip: float
) -> Step:
    """Mistake: the fresh gradient is deleted before the step."""
    loss = loss_of(model, x, y)
    loss.backward()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    return loss.detach(), torch.tensor(0.0)


training_step = Exercise(
    solution=step_in_order,
    inputs=lambda: [
        (torch.tensor([[0, 1, 2, 3]]), torch.tensor([[1, 2, 3, 4]]), 100.0),
        (torch.tensor([[4, 4], [2, 0]]), torch.tensor([[4, 1], [0, 3]]), 0.05),
    ],
    observe=take_steps,
    mistakes={
        "no zero_grad": (
            keep_gradients,
            "Old gradients are added to new ones: every step also repeats all earlier"
            " ones. Call `optimizer.zero_grad()` before `backward()`.",
        ),
        "cleared too late": (
            clear_too_late,
            "The weights never move: `zero_grad()` between `backward()` and `step()`"
            " deletes the gradient you just computed.",
        ),
        "no clipping": (
            lambda model, optimizer, x, y, clip: step_in_order(
                model, optimizer, x, y, 1e9
            ),
            "The gradient is never clipped: one rare batch can undo the run. (Clipping"
            " before `backward()` clips nothing: there is no gradient yet.)",
        ),
        "clipped by value": (
            clip_each_value,
            "You clamp each number by itself, which changes the direction. Clip the"
            " length of the whole arrow: `clip_grad_norm_`.",
        ),
        "unshifted targets": (
            lambda model, optimizer, x, y, clip: step_in_order(
                model, optimizer, x, x, clip
            ),
            "The targets are the inputs: the model learns to repeat what it reads.",
        ),
        "uphill": (
            lambda model, optimizer, x, y, clip: go_uphill(
                model, optimizer, x, y, clip
            ),
            "The loss grows: you step along the gradient of −loss.",
        ),
    },
    praise="the weights moved exactly as they should.",
    part="training_step",
)


def go_uphill(
    model: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, clip: float
) -> Step:
    """Mistake: the sign of the loss."""
    loss = -loss_of(model, x, y)
    optimizer.zero_grad()
    loss.backward()
    length = nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.detach(), length


def block_sums(model: nn.Module, ids: Tensor, context: int) -> list[tuple[float, int]]:
    """(summed loss, number of targets) of each block."""
    sums = []
    with torch.no_grad():
        for start in range(0, len(ids) - 1, context):
            window = ids[start : start + context + 1]
            logits = model(window[None, :-1])[0]
            total = cross_entropy(logits, window[1:], reduction="sum").item()
            sums.append((total, len(window) - 1))
    return sums


def full_pass(model: nn.Module, ids: Tensor, context: int = 256) -> float:
    """Solution: sum over all blocks, one division, dropout off."""
    was_training = model.training
    sums = block_sums(model.eval(), ids, model.context or context)
    model.train(was_training)
    return sum(total for total, _ in sums) / (len(ids) - 1)


def mean_of_means(model: nn.Module, ids: Tensor, context: int = 256) -> float:
    """Mistake: a short block counts as much as a long one."""
    model.eval()
    sums = block_sums(model, ids, context)
    return sum(total / count for total, count in sums) / len(sums)


def without_rest(model: nn.Module, ids: Tensor, context: int = 256) -> float:
    """Mistake: only whole blocks are read."""
    whole = (len(ids) - 1) // context
    return full_pass(model, ids[: whole * context + 1], context)


def with_dropout(model: nn.Module, ids: Tensor, context: int = 256) -> float:
    """Mistake: the model is left in training mode."""
    sums = block_sums(model.train(), ids, context)
    return sum(total for total, _ in sums) / (len(ids) - 1)


def one_block(model: nn.Module, ids: Tensor, context: int = 256) -> float:
    """Mistake: everything is read as one block."""
    return full_pass(model, ids, len(ids))


def gapped(model: nn.Module, ids: Tensor, context: int = 256) -> float:
    """Mistake: blocks of `context` ids are cut first, so one target each is lost."""
    model.eval()
    sums = [block_sums(model, part, context) for part in ids.split(context)]
    scored = [pair for part in sums for pair in part]
    return sum(total for total, _ in scored) / sum(count for _, count in scored)


validation_loss = Exercise(
    solution=full_pass,
    inputs=lambda: [
        (Reader(), torch.tensor([0, 1, 2, 3, 4, 3, 1, 0, 2, 2, 4]), 4),
        (Reader(), torch.arange(24) % 5, 8),
    ],
    mistakes={
        "mean of means": (
            mean_of_means,
            "You averaged the means of the blocks, so a target in the short last block"
            " counts more than the others. Add up sums, divide once.",
        ),
        "rest dropped": (
            without_rest,
            "The end of the text is never read: the last, shorter block counts too.",
        ),
        "dropout left on": (
            with_dropout,
            "Dropout is still on, so the model answers with half its features missing:"
            " `model.eval()` first.",
        ),
        "one block": (
            one_block,
            "You read the text as one long block. A model can look back `context` ids"
            " at most, so the blocks must not be longer.",
        ),
        "gaps": (
            gapped,
            "Between two blocks a target is lost. A block of T questions needs T + 1"
            " ids: its last one is also the first of the next block.",
        ),
    },
    praise="every target once, each with the same weight, and no dice.",
    part="validation_loss",
)


def take_gradient(clip_gradient: Callable[..., Any], arguments: tuple) -> list[Tensor]:
    """The gradients after clipping."""
    scale, clip = arguments
    model = nn.Linear(2, 2)
    model.weight.grad = scale * torch.tensor([[3.0, 0.0], [0.0, -4.0]])
    model.bias.grad = scale * torch.tensor([12.0, 0.0])
    clip_gradient(model, clip)
    return [parameter.grad for parameter in model.parameters()]


def scale_gradients(model: nn.Module, clip: float, longest: float) -> Tensor:
    """Scale all gradients by one number, at most `longest`."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    length = torch.stack([gradient.norm() for gradient in gradients]).norm()
    for gradient in gradients:
        gradient.mul_((clip / length).clamp(max=longest))
    return length


def clip_whole(model: nn.Module, clip: float) -> Tensor:
    """Solution: one length, one scale, never above one."""
    return scale_gradients(model, clip, 1.0)


def clip_one_by_one(model: nn.Module, clip: float) -> Tensor:
    """Mistake: each tensor is its own arrow."""
    lengths = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    for parameter in model.parameters():
        nn.utils.clip_grad_norm_([parameter], clip)
    return torch.stack(lengths).norm()


def clamp_values(model: nn.Module, clip: float) -> Tensor:
    """Mistake: each number by itself."""
    nn.utils.clip_grad_value_(model.parameters(), clip)
    return torch.tensor(clip)


def divide_by_length(model: nn.Module, clip: float) -> Tensor:
    """Mistake: the length becomes 1, whatever `clip` says."""
    return scale_gradients(model, min(clip, 1.0), 1.0)


clip_gradient = Exercise(
    solution=clip_whole,
    inputs=lambda: [(1.0, 2.0), (1.0, 100.0), (0.01, 1.0)],
    observe=take_gradient,
    mistakes={
        "each tensor": (
            clip_one_by_one,
            "You clipped each parameter by itself. Their gradients are one arrow: its"
            " length is the root of the sum of all squares.",
        ),
        "each value": (
            clamp_values,
            "You clamped each number, which turns the arrow. Scale all of them alike.",
        ),
        "always scaled": (
            lambda model, clip: scale_gradients(model, clip, math.inf),
            "You also *lengthen* short gradients to `clip`. Leave those as they are:"
            " the scale is at most 1.",
        ),
        "to length one": (
            divide_by_length,
            "You shortened to length 1, not to `clip`.",
        ),
        "squared": (
            lambda model, clip: scale_gradients(
                model, clip**2 / clip_length(model), 1.0
            ),
            "You compare with the squared length: the root is missing.",
        ),
    },
    praise="one arrow, one scale, its direction kept.",
    part="clip_gradient",
)


def clip_length(model: nn.Module) -> Tensor:
    """The length of the whole gradient."""
    return torch.stack([p.grad.norm() for p in model.parameters()]).norm()
