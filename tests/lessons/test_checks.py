"""Every check of every lesson, and the engine behind them."""

import codecs
import heapq
import itertools
import json
import math
import re
import struct
from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import nbformat
import numpy as np
import pytest
import regex
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import cross_entropy

from gpt_lib import check
from gpt_lib.check import Exercise
from gpt_lib.course.export import code_cell_sources, lessons
from tests.lessons.exercise_defects import exercise_defects

EXERCISES = {
    (module, name): exercise
    for module in check.__all__
    if not module[0].isupper()
    for name, exercise in vars(getattr(check, module)).items()
    if isinstance(exercise, Exercise)
}
CHECK_CALL = re.compile(r"^check\.(\w+)\.(\w+)\((my_\w+)\)", re.MULTILINE)


@pytest.mark.parametrize("key", EXERCISES, ids=".".join)
def test_the_check_accepts_the_solution_and_names_each_mistake(key):
    assert exercise_defects(EXERCISES[key]) == []
    assert len(EXERCISES[key].mistakes) >= 3


def badly_named(key, exercise):
    """The functions of an exercise whose names do not tell what they are to it."""
    _, name = key
    expected = [
        (exercise.solution, f"reference_{name}$"),
        (exercise.inputs, f"{name}_inputs$|<lambda>$"),
        *((mistake, "mistake_|<lambda>$") for mistake, _ in exercise.mistakes.values()),
    ]
    return [f.__name__ for f, pattern in expected if not re.match(pattern, f.__name__)]


@pytest.mark.parametrize("key", EXERCISES, ids=".".join)
def test_names_in_a_check_tell_solution_inputs_and_mistakes_apart(key):
    assert badly_named(key, EXERCISES[key]) == []


def test_a_mistake_that_is_named_like_a_solution_is_found():
    def clip(): ...

    exercise = Exercise(clip, list, {"none": (clip, "Nothing is clipped.")}, "clipped")
    assert badly_named(("training", "clip"), exercise) == ["clip", "list", "clip"]


def check_calls():
    """(lesson, module, exercise, function) of every check that a lesson makes."""
    for path in lessons():
        for source in code_cell_sources(nbformat.read(path, as_version=4)):
            yield from ((path, *match) for match in CHECK_CALL.findall(source))


def test_every_exercise_is_set_in_its_lesson_and_each_lesson_has_some():
    calls = list(check_calls())
    assert {(module, name) for _, module, name, _ in calls} == set(EXERCISES)
    for path in lessons():
        in_lesson = [call for call in calls if call[0] == path]
        number, name = path.stem.split("_", 1)
        optional = number[-1].isalpha()  # such as 09b
        assert len(in_lesson) >= (1 if optional else 3), path.name
        assert {module for _, module, _, _ in in_lesson} == {name}


def folded_solution(notebook, function):
    """The folded text that solves an exercise, and the code in it."""
    sources = [c.source for c in notebook.cells if f"def {function}(" in c.source]
    [details] = [text for text in sources if "<summary>Solution</summary>" in text]
    [solution] = re.findall(r"```python\n(.*?)```", details, re.DOTALL)
    return details, solution.strip()


@pytest.mark.parametrize(
    "call", list(check_calls()), ids=lambda call: f"{call[1]}.{call[3]}"
)
def test_stub_hint_and_solution_are_in_the_lesson(call):
    path, module, name, function = call
    notebook = nbformat.read(path, as_version=4)
    exercise = EXERCISES[module, name]
    names = {"torch": torch, "nn": nn, "math": math, "cross_entropy": cross_entropy}
    names |= {"regex": regex, "re": re}
    [stub] = [
        c for c in code_cell_sources(notebook) if c.startswith(f"def {function}(")
    ]
    exec(stub, namespace := dict(names))
    assert exercise(namespace[function]).passed is None
    details, solution = folded_solution(notebook, function)
    assert "<summary>Hint</summary>" in details
    exec(solution, namespace := dict(names))
    assert exercise(namespace[function]).passed is True


# `Exercise` itself, on a small exercise


def double(x):
    return x * 2


def make_exercise(**changes):
    parts = {
        "solution": double,
        "inputs": lambda: [(torch.tensor([1.0, 2.0]),), (torch.tensor([[3.0]]),)],
        "mistakes": {
            "squared": (lambda x: x * x, "You squared it."),
            "added": (lambda x: x + 2, "You added two."),
        },
        "praise": "doubled.",
    }
    return Exercise(**parts | changes)


def test_a_good_exercise_has_no_faults():
    assert exercise_defects(make_exercise()) == []


class Lenient(Exercise):
    """A check that compares less than it should."""

    skip = ""

    def first_difference(self, yours, expected):
        message = super().first_difference(yours, expected)
        return None if message and self.skip in message else message


class BlindToNaN(Lenient):
    skip = "nan"


class BlindToShape(Lenient):
    skip = "shape"


class PassesStubs(Exercise):
    def __call__(self, attempt):
        outcomes = self.run(attempt)
        if all(outcome.result is None for outcome in outcomes):
            return check.Verdict(True, self.praise)
        return super().__call__(attempt)


class SwapsNames(Exercise):
    def __call__(self, attempt):
        verdict = super().__call__(attempt)
        wrong = {"squared": "added"}.get(verdict.mistake, verdict.mistake)
        return check.Verdict(verdict.passed, verdict.message, wrong)


@pytest.mark.parametrize(
    ("exercise", "fault"),
    [
        (make_exercise(solution=lambda x: None), "the solution does not pass"),
        (make_exercise(tolerance=1e9), "the mistake 'squared' passes"),
        (
            make_exercise(mistakes={"right": (double, "?")}),
            "the mistake 'right' passes",
        ),
        (
            make_exercise(
                mistakes={"one": (lambda x: -x, "1"), "two": (lambda x: 0 - x, "2")}
            ),
            "the mistake 'two' is reported as 'one'",
        ),
        (
            make_exercise(
                mistakes={"one": (lambda x: -x, "1"), "two": (lambda x: 0 - x, "2")}
            ),
            "'one' and 'two' look the same on the inputs",
        ),
        (
            make_exercise(inputs=lambda: [(torch.tensor([2.0]),)]),
            "the mistake 'squared' passes",
        ),
    ],
)
def test_a_faulty_exercise_is_caught(exercise, fault):
    assert fault in exercise_defects(exercise)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (BlindToNaN, "NaN passes"),
        (BlindToShape, "a wrong shape passes"),
        (PassesStubs, "an unedited stub is not recognised"),
        (SwapsNames, "the mistake 'squared' is reported as 'added'"),
    ],
)
def test_a_faulty_exercise_class_is_caught(kind, fault):
    exercise = make_exercise()
    parts = exercise.solution, exercise.inputs, exercise.mistakes, exercise.praise
    assert fault in exercise_defects(kind(*parts))


def documented_stub(x):
    """Says what to do."""
    ...


def forgets_return(x):
    y = x * 2  # noqa: F841


