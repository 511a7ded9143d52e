"""The exercises of lesson 03."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from gpt_lib.check.exercise import Exercise
from gpt_lib.check.shared_mistakes import (
    LOG_MISTAKES,
    PROBABILITIES_MESSAGE,
    build_into,
    mode_mistakes,
    observe_mode,
)
from gpt_lib.check.toys import StandInConfig, ToyModel


def decay_progress(step: int, config: StandInConfig) -> float:
    """0 at the end of the warm-up, 1 at the last step."""
    decay_steps = max(1, config.steps - 1 - config.warmup_steps)
    return min(1.0, (step - config.warmup_steps) / decay_steps)


def reference_learning_rate(step: int, config: StandInConfig) -> float:
    """Solution: linear warm-up, then half a cosine down to a fraction."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    progress = decay_progress(step, config)
    cosine = (1 + math.cos(math.pi * progress)) / 2
    fraction = config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine
    return config.learning_rate * fraction


def learning_rate_inputs() -> list[tuple]:
    """Steps within and after the warm-up, and the last one, in two schedules."""
    first = StandInConfig(
        steps=100, learning_rate=0.5, warmup_steps=10, final_lr_fraction=0.1
    )
    second = StandInConfig(
        steps=21, learning_rate=2.0, warmup_steps=0, final_lr_fraction=0.25
    )
    return [(step, first) for step in (0, 4, 9, 10, 40, 99)] + [
        (step, second) for step in (0, 10, 20)
    ]


def mistake_skip_warmup(step: int, config: StandInConfig) -> float:
    """Mistake: the cosine begins at the first step."""
    return reference_learning_rate(
        step, StandInConfig(**vars(config) | {"warmup_steps": 0})
    )


def mistake_rising_cosine(step: int, config: StandInConfig) -> float:
    """Mistake: the cosine is upside down."""
    if step < config.warmup_steps:
        return reference_learning_rate(step, config)
    highest = config.learning_rate
    lowest = highest * config.final_lr_fraction
    return highest + lowest - reference_learning_rate(step, config)


def mistake_linear_decay(step: int, config: StandInConfig) -> float:
    """Mistake: a straight line instead of the cosine."""
    if step < config.warmup_steps:
        return reference_learning_rate(step, config)
    progress = decay_progress(step, config)
    return config.learning_rate * (1 - (1 - config.final_lr_fraction) * progress)


def mistake_cosine_not_halved(step: int, config: StandInConfig) -> float:
    """Mistake: the cosine falls from 2 to 0."""
    if step < config.warmup_steps:
        return reference_learning_rate(step, config)
    cosine = 1 + math.cos(math.pi * decay_progress(step, config))
    lowest = config.learning_rate * config.final_lr_fraction
    return lowest + (config.learning_rate - lowest) * cosine


def mistake_end_never_reached(step: int, config: StandInConfig) -> float:
    """Mistake: the cosine would end one step after the last."""
    longer = StandInConfig(**vars(config) | {"steps": config.steps + 1})
    return reference_learning_rate(step, longer)


def mistake_two_steps_at_the_peak(step: int, config: StandInConfig) -> float:
    """Mistake: the last step of the warm-up has the highest rate already."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    return reference_learning_rate(step, config)


def mistake_warmup_from_zero(step: int, config: StandInConfig) -> float:
    """Mistake: step 0 has learning rate 0."""
    if step < config.warmup_steps:
        return config.learning_rate * step / (config.warmup_steps + 1)
    return reference_learning_rate(step, config)


learning_rate = Exercise(
    solution=reference_learning_rate,
    inputs=learning_rate_inputs,
    mistakes={
        "no warm-up": (
            mistake_skip_warmup,
            "There is no warm-up: step 0 is already at the highest rate, while the"
            " optimizer's averages are still noise.",
        ),
        "down to zero": (
            lambda step, config: reference_learning_rate(
                step, StandInConfig(**vars(config) | {"final_lr_fraction": 0.0})
            ),
            "Your rate falls to 0: the last steps do nothing. Let it end at"
            " final_lr_fraction of the highest rate.",
        ),
        "rising": (
            mistake_rising_cosine,
            "Your cosine is upside down: after the warm-up the rate should fall.",
        ),
        "not halved": (
            mistake_cosine_not_halved,
            "1 + cos goes from 2 to 0. Divide it by 2.",
        ),
        "end never reached": (
            mistake_end_never_reached,
            "Your rate has not quite fallen at the last step, which is `steps − 1`: the"
            " fall takes `steps − 1 − warmup_steps`.",
        ),
        "fraction only": (
            lambda step, config: (
                reference_learning_rate(step, config) / config.learning_rate
            ),
            "That is the fraction of the rate. Multiply by `config.learning_rate`.",
        ),
        "linear": (
            mistake_linear_decay,
            "Your rate falls in a straight line. Half a cosine stays high for longer"
            " and lands softly.",
        ),
        "cold start": (
            mistake_warmup_from_zero,
            "Step 0 has rate 0, so the first batch is read for nothing: use step + 1.",
        ),
        "two at the peak": (
            mistake_two_steps_at_the_peak,
            "Two steps have the highest rate: the warm-up ends one step before it, so"
            " divide by warmup_steps + 1.",
        ),
        "constant": (
            lambda step, config: reference_learning_rate(
                min(step, config.warmup_steps), config
            ),
            "After the warm-up your rate stays where it is. Let it fall.",
        ),
    },
    praise="a gentle start, a high middle, a soft landing.",
    part="learning_rate",
)


def weights_after_steps(step: Callable[..., Any], arguments: tuple) -> list[Tensor]:
    """The weights after three steps: what a training step does, not what it returns."""
    x, y, max_grad_norm = arguments
    model = ToyModel(dropout=0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        step(model, optimizer, x, y, max_grad_norm)
    return [parameter.detach().clone() for parameter in model.parameters()]


LossFunction = Callable[[Tensor, Tensor], Tensor]  # of logits (N, V), targets (N,)


def loss_of(
    model: nn.Module, x: Tensor, y: Tensor, loss: LossFunction = cross_entropy
) -> Tensor:
    """Mean loss of a batch (B, T), or another one."""
    return loss(model(x).flatten(0, 1), y.flatten())


def loss_of_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    """What comes of handing probabilities to `cross_entropy`."""
    return cross_entropy(logits.softmax(dim=-1), targets)


LossAndGradientNorm = tuple[Tensor, Tensor]


def training_step_variant(
    model: nn.Module,
    optimizer: Optimizer,
    x: Tensor,
    y: Tensor,
    max_grad_norm: float,
    zero_grad: bool = True,
    loss_function: LossFunction = cross_entropy,
) -> LossAndGradientNorm:
    """Loss, zero_grad, backward, clip, step."""
    loss = loss_of(model, x, y, loss_function)
    if zero_grad:
        optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    return loss.detach(), norm


def reference_training_step(
    model: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, max_grad_norm: float
) -> LossAndGradientNorm:
    """Solution: the five parts in their order."""
    return training_step_variant(model, optimizer, x, y, max_grad_norm)


def mistake_step_with_value_clipping(
    model: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, max_grad_norm: float
) -> LossAndGradientNorm:
    """Mistake: every number is clamped, which changes the direction."""
    loss = loss_of(model, x, y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), max_grad_norm)
    optimizer.step()
    return loss.detach(), torch.tensor(max_grad_norm)


def mistake_step_with_late_zero_grad(
    model: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, max_grad_norm: float
) -> LossAndGradientNorm:
    """Mistake: the new gradient is deleted before the step."""
    loss = loss_of(model, x, y)
    loss.backward()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    return loss.detach(), torch.tensor(0.0)


def mistake_step_twice(
    model: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, max_grad_norm: float
) -> LossAndGradientNorm:
    """Mistake: the optimizer steps twice with one gradient."""
    loss, norm = training_step_variant(model, optimizer, x, y, max_grad_norm)
    optimizer.step()
    return loss, norm


training_step = Exercise(
    solution=reference_training_step,
    inputs=lambda: [
        (torch.tensor([[0, 1, 2, 3]]), torch.tensor([[1, 2, 3, 4]]), 100.0),
        (torch.tensor([[4, 4], [2, 0]]), torch.tensor([[4, 1], [0, 3]]), 0.05),
    ],
    effect=weights_after_steps,
    mistakes={
        "weights never move": (
            mistake_step_with_late_zero_grad,
            "The weights never move. Is `optimizer.step()` there, `backward()` before"
            " it, and no `zero_grad()` between the two?",
        ),
        "no zero_grad": (
            lambda *arguments: training_step_variant(*arguments, zero_grad=False),
            "Old gradients are added to new ones: every step also repeats all earlier"
            " ones. Call `optimizer.zero_grad()` before `backward()`.",
        ),
        "no clipping": (
            lambda model, optimizer, x, y, max_grad_norm: training_step_variant(
                model, optimizer, x, y, 1e9
            ),
            "The gradient that `step()` uses is not clipped: one rare batch can undo"
            " the run. Clip after `backward()`, before which there is no gradient yet,"
            " and before `step()`.",
        ),
        "clipped by value": (
            mistake_step_with_value_clipping,
            "You clamp each number by itself, which changes the direction. Clip the"
            " length of the whole arrow: `clip_grad_norm_`.",
        ),
        "unshifted targets": (
            lambda model, optimizer, x, y, max_grad_norm: training_step_variant(
                model, optimizer, x, x, max_grad_norm
            ),
            "The targets are the inputs: the model learns to repeat what it reads.",
        ),
        "uphill": (
            lambda *arguments: training_step_variant(
                *arguments, loss_function=lambda *pair: -cross_entropy(*pair)
            ),
            "The loss grows: you step uphill, as if the loss were −loss.",
        ),
        "summed loss": (
            lambda *arguments: training_step_variant(
                *arguments, loss_function=partial(cross_entropy, reduction="sum")
            ),
            "Your loss is the sum over all targets, so the step grows with the batch."
            " The mean is asked for, which `cross_entropy` takes by itself.",
        ),
        "probabilities": (
            lambda *arguments: training_step_variant(
                *arguments, loss_function=loss_of_probabilities
            ),
            PROBABILITIES_MESSAGE,
        ),
        "two steps": (
            mistake_step_twice,
            "The optimizer steps twice each time: once is asked for.",
        ),
    },
    praise="the weights moved exactly as they should.",
    part="training_step",
)


WindowSums = list[tuple[float, int]]


def window_sums(
    model: nn.Module, ids: Tensor, context: int, loss: LossFunction = cross_entropy
) -> WindowSums:
    """(sum of losses, number of targets) of each window."""
    sums = []
    with torch.no_grad():
        for start in range(0, len(ids) - 1, context):
            window = ids[start : start + context + 1].long()
            count = len(window) - 1
            mean = loss(model(window[None, :-1])[0], window[1:]).item()
            sums.append((count * mean, count))
    return sums


def divide_once(sums: WindowSums) -> float:
    """The sum of all losses, divided by the number of all targets."""
    return sum(total for total, _ in sums) / sum(count for _, count in sums)


def evaluate_loss_variant(
    model: nn.Module,
    ids: Tensor,
    context: int,
    average: Callable[[WindowSums], float] = divide_once,
    loss: LossFunction = cross_entropy,
) -> float:
    """The loss of ids in windows, without dropout, in the model's own mode after."""
    was_training = model.training
    sums = window_sums(model.eval(), ids, context, loss)
    model.train(was_training)
    return average(sums)