def raises(x):
    return x.nothing


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (documented_stub, "not attempted yet"),
        (forgets_return, "✗ It gives back None: is its `return` missing?"),
        (double, "✓ doubled."),
        (lambda x: x * x, "✗ You squared it.\n  input 1 of 2: at [0]: yours 1,"),
        (lambda x: x * 3, "✗ Not yet. Your numbers are 1.5 times the right ones.\n"
         "  input 1 of 2: at [0]: yours 3, expected 2"),
        (lambda x: (x * 2).tolist(), "✗ Not yet. It gives back a list instead of a"
         " tensor (2,).\n  input 1 of 2: yours is [2, 4], expected a tensor (2,)"),
        (lambda x: (x * 2)[:, None], "✗ Not yet. The numbers are right. One dimension"
         " of size 1 is too many.\n  input 1 of 2: your shape (2, 1), expected (2,)"),
        (lambda x: x > 1, "✗ Not yet. What is in your tensor is true or false, and"
         " should be real.\n  input 1 of 2: your numbers are torch.bool, expected"),
        (lambda: 1, "✗ Not yet. It is called with (x), and takes ().\n  input 1 of 2:"
         " yours raised TypeError"),
        (raises, "✗ Not yet. Line "),
        (lambda x: x * torch.nan, "✗ Not yet. 2 of 2 numbers are NaN, which comes of"),
        (torch.tensor([2.0, 4.0]), "✗ pass the function itself, not tensor([2., 4.])"),
    ],
)  # fmt: skip
def test_the_message_of_a_check(attempt, message):
    assert repr(make_exercise()(attempt)).startswith(message)


def test_the_line_of_an_error_is_shown():
    message = make_exercise()(raises).message
    number = raises.__code__.co_firstlineno + 1
    assert f"Line {number} raises an error: `return x.nothing`\n" in message
    assert "AttributeError: 'Tensor' object has no attribute 'nothing'" in message


def test_an_attempt_cannot_change_the_inputs():
    exercise = make_exercise()

    def in_place(x):
        return x.mul_(2)

    assert exercise(in_place).passed
    assert exercise(in_place).passed


def test_every_attempt_starts_from_the_same_random_state():
    exercise = make_exercise(solution=lambda x: x + torch.rand(1), mistakes={})
    assert exercise(lambda x: x + torch.rand(1)).passed
    torch.manual_seed(7)  # not the seed of a check
    before = torch.random.get_rng_state()
    exercise(double)
    assert torch.equal(before, torch.random.get_rng_state())


def reference_root(x):
    """A number that has a root, or a ValueError."""
    if x < 0:
        raise ValueError("below zero")
    return x**0.5


def mistake_root_of_one(x):
    raise KeyError(x)


ROOT = Exercise(
    reference_root,
    lambda: [(4.0,), (9.0,), (-1.0,)],
    {"key": (mistake_root_of_one, "You looked it up.")},
    "right.",
)


class OwnError(ValueError):
    pass


def raising(error, right=lambda x: x**0.5):
    def attempt(x):
        if x < 0:
            raise error
        return right(x)

    return attempt


def test_an_error_that_is_asked_for_may_be_one_derived_of_it():
    assert ROOT(raising(OwnError())).passed
    assert "a ValueError" in ROOT(raising(KeyError())).message
    message = ROOT(lambda x: abs(x) ** 0.5).message
    assert "Right on inputs 1 and 2. A ValueError is asked for, and nothing" in message


def test_errors_of_one_type_are_not_the_same_mistake():
    def looks_up(x):
        return {}["x"]

    assert ROOT(looks_up).mistake is None
    named = replace(ROOT, errors={"key": "KeyError: 4"})
    assert named(looks_up).mistake is None
    assert named(lambda x: {}[x]).mistake is None  # it says 9.0 of the second
    named = replace(ROOT, errors={"key": r"KeyError: -?\d"})
    assert named(lambda x: {}[x]).mistake == "key"
    assert named(looks_up).mistake is None


def test_the_check_shows_no_error_of_its_own():
    exercise = make_exercise(observe=lambda result, arguments: result.sum().item())
    assert exercise(double).passed
    for strange in ("text", [1, 2], 3.5, len):
        verdict = exercise(lambda x, strange=strange: strange)
        assert verdict.passed is False
        assert "raised" not in verdict.message
    assert "It gives back text instead of a tensor" in exercise(lambda x: "a").message
    assert exercise(lambda x: print(end="")).message.startswith("It gives back None")


def fill_with_two(x):
    x.fill_(2.0)


def effect_on_ones(function, arguments):
    x = torch.ones(*arguments)
    function(x)
    return x


FILL = Exercise(
    fill_with_two,
    lambda: [(2,), (3,)],
    {"three": (lambda x: x.fill_(3.0), "You filled with three.")},
    "filled.",
    effect=effect_on_ones,
)


def test_what_works_in_place_need_not_give_anything_back():
    assert FILL(lambda x: (x.add_(1), None)[1]).passed
    assert FILL(lambda x: x.add_(1)).passed
    assert FILL(lambda x: x.add_(2)).mistake == "three"
    message = FILL(lambda x: x + 1).message
    assert message.startswith("Not yet. It changes nothing: all that it should change")
    assert "You filled" not in message


PARTS = make_exercise(
    observe=lambda result, arguments: {
        "the sum": result.sum().item(),
        "the length": len(result),
    },
    mistakes={
        "squared": (lambda x: x * x, "You squared it."),
        "longer": (lambda x: torch.cat([2 * x, torch.zeros(1)]), "It is longer."),
    },
    inputs=lambda: [(torch.tensor([1.0, 2.0]),), (torch.tensor([3.0, 3.0]),)],
)


def test_of_several_observations_the_first_that_is_wrong_counts():
    assert PARTS(double).passed
    both = PARTS(lambda x: torch.cat([x * x, torch.zeros(1)]))
    assert both.mistake == "squared"
    assert both.message.endswith("the sum: yours 5, expected 6")
    length = PARTS(lambda x: torch.cat([torch.zeros(1), 2 * x]))
    assert length.mistake == "longer"
    assert length.message.endswith("the length: yours 3, expected 2")
    assert PARTS(lambda x: torch.cat([3 * x, torch.zeros(1)])).mistake is None


@pytest.mark.parametrize(
    ("yours", "expected", "message"),
    [
        (0.38521, 0.38524, "yours 0.38521, expected 0.38524"),
        (1 / 3, 1 / 3 + 1e-9, "yours 0.333333333, expected 0.333333334"),
        (2.0, 3.0, "yours 2, expected 3"),
        (816127, 816128, "yours 816127, expected 816128"),
        (torch.tensor(0.5), 0.25, "yours 0.5, expected 0.25"),
        (torch.tensor([1.0, 2.00001]), torch.tensor([1.0, 2.0]),
         "at [1]: yours 2.00001, expected 2"),
        ([1, 2], [1, 3], "yours [1, 2], expected [1, 3]"),
        ([0.1, 0.2], [0.1, 0.3], "in part 1 of the result, yours 0.2, expected 0.3"),
        ([(1, 0.5)], [(1, 0.25)],
         "in part 1 of part 0 of the result, yours 0.5, expected 0.25"),
        ((1,), (2,), "yours (1,), expected (2,)"),
    ],
)  # fmt: skip
def test_numbers_are_shown_with_the_digits_it_takes(yours, expected, message):
    exercise = Exercise(lambda: expected, lambda: [()], {}, "", tolerance=1e-12)
    verdict = exercise(lambda: yours)
    assert verdict.message.splitlines()[1] == f"  input 1 of 1: {message}"