def reference_evaluate_loss(model: nn.Module, ids: Tensor, context: int = 256) -> float:
    """Solution: the sum over all windows, divided once, with dropout off."""
    return evaluate_loss_variant(model, ids, model.context or context)


def mistake_average_window_means(
    model: nn.Module, ids: Tensor, context: int = 256
) -> float:
    """Mistake: a short window counts as much as a long one."""
    return evaluate_loss_variant(
        model,
        ids,
        context,
        lambda sums: sum(total / count for total, count in sums) / len(sums),
    )


def mistake_skip_last_window(
    model: nn.Module, ids: Tensor, context: int = 256
) -> float:
    """Mistake: only full windows are read."""
    count = (len(ids) - 1) // context  # of full windows
    return reference_evaluate_loss(model, ids[: count * context + 1], context)


def mistake_keep_dropout_on(model: nn.Module, ids: Tensor, context: int = 256) -> float:
    """Mistake: the model stays in training mode."""
    return divide_once(window_sums(model.train(), ids, context))


def mistake_read_as_one_window(
    model: nn.Module, ids: Tensor, context: int = 256
) -> float:
    """Mistake: everything is read as one window."""
    return evaluate_loss_variant(model, ids, len(ids))


def mistake_lose_boundary_targets(
    model: nn.Module, ids: Tensor, context: int = 256
) -> float:
    """Mistake: parts of `context` ids are cut first, so each loses one target."""
    model.eval()
    sums = [window_sums(model, part, context) for part in ids.split(context)]
    return divide_once([pair for part in sums for pair in part])


def evaluate_loss_inputs() -> list[tuple]:
    """Two texts whose last window is short, for models in either mode."""
    ids = torch.tensor([0, 1, 2, 3, 4, 3, 1, 0, 2, 2, 4])
    return [
        (ToyModel(), ids, 4),
        (ToyModel(), torch.arange(24) % 5, 8),
        (ToyModel().eval(), ids.flip(0), 4),
    ]


evaluate_loss = Exercise(
    solution=reference_evaluate_loss,
    inputs=evaluate_loss_inputs,
    observe=observe_mode("the loss"),
    mistakes={
        "mean of means": (
            mistake_average_window_means,
            "You averaged the means of the blocks, so a target in the short last block"
            " counts more than the others. Add up sums, divide once.",
        ),
        "rest dropped": (
            mistake_skip_last_window,
            "The end of the text is never read: the last, shorter block counts too.",
        ),
        "dropout left on": (
            mistake_keep_dropout_on,
            "Dropout is still on, so the model answers with half its features missing:"
            " `model.eval()` first.",
        ),
        "one block": (
            mistake_read_as_one_window,
            "You read the text as one long block. A model can look back `context` ids"
            " at most, so the blocks must not be longer.",
        ),
        "gaps": (
            mistake_lose_boundary_targets,
            "Between two blocks a target is lost. A block of T questions needs T + 1"
            " ids: its last one is also the first of the next block.",
        ),
        "sum": (
            lambda model, ids, context=256: evaluate_loss_variant(
                model, ids, context, lambda sums: sum(total for total, _ in sums)
            ),
            "That is the sum of all losses. Divide by the number of targets.",
        ),
        "divided by N": (
            lambda model, ids, context=256: (
                reference_evaluate_loss(model, ids, context) * (1 - 1 / len(ids))
            ),
            "You divided by the number of ids. The first one is never a target: N ids"
            " have N − 1 of them.",
        ),
        "probabilities": (
            lambda model, ids, context=256: evaluate_loss_variant(
                model, ids, context, loss=loss_of_probabilities
            ),
            PROBABILITIES_MESSAGE,
        ),
        **build_into(
            LOG_MISTAKES,
            lambda change: (
                lambda *arguments, **options: change(
                    reference_evaluate_loss(*arguments, **options)
                )
            ),
        ),
        **mode_mistakes(reference_evaluate_loss),
    },
    praise="every target once, each with the same weight, and no chance in it.",
    part="evaluate_loss",
)


def gradients_after_clipping(
    clip_gradients: Callable[..., Any], arguments: tuple
) -> list[Tensor]:
    """The gradients of a small layer after clipping."""
    scale, max_grad_norm = arguments
    model = nn.Linear(2, 2)
    model.weight.grad = scale * torch.tensor([[3.0, 0.0], [0.0, -4.0]])
    model.bias.grad = scale * torch.tensor([12.0, 0.0])
    clip_gradients(model, max_grad_norm)
    return [parameter.grad for parameter in model.parameters()]