# Right answers, each in another style than the lesson's solution


class DeviceError(ValueError):
    """An error of one's own."""


def device_or_own_error(requested, available):
    if requested and requested not in available:
        raise DeviceError(requested)
    return requested or next(iter(available))


def unigram_loss_by_loop(train, validation, vocab_size):
    counts = Counter(train.tolist())
    total = len(train) + vocab_size
    losses = [-math.log((counts[i] + 1) / total) for i in validation[1:].tolist()]
    return sum(losses) / len(losses)


def unigram_loss_by_cross_entropy(train, validation, vocab_size):
    logits = (train.bincount(minlength=vocab_size) + 1).log()
    rows = logits.expand(len(validation) - 1, -1)
    return cross_entropy(rows, validation[1:])


def counts_in_floats(ids, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for t in range(1, len(ids)):
        counts[ids[t - 1], ids[t]] += 1
    return counts


def counts_by_index_put(ids, vocab_size):
    counts, one = torch.zeros(vocab_size, vocab_size).long(), torch.tensor(1)
    return counts.index_put_((ids[:-1], ids[1:]), one, accumulate=True)


def counts_in_lists(ids, vocab_size):
    table = [[0] * vocab_size for _ in range(vocab_size)]
    for before, after in itertools.pairwise(ids.tolist()):
        table[before][after] += 1
    return torch.tensor(table)


def gradient_by_autograd(logits, targets):
    logits = logits.clone().requires_grad_()
    cross_entropy(logits, targets).backward()
    return logits.grad


def gradient_by_loop(logits, targets):
    rows = []
    for row, target in zip(logits, targets):
        p = row.softmax(0)
        p[target] -= 1
        rows.append(p / len(targets))
    return torch.stack(rows)


def temperature_with_a_mask(logits, temperature=1.0):
    if temperature < 0:
        raise DeviceError("below zero")
    if temperature == 0:
        return functional.one_hot(logits.argmax(), len(logits))  # whole numbers
    return functional.softmax(logits.double() / temperature, dim=0)


def rate_by_torch(step, config):
    if step < config.warmup_steps:
        return (
            torch.tensor(config.learning_rate) * (step + 1) / (config.warmup_steps + 1)
        )
    progress = torch.tensor(
        (step - config.warmup_steps) / (config.steps - 1 - config.warmup_steps)
    )
    cosine = (1 + torch.cos(torch.pi * progress)) / 2
    lowest = config.final_lr_fraction * config.learning_rate
    return lowest + (config.learning_rate - lowest) * cosine


def rate_by_numpy(step, config):
    peak, w = config.learning_rate, config.warmup_steps
    if step < w:
        return np.float32(peak * (step + 1) / (w + 1))
    x = np.float32(math.pi * (step - w) / (config.steps - 1 - w))
    fraction = config.final_lr_fraction
    return peak * (fraction + (1 - fraction) * np.cos(x / 2) ** 2)


def step_without_result(model, optimizer, x, y, max_grad_norm):
    for parameter in model.parameters():
        parameter.grad = None
    log_probabilities = model(x).log_softmax(dim=-1)
    functional.nll_loss(log_probabilities.transpose(1, 2), y).backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()


def step_with_own_clipping(model, optimizer, x, y, max_grad_norm):
    optimizer.zero_grad()
    logits = model(x)
    loss = -logits.log_softmax(-1).gather(-1, y[..., None]).mean()
    loss.backward()
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    if norm > max_grad_norm:
        for p in model.parameters():
            p.grad *= max_grad_norm / norm
    optimizer.step()
    return loss.item(), norm.item()


def step_clears_at_the_end(model, optimizer, x, y, max_grad_norm):
    loss = cross_entropy(model(x).view(-1, model.vocab_size), y.view(-1))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return loss


@torch.no_grad()
def loss_by_weighted_means(model, ids, context):
    was_training = model.training
    model.eval()
    try:
        total, count = torch.zeros(()).double(), 0
        for start in range(0, len(ids) - 1, context):
            x = ids[start : start + context][: len(ids) - 1 - start]
            y = ids[start + 1 : start + context + 1]
            total += cross_entropy(model(x[None])[0], y).double() * len(y)
            count += len(y)
    finally:
        model.train(was_training)
    return total / count


def loss_by_single_targets(model, ids, context):
    was_training, losses = model.training, []
    model.eval()
    for start in range(0, len(ids) - 1, context):
        block = ids[start : start + context + 1].tolist()
        rows = model(torch.tensor([block[:-1]]))[0].log_softmax(-1).tolist()
        losses += [-row[target] for row, target in zip(rows, block[1:])]
    model.train(was_training)
    return np.mean(losses)


def clip_and_rebind(model, max_grad_norm):
    parameters = [p for p in model.parameters() if p.grad is not None]
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in parameters))
    for p in parameters:
        p.grad = p.grad * min(1, max_grad_norm / (norm + 1e-6))


def clip_by_pytorch(model, max_grad_norm):
    return nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)


def past_mean_by_loop(x):
    out = torch.zeros_like(x)
    for t in range(x.shape[1]):
        out[:, t] = x[:, : t + 1].mean(dim=1)
    return out


def past_mean_by_einsum(x):
    weights = torch.ones(x.size(1), x.size(1)).tril()
    weights = functional.normalize(weights, p=1, dim=1)
    return torch.einsum("ts,bsc->btc", weights, x)


def causal_softmax_by_rows(scores):
    weights = torch.zeros_like(scores)
    for t in range(scores.size(-1)):
        weights[..., t, : t + 1] = scores[..., t, : t + 1].softmax(dim=-1)
    return weights


def causal_softmax_by_logsumexp(scores):
    T = scores.size(-1)
    mask = torch.full((T, T), float("-inf")).triu(1)
    masked = scores + mask
    return (masked - masked.logsumexp(-1, keepdim=True)).exp()


def causal_softmax_with_smallest_number(scores):
    allowed = torch.ones_like(scores).tril().bool()
    return functional.softmax(
        scores.where(allowed, torch.finfo(scores.dtype).min), dim=-1
    )


def fading_mean_by_recursion(x, fade):
    total, weight, rows = torch.zeros_like(x[:, 0]), 0.0, []
    for t in range(x.size(1)):
        total = math.exp(-fade) * total + x[:, t]
        weight = math.exp(-fade) * weight + 1
        rows.append(total / weight)
    return torch.stack(rows, dim=1)


def fading_mean_by_normalizing(x, fade):
    t = torch.arange(x.size(1))
    weights = torch.exp(-fade * (t[:, None] - t).clamp(min=0)).tril()
    return (weights / weights.sum(1, keepdim=True)) @ x


def weights_by_einsum(q, k):
    scores = torch.einsum("...th,...sh->...ts", q, k) / math.sqrt(q.shape[-1])
    future = torch.triu(torch.ones_like(scores), diagonal=1) == 1
    return torch.softmax(scores.masked_fill(future, float("-inf")), -1)