def norm_of_gradients(model: nn.Module) -> Tensor:
    """The norm of all gradients together; 0 without any."""
    return torch.stack([torch.zeros(()), *norms_of_gradients(model)]).norm()


def norms_of_gradients(model: nn.Module) -> list[Tensor]:
    """The norm of each tensor's gradient."""
    return [p.grad.norm() for p in model.parameters() if p.grad is not None]


def scale_gradients(model: nn.Module, scale: float | Tensor) -> Tensor:
    """Scale all gradients by one number; their norm before that."""
    norm = norm_of_gradients(model)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_(scale)
    return norm


def clip_with_norm(model: nn.Module, max_grad_norm: float, norm: Tensor) -> Tensor:
    """Scale all gradients by `max_grad_norm` / `norm`, by 1 at most."""
    return scale_gradients(model, (max_grad_norm / norm).clamp(max=1.0))


def reference_clip_gradients(model: nn.Module, max_grad_norm: float) -> Tensor:
    """Solution: one norm and one scale for all gradients, never above one."""
    return clip_with_norm(model, max_grad_norm, norm_of_gradients(model))


def mistake_clip_each_tensor(model: nn.Module, max_grad_norm: float) -> Tensor:
    """Mistake: each tensor is clipped to the norm by itself."""
    norm = norm_of_gradients(model)
    for parameter in model.parameters():
        nn.utils.clip_grad_norm_([parameter], max_grad_norm)
    return norm


def mistake_clip_each_value(model: nn.Module, max_grad_norm: float) -> Tensor:
    """Mistake: each number is clamped by itself."""
    nn.utils.clip_grad_value_(model.parameters(), max_grad_norm)
    return torch.tensor(max_grad_norm)


def mistake_clip_to_norm_one(model: nn.Module, max_grad_norm: float) -> Tensor:
    """Mistake: the norm becomes 1, whatever `max_grad_norm` is."""
    return reference_clip_gradients(model, min(max_grad_norm, 1.0))


def mistake_clip_first_tensor_only(model: nn.Module, max_grad_norm: float) -> Tensor:
    """Mistake: only one of the gradients is scaled."""
    norm, first = norm_of_gradients(model), next(model.parameters())
    first.grad.mul_((max_grad_norm / norm).clamp(max=1.0))
    return norm


clip_gradients = Exercise(
    solution=reference_clip_gradients,
    inputs=lambda: [(1.0, 2.0), (1.0, 100.0), (0.01, 1.0)],
    effect=gradients_after_clipping,
    mistakes={
        "each tensor": (
            mistake_clip_each_tensor,
            "You clipped each parameter by itself. Their gradients are one arrow: its"
            " length is the root of the sum of all squares.",
        ),
        "each value": (
            mistake_clip_each_value,
            "You clamped each number, which turns the arrow. Scale all of them alike.",
        ),
        "always scaled": (
            lambda model, max_grad_norm: scale_gradients(
                model, max_grad_norm / norm_of_gradients(model)
            ),
            "You also *lengthen* short gradients to `max_grad_norm`. Leave those as"
            " they are: the scale is at most 1.",
        ),
        "to length one": (
            mistake_clip_to_norm_one,
            "You shortened to length 1, not to `max_grad_norm`.",
        ),
        "squared": (
            lambda model, max_grad_norm: clip_with_norm(
                model, max_grad_norm, norm_of_gradients(model).square()
            ),
            "You take the sum of all squares for the length: the root is missing.",
        ),
        "lengths added": (
            lambda model, max_grad_norm: clip_with_norm(
                model, max_grad_norm, sum(norms_of_gradients(model))
            ),
            "You added the lengths of the parts. The whole arrow's is the root of the"
            " sum of all *squares*.",
        ),
        "one tensor only": (
            mistake_clip_first_tensor_only,
            "Only the first parameter's gradient is scaled. All of them need it.",
        ),
    },
    praise="one arrow, one scale, its direction kept.",
    part="clip_gradients",
)