def weights_by_pytorch(q, k):
    identity = torch.eye(k.size(-2)).expand(*k.shape[:-1], k.size(-2))
    return functional.scaled_dot_product_attention(q, k, identity, is_causal=True)


def weights_in_doubles(q, k):
    q, k = q.double() / q.size(-1) ** 0.25, k.double() / k.size(-1) ** 0.25
    scores = q @ k.transpose(-2, -1)
    scores = scores + torch.full_like(scores, -math.inf).triu(1)
    exponentials = (scores - scores.amax(-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(-1, keepdim=True)


def weights_by_logsumexp(q, k):
    scores = (q @ k.mT) * k.size(-1) ** -0.5
    scores = scores.masked_fill(torch.ones_like(scores).triu(1) > 0, -torch.inf)
    return (scores - scores.logsumexp(-1, keepdim=True)).exp()


def head_by_loops(x, query, key, value):
    q, k, v = x @ query, x @ key, x @ value
    out = torch.zeros_like(q)
    for b in range(len(x)):
        for t in range(x.size(1)):
            scores = k[b, : t + 1] @ q[b, t] / math.sqrt(key.size(1))
            out[b, t] = scores.softmax(0) @ v[b, : t + 1]
    return out


def leak_by_all_other_ids(model, ids):
    was_training = model.training
    model.eval()
    logits, largest = model(ids), torch.tensor(0.0)
    for t in range(1, ids.size(1)):
        for offset in range(1, model.vocab_size):
            changed = ids.clone()
            changed[:, t] = (changed[:, t] + offset) % model.vocab_size
            change = (model(changed) - logits)[:, :t].abs().max()
            largest = torch.maximum(largest, change)
    model.train(was_training)
    return largest


def leak_by_two_more(model, ids):
    was_training, leaks = model.training, []
    model.eval()
    for t in range(1, ids.size(1)):
        changed = ids.clone()
        changed[:, t] = (ids[:, t] + 2) % model.vocab_size
        leaks.append((model(changed)[:, :t] - model(ids)[:, :t]).abs().max().item())
    model.train(was_training)
    return max(leaks)


def leak_by_gradually_new_suffix(model, ids):
    was_training = model.training
    model.eval()
    leaks = [
        (
            model(torch.cat([ids[:, :t], (ids[:, t:] + 1) % model.vocab_size], 1))
            - model(ids)
        )[:, :t]
        .abs()
        .max()
        .item()
        for t in range(1, ids.size(1))
    ]
    model.train(was_training)
    return np.float32(max(leaks))


def norm_by_rsqrt(x, weight, bias, eps):
    centred = x - x.mean(-1, keepdim=True)
    return torch.addcmul(
        bias, centred * (centred.pow(2).mean(-1, keepdim=True) + eps).rsqrt(), weight
    )


def block_by_names(x, attention, mlp, attention_norm, mlp_norm):
    after_attention = torch.add(x, attention(attention_norm(x)))
    return torch.add(mlp(mlp_norm(after_attention)), after_attention)


def dropout_by_bernoulli(x, p, training):
    if not training or p == 0:
        return x
    keep = torch.bernoulli(torch.full_like(x, 1 - p))
    return torch.where(keep.bool(), x / (1 - p), torch.zeros(()))


def gelu_by_loop(x):
    values = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x.flatten().tolist()]
    return torch.tensor(values, dtype=torch.float64).view(x.shape)


def parameter_count_by_sum(config):
    C = config.width
    parts = [config.vocab_size * C, config.context * C]
    for _ in range(config.depth):
        parts += [2 * C, 2 * C, C * 3 * C, C * C, C * 4 * C, 4 * C, 4 * C * C, C]
    return float(np.sum([*parts, 2 * C, C * config.vocab_size]))


def loss_by_gather(model, windows):
    log_probabilities = model(windows[:, :-1]).double().log_softmax(-1)
    return -log_probabilities.gather(-1, windows[:, 1:, None]).mean()


def loss_by_rows(model, windows):
    losses = [cross_entropy(model(w[None, :-1])[0], w[1:]) for w in windows]
    return (sum(losses) / len(losses)).item()


def log_distributions_by_windows(model, ids):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        first = model(ids[None, : min(model.context, len(ids) - 1)])[0]
        rows = list(first) + [
            model(ids[None, t - model.context : t])[0, -1]
            for t in range(model.context + 1, len(ids))
        ]
    model.train(was_training)
    logits = torch.stack(rows).double()
    return logits - logits.logsumexp(dim=1, keepdim=True)


def log_distributions_by_logarithm(model, ids):
    was_training, rows = model.training, []
    model.eval()
    for t in range(len(ids) - 1):
        past = ids[: t + 1][-model.context :].unsqueeze(0)
        rows.append(torch.log(functional.softmax(model(past)[:, -1], dim=-1)))
    model.train(was_training)
    return torch.cat(rows)


def sample_by_running_sum(probabilities, u):
    total = 0.0
    for id in sorted(range(len(probabilities)), key=lambda i: -probabilities[i]):
        total += probabilities[id].item()
        if u < total:
            return id
    return id


def sample_by_search(probabilities, u):
    order = torch.argsort(probabilities, descending=True, stable=True)
    ends = probabilities[order].cumsum(0)
    return order[torch.searchsorted(ends, torch.tensor(u), right=True)]


def top_p_by_loop(logits, p):
    result = torch.full_like(logits, float("-inf"))
    for row, (out, probabilities) in enumerate(zip(result, logits.softmax(-1))):
        covered = 0.0
        for id in probabilities.argsort(descending=True).tolist():
            if covered >= p:
                break
            out[id] = logits[row, id]
            covered += probabilities[id].item()
    return result


def top_p_by_mask(logits, p):
    ordered, indices = torch.sort(logits, descending=True)
    remove = ordered.softmax(-1).cumsum(-1) >= p
    remove[:, 1:] = remove[:, :-1].clone()
    remove[:, 0] = False
    return logits.masked_fill(remove.gather(1, indices.argsort(1)), -float("inf"))


def penalty_by_set(logits, ids, penalty):
    out = logits.double().clone()
    for id in set(ids.tolist()):
        out[id] = out[id] / penalty if out[id] > 0 else out[id] * penalty
    return out


def penalty_by_mask(logits, ids, penalty):
    said = torch.zeros_like(logits).index_fill(0, ids, 1.0).bool()
    smaller = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(said, smaller, logits)


def same_draw_as_list(logits, u):
    probabilities = (logits / 0.2).softmax(0)
    ranked, order = logits.softmax(0).sort(descending=True)
    count = int((ranked.cumsum(0) < 0.5).sum()) + 1
    nucleus = torch.zeros_like(logits)
    nucleus[order[:count]] = ranked[:count] / ranked[:count].sum()
    return [sample_by_search(row, u) for row in (probabilities, nucleus)]


def next_logits_by_no_grad(model, ids):
    mode = model.training
    model.eval()
    with torch.no_grad():
        out = model(ids[..., -model.context :])
    if mode:
        model.train()
    return out[:, [-1], :].squeeze(1)


def beams_by_heap(model, ids, beams, count):
    candidates = []
    with torch.no_grad():
        for beam in beams:
            text = ids.tolist() + list(beam.ids)
            logits = model(torch.tensor([text[-model.context :]]))[0, -1]
            row = torch.log(logits.softmax(-1)) + beam.log_probability
            candidates += [(row[i], [*beam.ids, i]) for i in range(len(row))]
    best = heapq.nlargest(count, candidates, key=lambda pair: pair[0])
    return ((ids, total) for total, ids in best)


def beams_by_topk(model, ids, beams, count):
    rows = torch.stack([torch.cat([ids, torch.tensor(b.ids).long()]) for b in beams])
    totals = model(rows[:, -model.context :])[:, -1].log_softmax(-1)
    totals = totals + torch.tensor([b.log_probability for b in beams])[:, None]
    best = totals.flatten().topk(count)
    V = totals.size(1)
    return [
        ((*beams[i // V].ids, i % V), value)
        for value, i in zip(best.values.tolist(), best.indices.tolist())
    ]


def header_by_struct(data):
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:][:length].decode())
    header.pop("__metadata__", None)
    return header.keys()


def header_as_generator(data):
    size = sum(byte << 8 * place for place, byte in enumerate(data[:8]))
    for name in json.loads(str(data[8 : 8 + size], "utf-8")):
        if not name.startswith("__"):
            yield name


def save_by_backup(disk, data):
    disk.write("unfinished", data)
    disk.rename("unfinished", "model")


def keep_by_loop(losses):
    best = None
    for step, loss in losses.items():
        if loss is not None and (best is None or loss < losses[best]):
            best = step
    newest = sorted(losses, reverse=True)[:2]
    return tuple(sorted(set(newest) | ({best} if best is not None else set())))


def keep_as_tensor(losses):
    newest = heapq.nlargest(2, losses)
    known = {step: loss for step, loss in losses.items() if loss is not None}
    best = [min(known, key=known.get)] if known else []
    return torch.tensor(newest + best, dtype=torch.long).unique()


def bfloat16_by_pytorch(pattern):
    number = struct.unpack(">f", struct.pack(">I", pattern))[0]
    half = torch.tensor(number, dtype=torch.float32).bfloat16()
    return half.view(torch.int16).long() & 0xFFFF


def gradients_by_sums(model, x, y, micro_batches):
    for p in model.parameters():
        p.grad = None
    size = math.ceil(len(x) / micro_batches)
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        (cross_entropy(model(x[part]), y[part], reduction="sum") / len(x)).backward()


def gradients_by_autograd(model, x, y, micro_batches):
    parameters = list(model.parameters())
    totals = [torch.zeros_like(p) for p in parameters]
    for a, b in zip(x.chunk(micro_batches), y.chunk(micro_batches)):
        loss = cross_entropy(model(a), b, reduction="sum")
        for total, g in zip(totals, torch.autograd.grad(loss, parameters)):
            total += g
    for p, total in zip(parameters, totals):
        p.grad = total / len(x)
    return totals


def attend_by_einsum(query, keys, values):
    scores = torch.einsum("nqh,nth->nqt", query, keys) / math.sqrt(keys.shape[2])
    return torch.einsum("nqt,nth->nqh", scores.softmax(2), values)


def prefix_by_while(cached, ids):
    count = 0
    while count < min(len(cached), len(ids) - 1) and cached[count] == ids[count]:
        count += 1
    return torch.tensor(count)


def rotary_by_complex_numbers(x, angle):
    a, b = x.double().chunk(2, -1)
    turn = torch.polar(
        torch.ones(len(x), len(angle)).double(),
        torch.outer(torch.arange(len(x)).double(), angle.double()),
    )
    turned = torch.complex(a, b) * turn
    return torch.cat([turned.real, turned.imag], -1)


def rotary_by_rotate_half(x, angle):
    full = torch.cat([angle, angle]) * torch.arange(len(x)).unsqueeze(1)
    half = x.size(1) // 2
    rotated = torch.cat([-x[:, half:], x[:, :half]], dim=1)
    return x * full.cos() + rotated * full.sin()


def rotary_by_loop(x, angle):
    out, half = x.clone(), x.size(1) // 2
    for t in range(len(x)):
        for i in range(half):
            c, s = math.cos(t * angle[i]), math.sin(t * angle[i])
            out[t, i] = x[t, i] * c - x[t, i + half] * s
            out[t, i + half] = x[t, i + half] * c + x[t, i] * s
    return out


def repeat_by_expand(keys, heads):
    B, K, T, H = keys.shape
    return keys[:, :, None].expand(B, K, heads // K, T, H).reshape(B, heads, T, H)


def average_by_weights(gradients, beta):
    n = len(gradients)
    weights = [(1 - beta) * beta ** (n - 1 - i) for i in range(n)]
    return sum(w * g for w, g in zip(weights, gradients)) / sum(weights)


def newton_schulz_by_svd(x, a, b, c):
    u, s, v = torch.linalg.svd(x.double(), full_matrices=False)
    return u * (a * s + b * s**3 + c * s**5) @ v


def ngram_ids_by_horner(ids, length, base):
    numbers = []
    for start in range(len(ids) - length + 1):
        number = 0
        for id in ids[start : start + length].tolist():
            number = number * base + id
        numbers.append(number)
    return torch.tensor(numbers)


def ngram_ids_by_convolution(ids, length, base):
    kernel = torch.tensor([float(base**i) for i in reversed(range(length))])
    return functional.conv1d(ids.float()[None, None], kernel[None, None])[0, 0]


def interpolate_by_rows(counts, shorter, discount):
    if counts.dim() > 1:
        rows = [interpolate_by_rows(*pair, discount) for pair in zip(counts, shorter)]
        return torch.stack(rows)
    total = counts.sum().item()
    if total == 0:
        return shorter
    taken = sum(min(c, discount) for c in counts.tolist())
    return (counts - discount).relu() / total + taken / total * shorter


def continuations_by_sets(ids, vocab_size):
    before = [set() for _ in range(vocab_size)]
    for a, b in itertools.pairwise(ids.tolist()):
        before[b].add(a)
    return torch.tensor([float(len(s)) for s in before])


def encode_by_dict(text, vocabulary):
    ids = {character: id for id, character in enumerate(vocabulary)}
    if not set(text) <= set(ids):
        raise DeviceError("unknown")
    return torch.tensor([ids[c] for c in text], dtype=torch.long)


def random_batch_by_stacking(ids, batch_size, context):
    starts = torch.randint(0, len(ids) - context, (batch_size,)).tolist()
    x = torch.stack([ids[s : s + context] for s in starts])
    y = torch.stack([ids[s + 1 : s + context + 1] for s in starts])
    return x.long(), y.long()


def random_batch_by_numpy(ids, batch_size, context):
    generator = np.random.default_rng(1)
    starts = generator.integers(len(ids) - context, size=batch_size)
    windows = ids.unfold(0, context + 1, 1)[torch.as_tensor(starts)].long()
    return [windows[:, :-1], windows[:, 1:]]


def random_batch_by_permutation(ids, batch_size, context):
    count = len(ids) - context
    starts = torch.cat([torch.randperm(count) for _ in range(-(-batch_size // count))])
    positions = starts[:batch_size, None] + torch.arange(context)
    return ids.long()[positions], ids.long()[positions + 1]


def top_k_by_threshold(logits, k):
    k = min(k, logits.size(-1))
    smallest = logits.topk(k).values[..., -1:]
    return torch.where(logits < smallest, -torch.inf, logits)


def top_k_by_loop(logits, k):
    out = torch.full(logits.shape, -math.inf, dtype=torch.float64)
    for row, result in zip(logits, out):
        for id in sorted(range(len(row)), key=row.tolist().__getitem__)[-k:]:
            result[id] = row[id]
    return out


def merge_in_place(ids, pair, new_id):
    ids, i = list(ids), 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


def merge_by_recursion(ids, pair, new_id):
    if len(ids) < 2:
        return tuple(ids)
    if tuple(ids[:2]) == pair:
        return (new_id, *merge_by_recursion(ids[2:], pair, new_id))
    return (ids[0], *merge_by_recursion(ids[1:], pair, new_id))


def pair_counts_in_defaultdict(words):
    counts = defaultdict(int)
    for word in words:
        for i in range(len(word) - 1):
            counts[word[i], word[i + 1]] += words[word]
    return counts


def learn_by_sorting(words, count):
    merges = []
    while len(merges) < count:
        counts = pair_counts_in_defaultdict(words)
        if not counts:
            return merges
        merges.append(sorted(sorted(counts), key=counts.get, reverse=True)[0])
        merged = defaultdict(int)
        for word, n in words.items():
            merged[merge_by_recursion(word, merges[-1], 255 + len(merges))] += n
        words = merged
    return merges


def encode_merge_after_merge(text, pattern, ranks):
    """Every token of the vocabulary in its turn, wherever it can be made."""
    chunks = [[bytes([b]) for b in c.encode()] for c in regex.findall(pattern, text)]
    for token in sorted(ranks, key=ranks.get):
        for parts in chunks:
            i = 0
            while i < len(parts) - 1:
                if parts[i] + parts[i + 1] == token:
                    parts[i : i + 2] = [token]
                i += 1
    return [ranks[part] for parts in chunks for part in parts]


def decode_incrementally(ids, vocabulary):
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return "".join(decoder.decode(vocabulary[id]) for id in ids) + decoder.decode(
        b"", final=True
    )


def windows_until_empty(documents, context):
    windows = []
    for document in documents:
        rest = list(document)
        windows.append(rest[: context + 1])
        while len(rest := rest[context:]) > 1:
            windows.append(rest[: context + 1])
    return windows


def example_by_zip(window, context, pad_id):
    inputs, targets, mask = [], [], []
    for n in range(context):
        inputs.append(window[n] if n < len(window) else pad_id)
        targets.append(window[n + 1] if n + 1 < len(window) else pad_id)
        mask.append(n + 1 < len(window))
    return inputs, targets, mask


def hide_word_by_word(text):
    words = re.split(r"(\s+)", text)
    for n, word in enumerate(words):
        if word.startswith(("http://", "https://", "www.")):
            words[n] = "(website)" + word[len(word.rstrip(".,")) :]
    return "".join(words)


def cut_by_while(text, position):
    at = position or 1
    while at < len(text) and (text[at].strip() != "" or text[at - 1].strip() == ""):
        at += 1
    return at


def without_copies_by_a_loop(train, test, is_copy):
    rest = list(train)
    for other in test:
        rest = [text for text in rest if not is_copy(text, other)]
    return rest


def stop_by_waiting(train_losses, validation_losses, patience, evaluate_every):
    best, best_step, waited, step = float("inf"), 0, 0, 0
    for number, loss in enumerate(validation_losses):
        step = number * evaluate_every
        if loss < best:
            best, best_step, waited = loss, step, 0
        else:
            waited += 1
        if waited == patience:
            break
    return step, best_step


def stop_by_prefixes(train_losses, validation_losses, patience, evaluate_every):
    losses = torch.tensor(validation_losses, dtype=torch.float64)
    best = [int(losses[: n + 1].argmin()) for n in range(len(losses))]
    ends = [n for n in range(len(losses)) if n - best[n] >= patience]
    end = ends[0] if ends else len(losses) - 1
    return [end * evaluate_every, best[end] * evaluate_every]


RIGHT_ANSWERS = {
    "device.bytes_to_gib": {
        "a power of two": lambda size: size / 2**30,
        "a tensor": lambda size: torch.tensor(float(size)) / 1024**3,
        "a NumPy number": lambda size: np.float32(size) / 1024**3,
        "a fraction": lambda size: Fraction(size, 2**30),
    },
    "device.resolve_device": {
        "an error of its own": device_or_own_error,
        "list.index": lambda requested, available: available[
            available.index(requested) if requested else 0
        ],
    },
    "device.relative_error": {
        "a tensor": lambda ours, reference: (
            (ours - reference).abs().max() / reference.abs().max()
        ),
        "norms": lambda ours, reference: (
            torch.linalg.vector_norm(ours - reference, torch.inf)
            / torch.linalg.vector_norm(reference, torch.inf)
        ),
        "lists": lambda ours, reference: (
            max(map(abs, (ours - reference).flatten().tolist()))
            / max(map(abs, reference.flatten().tolist()))
        ),
    },
    "text.inputs_and_targets": {
        "a list": lambda window: [window[..., :-1], window[..., 1:]],
        "split": lambda window: (
            window.split([window.size(-1) - 1, 1], dim=-1)[0],
            window.split([1, window.size(-1) - 1], dim=-1)[1],
        ),
        "a generator": lambda window: (
            window[..., i : window.size(-1) - 1 + i] for i in (0, 1)
        ),
        "stacked": lambda window: torch.stack([window[..., :-1], window[..., 1:]]),
    },
    "text.train_validation_test_split": {
        "a list": lambda ids: [
            ids[int(len(ids) * 0.05) : int(len(ids) * 0.9)],
            ids[: int(len(ids) * 0.05)],
            ids[int(len(ids) * 0.9) :],
        ],
        "tensor_split": lambda ids: [
            ids.tensor_split([len(ids) // 20, 9 * len(ids) // 10])[i] for i in (1, 0, 2)
        ],
    },
    "text.unigram_loss": {
        "a loop": unigram_loss_by_loop,
        "cross_entropy, a tensor": unigram_loss_by_cross_entropy,
    },
    "text.encode": {
        "a loop": lambda text, vocabulary: [vocabulary.index(c) for c in text],
        "a dict, a tensor": encode_by_dict,
        "a generator": lambda text, vocabulary: (vocabulary.index(c) for c in text),
        "map": lambda text, vocabulary: map(vocabulary.index, text),
    },
    "text.decode": {
        "tolist": lambda ids, vocabulary: "".join(vocabulary[i] for i in ids.tolist()),
        "elements": lambda ids, vocabulary: "".join([vocabulary[i] for i in ids]),
        "a sum": lambda ids, vocabulary: "".join(map(vocabulary.__getitem__, ids)),
    },
    "text.random_batch": {
        "stacking": random_batch_by_stacking,
        "NumPy": random_batch_by_numpy,
        "permutations": random_batch_by_permutation,
    },
    "bigram.bigram_counts": {
        "floats": counts_in_floats,
        "index_put": counts_by_index_put,
        "lists": counts_in_lists,
        "bincount": lambda ids, V: (
            (ids[:-1] * V + ids[1:]).bincount(minlength=V * V).view(V, V)
        ),
        "one-hot": lambda ids, V: (
            functional.one_hot(ids[:-1], V).T @ functional.one_hot(ids[1:], V)
        ),
        "sparse": lambda ids, V: torch.sparse_coo_tensor(
            torch.stack([ids[:-1], ids[1:]]),
            torch.ones(len(ids) - 1),
            (V, V),
            check_invariants=True,
        ).coalesce(),
    },
    "bigram.bigram_probabilities": {
        "normalize": lambda counts, add: functional.normalize(
            counts + add, p=1.0, dim=1
        ),
        "rows": lambda counts, add: torch.stack(
            [(row + add) / (row + add).sum() for row in counts.double()]
        ),
        "transposed twice": lambda counts, add: (
            ((counts + add).T / (counts + add).sum(1)).T
        ),
    },
    "bigram.softmax": {
        "logsumexp": lambda logits: (logits - logits.logsumexp(-1, keepdim=True)).exp(),
        "torch": lambda logits: logits.softmax(-1),
        "doubles": lambda logits: torch.softmax(logits.double(), -1),
        "a logarithm": lambda logits: logits.log_softmax(-1).exp(),
    },
    "bigram.gradient": {"autograd": gradient_by_autograd, "a loop": gradient_by_loop},
    "bigram.softmax_with_temperature": {"whole numbers": temperature_with_a_mask},
    "training.learning_rate": {"torch.cos": rate_by_torch, "np.cos": rate_by_numpy},
    "training.training_step": {
        "no result": step_without_result,
        "own clipping": step_with_own_clipping,
        "cleared at the end": step_clears_at_the_end,
    },
    "training.evaluate_loss": {
        "weighted means": loss_by_weighted_means,
        "single targets": loss_by_single_targets,
    },
    "training.clip_gradients": {
        "a new tensor": clip_and_rebind,
        "PyTorch's": clip_by_pytorch,
    },
    "averaging.past_mean": {
        "a loop": past_mean_by_loop,
        "einsum": past_mean_by_einsum,
        "a matrix": lambda x: (
            (
                torch.ones(x.size(1), x.size(1)).tril()
                / torch.arange(1.0, x.size(1) + 1)[:, None]
            )
            @ x
        ),
    },
    "averaging.causal_softmax": {
        "rows": causal_softmax_by_rows,
        "logsumexp": causal_softmax_by_logsumexp,
        "the smallest number": causal_softmax_with_smallest_number,
    },
    "averaging.fading_mean": {
        "a recursion": fading_mean_by_recursion,
        "normalized": fading_mean_by_normalizing,
    },
    "attention.attention_weights": {
        "einsum": weights_by_einsum,
        "PyTorch's": weights_by_pytorch,
        "doubles": weights_in_doubles,
        "logsumexp": weights_by_logsumexp,
    },
    "attention.head": {
        "loops": head_by_loops,
        "PyTorch's": lambda x, query, key, value: (
            functional.scaled_dot_product_attention(
                x @ query, x @ key, functional.linear(x, value.T), is_causal=True
            )
        ),
    },
    "attention.future_leak": {
        "all other ids": leak_by_all_other_ids,
        "two more": leak_by_two_more,
        "all that follows": leak_by_gradually_new_suffix,
    },
    "heads.split_heads": {
        "chunks": lambda x, heads: torch.stack(x.chunk(heads, dim=-1), dim=1),
        "unflatten": lambda x, heads: x.unflatten(-1, (heads, -1)).permute(0, 2, 1, 3),
    },
    "heads.merge_heads": {
        "cat": lambda x: torch.cat(list(x.unbind(dim=1)), dim=-1),
        "flatten": lambda x: x.permute(0, 2, 1, 3).flatten(2),
    },
    "heads.embed_and_mix": {
        "functional.embedding": lambda ids, embed, position_embedding, mix: mix(
            functional.embedding(ids, embed)
            + functional.embedding(torch.arange(ids.shape[1]), position_embedding)
        ),
        "one-hot": lambda ids, embed, position_embedding, mix: mix(
            functional.one_hot(ids, len(embed)).float() @ embed
            + position_embedding[: ids.shape[1]].expand(len(ids), -1, -1)
        ),
    },
    "block.layer_norm": {
        "PyTorch's": lambda x, weight, bias, eps: functional.layer_norm(
            x, x.shape[-1:], weight, bias, eps
        ),
        "rsqrt": norm_by_rsqrt,
        "doubles": lambda x, weight, bias, eps: norm_by_rsqrt(
            x.double(), weight.double(), bias.double(), eps
        ),
    },
    "block.block": {"add": block_by_names},
    "block.dropout": {
        "bernoulli": dropout_by_bernoulli,
        "PyTorch's": lambda x, p, training: functional.dropout(x, p, training),
        "rand": lambda x, p, training: (
            torch.where(torch.rand(x.shape) < p, 0.0, x / (1 - p)) if training else x
        ),
    },
    "block.gelu": {
        "PyTorch's": lambda x: functional.gelu(x),
        "a loop": gelu_by_loop,
        "a distribution": lambda x: x * torch.distributions.Normal(0, 1).cdf(x),
        "ndtr": lambda x: x * torch.special.ndtr(x),
    },
    "gpt.parameter_count": {"a float": parameter_count_by_sum},
    "gpt.next_token_loss": {"gather": loss_by_gather, "rows": loss_by_rows},
    "gpt.next_token_log_distributions": {
        "windows": log_distributions_by_windows,
        "a logarithm": log_distributions_by_logarithm,
    },
    "generation.sample_at_uniform": {
        "a running sum": sample_by_running_sum,
        "a search": sample_by_search,
    },
    "generation.keep_top_p": {"a loop": top_p_by_loop, "a mask": top_p_by_mask},
    "generation.keep_top_k": {
        "a threshold": top_k_by_threshold,
        "a loop": top_k_by_loop,
        "scatter": lambda logits, k: torch.full_like(logits, -torch.inf).scatter(
            -1,
            *reversed(logits.topk(min(k, logits.size(-1)))),
        ),
    },
    "generation.penalize_repetition": {
        "a set": penalty_by_set,
        "a mask": penalty_by_mask,
    },
    "generation.ids_at_low_temperature_and_top_p": {"a list": same_draw_as_list},
    "generation.next_logits": {"no_grad": next_logits_by_no_grad},
    "beam.extend_beams": {"a heap": beams_by_heap, "topk": beams_by_topk},
    "checkpoints.header_tensor_names": {
        "struct": header_by_struct,
        "a generator": header_as_generator,
    },
    "checkpoints.save_atomically": {"another name": save_by_backup},
    "checkpoints.steps_to_keep": {"a tuple": keep_by_loop, "a tensor": keep_as_tensor},
    "speed.arithmetic_intensity": {
        "sides": lambda n, k, m, size: 2 / size / (1 / n + 1 / k + 1 / m),
        "a fraction": lambda n, k, m, size: Fraction(
            2 * n * k * m, size * (n * k + k * m + n * m)
        ),
    },
    "speed.round_bits_to_bfloat16": {
        "a sum": lambda bits: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16,
        "PyTorch's": bfloat16_by_pytorch,
    },
    "speed.accumulated_gradients": {
        "sums": gradients_by_sums,
        "autograd.grad": gradients_by_autograd,
    },
    "cache.attend": {
        "einsum": attend_by_einsum,
        "PyTorch's": lambda query, keys, values: (
            functional.scaled_dot_product_attention(query, keys, values)
        ),
    },
    "cache.cache_bytes": {
        "a float": lambda *shape: 4.0 * math.prod(shape),
        "NumPy": lambda *shape: np.prod(shape, dtype=np.int64) * 4,
    },
    "cache.cached_prefix_length": {
        "slices": lambda cached, ids: max(
            n for n in range(len(ids)) if cached[:n] == ids[:n] and n <= len(cached)
        ),
        "takewhile": lambda cached, ids: sum(
            1
            for _ in itertools.takewhile(lambda p: p[0] == p[1], zip(cached, ids[:-1]))
        ),
        "a tensor": prefix_by_while,
    },
    "compiled.break_even": {
        "NumPy": lambda compile_seconds, eager, compiled: (
            np.float64(compile_seconds) / (eager - compiled)
            if compiled < eager
            else np.inf
        ),
        "a tensor": lambda compile_seconds, eager, compiled: (
            torch.tensor(compile_seconds).double() / max(0.0, eager - compiled)
        ),
    },
    "modern.rms_norm": {
        "PyTorch's": lambda x: functional.rms_norm(x, x.shape[-1:]),
        "normalize": lambda x: functional.normalize(x, dim=-1) * math.sqrt(x.size(-1)),
        "rsqrt": lambda x: x * (x * x).mean(-1, keepdim=True).add(1e-6).rsqrt(),
    },
    "modern.apply_rotary": {
        "complex numbers": rotary_by_complex_numbers,
        "rotate half": rotary_by_rotate_half,
        "a loop": rotary_by_loop,
    },
    "modern.repeat_kv": {
        "expand": repeat_by_expand,
        "an index": lambda keys, heads: keys[
            :, torch.arange(heads) // (heads // keys.size(1))
        ],
    },
    "muon.bias_corrected_average": {"weights": average_by_weights},
    "muon.newton_schulz_step": {
        "singular values": newton_schulz_by_svd,
        "Horner": lambda x, a, b, c: a * x + x @ x.T @ (b * x + c * (x @ x.T @ x)),
    },
    "muon.lr_fraction": {
        "np.interp": lambda progress, warmup, decay_start: np.interp(
            progress, [0, warmup, decay_start, 1], [0, 1, 1, 0]
        ),
        "min": lambda progress, warmup, decay_start: min(
            progress / warmup, 1, (1 - progress) / (1 - decay_start)
        ),
        "a tensor": lambda progress, warmup, decay_start: torch.tensor(
            [progress / warmup, 1.0, (1 - progress) / (1 - decay_start)]
        ).amin(),
    },
    "race.ngram_ids": {
        "Horner": ngram_ids_by_horner,
        "conv1d": ngram_ids_by_convolution,
    },
    "race.interpolate_with_shorter_context": {"rows": interpolate_by_rows},
    "race.continuation_counts": {
        "sets": continuations_by_sets,
        "a table": lambda ids, V: (counts_by_index_put(ids, V) > 0).sum(0),
    },
    "tokens.merge_pair": {"in place": merge_in_place, "a tuple": merge_by_recursion},
    "tokens.pair_counts": {
        "Counter": lambda words: Counter(
            pair for w, n in words.items() for pair in pairwise(w) for _ in range(n)
        ),
        "defaultdict": pair_counts_in_defaultdict,
    },
    "tokens.learn_merges": {"sorted": learn_by_sorting},
    "tokens.encode": {
        "merge after merge": encode_merge_after_merge,
        "a tensor": lambda text, pattern, ranks: torch.tensor(
            encode_merge_after_merge(text, pattern, ranks)
        ),
    },
    "tokens.decode": {
        "incremental": decode_incrementally,
        "bytearray": lambda ids, vocabulary: str(
            bytearray(byte for id in ids for byte in vocabulary[id]), "utf-8", "replace"
        ),
    },
    "tokens.bits_per_byte": {
        "log2 e": lambda nats, text, ids: (
            nats * math.log2(math.e) * len(ids) / len(bytes(text, "utf-8"))
        ),
        "a tensor": lambda nats, text, ids: (
            torch.tensor(nats) * len(ids) / len(text.encode()) / torch.tensor(2.0).log()
        ),
    },
    "corpus.windows": {
        "until it is empty": windows_until_empty,
        "tuples": lambda documents, context: [
            tuple(ids[start : start + context + 1])
            for ids in documents
            for start in range(0, max(len(ids) - 1, 1), context)
        ],
    },
    "corpus.example": {
        "zip": example_by_zip,
        "tensors": lambda *arguments: tuple(
            map(torch.tensor, example_by_zip(*arguments))
        ),
    },
    "corpus.masked_loss": {
        "sum and count": lambda logits, targets, mask: (
            (cross_entropy(logits.mT, targets, reduction="none") * mask).sum()
            / mask.sum()
        ),
        "ignored index": lambda logits, targets, mask: cross_entropy(
            logits.flatten(0, 1), targets.masked_fill(~mask, -100).flatten()
        ),
        "probabilities": lambda logits, targets, mask: (
            -(
                logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0][mask]
            ).mean()
        ),
    },
    "corpus.hide": {
        "word by word": hide_word_by_word,
        "lookahead": lambda text: re.sub(
            r"(https?://|www\.)[^\s]*?(?=[.,]*(\s|$))", "(website)", text
        ),
    },
    "large.without_copies": {
        "a loop": without_copies_by_a_loop,
        "filter": lambda train, test, is_copy: filter(
            lambda text: not any(is_copy(text, other) for other in test), train
        ),
    },
    "large.jaccard": {
        "frozen": lambda a, b: len(a.intersection(b)) / (len(a.union(b)) or 1),
        "counted": lambda a, b: (
            sum(x in b for x in a) / max(1, len(a) + sum(x not in a for x in b))
        ),
    },
    "large.cut": {
        "a pattern": lambda text, position: next(
            (
                m.start()
                for m in re.finditer(r"(?<=\S)\s", text)
                if m.start() >= position
            ),
            len(text),
        ),
        "a while": cut_by_while,
    },
    "corpus.stop": {
        "waited": stop_by_waiting,
        "prefixes": stop_by_prefixes,
    },
}


RIGHT_CASES = [
    pytest.param(exercise, attempt, id=f"{exercise}: {style}")
    for exercise, attempts in RIGHT_ANSWERS.items()
    for style, attempt in attempts.items()
]


@pytest.mark.parametrize(("exercise", "attempt"), RIGHT_CASES)
def test_a_right_answer_passes_however_it_is_written(exercise, attempt):
    verdict = EXERCISES[tuple(exercise.split("."))](attempt)
    assert verdict.passed, verdict.message


def test_there_are_right_answers_to_every_exercise():
    assert {tuple(name.split(".")) for name in RIGHT_ANSWERS} == set(EXERCISES)
