"""What a check says of wrong answers that none of its mistakes is: true, and of use.

The list at the end is what an experienced teacher would expect to see, beside the named
mistakes. Each message must say what is wrong or where, and must not accuse falsely.
"""

import json
import math
import re
from functools import partial

import pytest
import torch
from IPython.core.compilerop import CachingCompiler
from torch import nn, tensor
from torch.nn.functional import cross_entropy, one_hot

from gpt_lib.check import Exercise
from gpt_lib.check.diagnosis import (
    describe_arguments,
    list_in_words,
    own_line,
    unused_arguments,
)
from gpt_lib.check.findings import Case, as_numbers, find_sums
from tests.lessons.test_checks import EXERCISES

# Where an error came up


def from_cell(source, name):
    """A function as a notebook's cell defines it: its source is in no file."""
    compiler, names = CachingCompiler(), {"torch": torch}
    exec(compiler(source, compiler.cache(source), "exec"), names)
    return names[name]


def error_of(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return error


def test_the_line_of_an_error_is_that_of_the_cell():
    attempt = from_cell("def f(x):\n    y = x + 1\n    return y @ y[0, 0]\n", "f")
    error = error_of(attempt, torch.ones(2, 3))
    assert own_line(error, attempt) == (3, "return y @ y[0, 0]")


def test_the_line_is_the_last_of_the_own_cell_even_if_a_helper_raises():
    source = "def g(x):\n    return x.nothing\n\ndef f(x):\n    return g(x)\n"
    attempt = from_cell(source, "f")
    assert own_line(error_of(attempt, 1), attempt) == (2, "return x.nothing")
    helper = from_cell("def g(x):\n    raise KeyError(x)\n", "g")  # another cell

    def attempt(x):
        return helper(x)

    line = attempt.__code__.co_firstlineno + 1
    assert own_line(error_of(attempt, 1), attempt) == (line, "return helper(x)")


def test_an_error_within_pytorch_is_shown_at_the_line_that_called_it():
    attempt = lambda x: nn.Linear(3, 4)(x)  # noqa: E731
    _, source = own_line(error_of(attempt, torch.ones(2, 5)), attempt)
    assert source.startswith("attempt = lambda x: nn.Linear(3, 4)(x)")


class Doubling(nn.Module):
    def forward(self, x):
        return x.twice()


def test_modules_and_partial_functions_have_lines_too():
    _, source = own_line(error_of(Doubling(), tensor(1.0)), Doubling())
    assert source == "return x.twice()"
    attempt = partial(lambda y, x: x + y.nothing, 1)
    assert "y.nothing" in own_line(error_of(attempt, 2), attempt)[1]
    assert own_line(error_of(torch.matmul, 1), torch.matmul) is None


def test_parameters_without_use_are_found_also_in_functions_within():
    def attempt(x, fade, mask=None, *, dim=1):
        def inner():
            return x

        return inner() + dim

    assert unused_arguments(attempt) == ["fade", "mask"]
    assert unused_arguments(torch.matmul) == []


# Words


def test_numbers_in_words():
    assert list_in_words([3]) == "3"
    assert list_in_words([1, 2]) == "1 and 2"
    assert list_in_words([1, 3, 4, 5, 6, 9]) == "1, 3 to 6 and 9"


def test_only_short_arguments_are_shown():
    arguments = {
        "ids": tensor([1, 2]),
        "x": torch.ones(2),
        "f": len,
        "text": "a" * 40,
        "temperature": 0.5,
        "requested": None,
    }
    assert describe_arguments(arguments) == (
        "ids=[1, 2], temperature=0.5, requested=None"
    )


# What the numbers show, on one small exercise: (x, n) -> x in a table of n rows


def reference_table(x, n):
    """Rows of probabilities: row i is the softmax of x times i."""
    return (torch.arange(float(n))[:, None] * x).softmax(dim=-1)


def table_inputs():
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(size, generator=generator), n) for size, n in ((3, 4), (5, 3))]


def table(change):
    """The check of an answer that changes the right one."""
    exercise = Exercise(reference_table, table_inputs, {}, "right.")
    return exercise(lambda x, n: change(reference_table(x, n), x, n)).message


def with_one(y, position, value):
    y = y.clone()
    y[position] = value
    return y


FINDINGS = {
    "bits": (
        lambda y, x, n: y / math.log(2),
        r"1\.443 = 1 / ln 2 times the right ones: bits instead of nats",
    ),
    "sign": (lambda y, x, n: -y, "the right ones with the wrong sign"),
    "half": (lambda y, x, n: y / 2, "are 1/2 of the right ones"),
    "some factor": (lambda y, x, n: 1.3 * y, r"are 1\.3 times the right ones"),
    "N": (lambda y, x, n: y * n, "are the right ones times `n`"),
    "1/N": (
        lambda y, x, n: y / len(x),
        "divided by the size of `x` in dimension 0",
    ),
    "root of N": (lambda y, x, n: y * n**0.5, "times the root of `n`"),
    "unbiased": (
        lambda y, x, n: y * (1 - 1 / n) ** 0.5,
        r"times √\(\(N − 1\) / N\), N = `n`: is a variance divided by N − 1",
    ),
    "constant": (lambda y, x, n: y + 1.5, r"the right ones plus 1\.5"),
    "logarithms": (lambda y, x, n: y.log(), "the logarithms of the right ones"),
    "squares": (lambda y, x, n: y**2, "the squares of the right ones"),
    "roots": (lambda y, x, n: y**0.5, "the roots of the right ones"),
    "upside down": (lambda y, x, n: 1 / y, "one over the right ones"),
    "complement": (lambda y, x, n: 1 - y, "1 minus the right ones"),
    "logits": (
        lambda y, x, n: torch.arange(float(n))[:, None] * x,
        "the right ones before a softmax",
    ),
    "not divided": (
        lambda y, x, n: (torch.arange(float(n))[:, None] * x).exp(),
        "before each row is divided by its sum",
    ),
    "running sums": (lambda y, x, n: y.cumsum(-1), "the running sums of the right"),
    "NaN": (
        lambda y, x, n: with_one(y, (0, 1), math.nan),
        "1 of 12 numbers is NaN, which comes of 0 / 0",
    ),
    "infinite": (
        lambda y, x, n: with_one(y, (slice(None), 1), math.inf),
        "4 of 12 numbers are infinite, which comes of a division by 0",
    ),
    "zero": (lambda y, x, n: 0 * y, "Your wrong numbers are all 0"),
    "reverse": (lambda y, x, n: y.flip(1), "in reverse order along dimension 1"),
    "moved": (lambda y, x, n: y.roll(1, 0), "one place too far along dimension 0"),
    "moved back": (lambda y, x, n: y.roll(-1, 0), "one place too early along dim"),
    "wrong places": (
        lambda y, x, n: y.ravel()[torch.arange(y.numel()) * 7 % y.numel()].view_as(y),
        "The numbers are right, but in the wrong places",
    ),
    "transposed": (lambda y, x, n: y.T, "right, but dimensions 0 and 1 are swapped"),
    "flat": (lambda y, x, n: y.ravel(), "The numbers are right. Your result has 1 dim"),
    "one dimension more": (
        lambda y, x, n: y[None],
        "The numbers are right. One dimension of size 1 is too many",
    ),
    "end missing": (
        lambda y, x, n: y[:-1],
        "Dimension 0 has size 3 instead of 4: the end is missing, the rest is right",
    ),
    "beginning missing": (lambda y, x, n: y[:, 1:], "the beginning is missing"),
    "rows": (
        lambda y, x, n: with_one(y, 1, 1 / len(x)),
        r"3 of 4 rows are right: \[0, 2, 3\]",
    ),
    "column": (
        lambda y, x, n: with_one(y, (slice(None), slice(1, None)), 3.0),
        r"and one of yours to 6",
    ),
    "sums": (lambda y, x, n: y * (y > 0.3), "Each row should sum to one"),
    "columns": (lambda y, x, n: y / y.sum(0), "Your columns sum to one"),
    "together": (
        lambda y, x, n: torch.full_like(y, 1 / y.numel()).cumsum(0) * 2 / (n + 1),
        "All of your numbers together sum to one",
    ),
    "unchanged": (lambda y, x, n: x, "1 dimension instead of 2"),
    "text": (lambda y, x, n: str(y), "It gives back text instead of a tensor"),
    "list": (lambda y, x, n: y.tolist(), "It gives back a list instead of a tensor"),
    "function": (lambda y, x, n: y.sum, "a function: are the brackets behind its name"),
    "pair": (lambda y, x, n: (y, x), "It gives back a tuple instead of a tensor"),
    "mask": (lambda y, x, n: y > 0.3, "true or false, and should be real"),
    "complex": (lambda y, x, n: y * 1j, "complex, and should be real"),
    "random": (lambda y, x, n: torch.rand_like(y), "another result each time"),
    "too large": (
        lambda y, x, n: y + torch.eye(*y.shape),
        "is too large|rows? |sum to",
    ),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_the_numbers_of_an_answer_say_what_is_wrong(name):
    change, pattern = FINDINGS[name]
    message = table(change)
    assert re.search(pattern, message), message


def test_every_input_must_agree_on_what_is_said():
    message = table(lambda y, x, n: y * (2 if n == 4 else 3))
    assert "times" not in message
    assert "is a variance" not in table(lambda y, x, n: y * (0.75 if n == 4 else 0.5))


def test_one_number_shows_no_factor_but_bits_and_a_sign():
    exercise = Exercise(lambda x: x, lambda: [(3.0,)], {}, "right.")
    assert "times" not in exercise(lambda x: 2 * x).message
    assert "plus" not in exercise(lambda x: 2 + x).message
    assert "bits" in exercise(lambda x: x / math.log(2)).message
    assert "wrong sign" in exercise(lambda x: -x).message


def test_arguments_that_are_swapped_or_missing_are_found():
    exercise = Exercise(
        lambda x, y, scale: x - y / scale,
        lambda: [(tensor([5.0, 1.0]), tensor([2.0, 3.0]), 2.0)],
        {},
        "right.",
    )
    assert "`x` and `y` swapped" in exercise(lambda x, y, s: y - x / s).message
    assert "It never uses `scale`." in exercise(lambda x, y, scale: x - y).message
    message = exercise(lambda x, y: x - y).message
    assert "It is called with (x, y, scale), and takes (x, y)." in message


def test_a_wrong_dimension_is_found():
    exercise = Exercise(
        lambda x: x.cumsum(dim=1),
        lambda: [(torch.arange(24.0).view(2, 3, 4),)],
        {},
        "right.",
    )
    message = exercise(lambda x: x.cumsum(dim=2)).message
    assert "with dimensions 1 and 2 of `x` swapped: is a `dim` wrong?" in message


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda n: [0, 1], "It gives back 2 instead of 3, of which the first 2 are"),
        (lambda n: [*range(n), 7], "It gives back 4 instead of 3, of which the first"),
        (lambda n: [5], "It gives back 1 instead of 3."),
        (lambda n: set(range(n)), "a set, which has no order, instead of a list"),
        (lambda n: "0 1 2", "It gives back text instead of a list"),
        (lambda n: n, "It gives back a number instead of a list"),
        (lambda n: {0: 1}, "It gives back a dict instead of a list"),
        (lambda n: [2, 1, 0], "in reverse order along dimension 0"),
        (lambda n: [1, 2, 3], "Your numbers are the right ones plus 1"),
        (lambda n: [0, 1, 5], r"2 of 3 numbers are right: \[0, 1\]"),
        (lambda n: [0, None, 2], r"yours \[0, None, 2\], expected \[0, 1, 2\]"),
    ],
)
def test_lists_are_compared_as_lists(attempt, message):
    exercise = Exercise(lambda n: list(range(n)), lambda: [(3,)], {}, "right.")
    assert re.search(message, exercise(attempt).message)


def test_a_causal_result_with_something_above_the_diagonal_sees_the_future():
    exercise = Exercise(
        lambda x: x.softmax(-1).tril() / x.softmax(-1).tril().sum(-1, keepdim=True),
        lambda: [(torch.arange(9.0).view(3, 3).sin(),)],
        {},
        "right.",
    )
    message = exercise(lambda x: torch.eye(3) / 2 + x.softmax(-1) / 2).message
    assert (
        "Above the diagonal all should be 0: in yours the future takes part" in message
    )


def test_a_path_without_a_return_is_named_with_its_input():
    exercise = Exercise(abs_of, lambda: [(3,), (-3,)], {}, "right.")

    def attempt(number):
        if number > 0:
            return number

    message = "It gives back None for input 2 of 2 (number=-3): has every way out a"
    assert exercise(attempt).message.startswith(message)


def test_what_is_right_is_said_as_well():
    exercise = Exercise(abs_of, lambda: [(3,), (2,), (1,), (-3,), (0,)], {}, "right.")
    message = exercise(lambda number: number).message
    assert message.startswith("Not yet. Right on inputs 1 to 3 and 5.")
    assert "input 4 of 5 (number=-3): yours -3, expected 3" in message


def abs_of(number):
    return abs(number)


STRANGE = [
    None, True, ..., 1.5, 2j, "a", [], {"a": 1}, set(), [None], [[1], [2, 3]], object(),
    len, ValueError("a"), tensor([]), tensor([True]), torch.ones(2, 2, 2), (1, "a"),
    torch.ones(3).to_sparse(), tensor([1 + 2j]), [tensor([1.0])], math.nan,
]  # fmt: skip


@pytest.mark.parametrize("key", EXERCISES, ids=".".join)
def test_no_check_stumbles_over_a_strange_answer(key):
    exercise = EXERCISES[key]
    for strange in STRANGE[:1] if exercise.effect else STRANGE:
        verdict = exercise(lambda *arguments, strange=strange: strange)
        assert verdict.passed is False, strange
        assert verdict.message, strange


def test_numbers_of_anything():
    assert as_numbers("1") is None
    assert as_numbers(True) is None
    assert as_numbers([]) is None
    assert as_numbers([1, "a"]) is None
    assert as_numbers(2).shape == ()
    assert as_numbers([1, 2.5]).tolist() == [1.0, 2.5]
    assert find_sums([Case("a", 1.0, {})]) is None


# Wrong answers: by exercise (attempt, what its message says, what it must not say)


def step_forgotten(model, optimizer, x, y, max_grad_norm):
    loss = cross_entropy(model(x).flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    return loss.detach(), norm


def backward_forgotten(model, optimizer, x, y, max_grad_norm):
    loss = cross_entropy(model(x).flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    optimizer.step()
    return loss.detach()


def step_before_backward(model, optimizer, x, y, max_grad_norm):
    loss = cross_entropy(model(x).flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    optimizer.step()
    loss.backward()
    return loss.detach()


def half_a_step(model, optimizer, x, y, max_grad_norm):
    return cross_entropy(model(x).flatten(0, 1), y.flatten())


def step_not_flattened(model, optimizer, x, y, max_grad_norm):
    logits = model(x)
    loss = cross_entropy(logits, y)
    loss.backward()
    optimizer.step()


def step_with_a_number(model, optimizer, x, y, max_grad_norm):
    loss = cross_entropy(model(x).flatten(0, 1), y.flatten()).item()
    optimizer.zero_grad()
    loss.backward()


def step_with_sum(model, optimizer, x, y, max_grad_norm):
    loss = cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum")
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()


def step_with_probabilities(model, optimizer, x, y, max_grad_norm):
    probabilities = model(x).softmax(-1)
    loss = cross_entropy(probabilities.flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()


def step_clips_too_late(model, optimizer, x, y, max_grad_norm):
    loss = cross_entropy(model(x).flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)


def clip_returns_early(model, max_grad_norm):
    return sum((p.grad**2).sum() for p in model.parameters()) ** 0.5


def clip_makes_new_tensors(model, max_grad_norm):
    gradients = [p.grad for p in model.parameters()]
    norm = sum((gradient**2).sum() for gradient in gradients) ** 0.5
    return [gradient * min(1.0, max_grad_norm / norm) for gradient in gradients]


def clip_scales_weights(model, max_grad_norm):
    norm = sum((p.grad**2).sum() for p in model.parameters()) ** 0.5
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(min(1.0, max_grad_norm / norm))


def clip_adds_norms(model, max_grad_norm):
    norm = sum(p.grad.norm() for p in model.parameters())
    for p in model.parameters():
        p.grad.mul_(min(1.0, max_grad_norm / norm))


def sum_of_losses(model, ids, context):
    was_training, total = model.training, 0.0
    model.eval()
    for start in range(0, len(ids) - 1, context):
        window = ids[start : start + context + 1]
        logits = model(window[None, :-1])[0]
        total += cross_entropy(logits, window[1:], reduction="sum").item()
    model.train(was_training)
    return total


def evaluate_and_leave_in_evaluation(model, ids, context):
    loss = sum_of_losses(model, ids, context) / (len(ids) - 1)
    model.eval()
    return loss


def evaluate_and_leave_in_training(model, ids, context):
    loss = sum_of_losses(model, ids, context) / (len(ids) - 1)
    model.train()
    return loss


def evaluate_mean_of_means_and_leave_in_evaluation(model, ids, context):
    model.eval()
    losses = []
    for start in range(0, len(ids) - 1, context):
        window = ids[start : start + context + 1]
        losses.append(cross_entropy(model(window[None, :-1])[0], window[1:]).item())
    return sum(losses) / len(losses)


def evaluate_with_other_dropout(model, ids, context):
    model(ids[None])  # another draw first, so that no mistake has the same
    return sum_of_losses_with_dropout(model, ids, context) / (len(ids) - 1)


def sum_of_losses_with_dropout(model, ids, context):
    total = 0.0
    for start in range(0, len(ids) - 1, context):
        window = ids[start : start + context + 1]
        logits = model(window[None, :-1])[0]
        total += cross_entropy(logits, window[1:], reduction="sum").item()
    return total


def evaluate_without_batch(model, ids, context):
    model.eval()
    window = ids[: context + 1]
    logits = model(window[:-1])
    return cross_entropy(logits, window[1:]).item()


def future_of(scores):
    return torch.ones_like(scores).triu(1).bool()


def causal_softmax_result_thrown_away(scores):
    scores.masked_fill(future_of(scores), -torch.inf)
    return scores.softmax(-1)


def causal_softmax_of_batch_size(scores):
    mask = torch.ones(len(scores), len(scores)).triu(1).bool()
    return scores.masked_fill(mask, -torch.inf).softmax(-1)


def causal_softmax_that_overflows(scores):
    exponentials = scores.exp().tril()
    return exponentials / exponentials.sum(-1, keepdim=True)


def distances_back(x):
    t = torch.arange(x.size(1))
    return (t[:, None] - t).float()


def masked_scores(q, k, scale=None, value=-torch.inf):
    scores = q @ k.mT / (scale or k.size(-1) ** 0.5)
    return scores.masked_fill(future_of(scores), value)


def weights_not_transposed(q, k):
    scores = q @ k / k.size(-1) ** 0.5
    return scores.softmax(-1)


def weights_with_root_of_an_int(q, k):
    scores = q @ k.mT / torch.sqrt(k.size(-1))
    return scores.softmax(-1)


def head_with(weights):
    return lambda x, query, key, value: weights(x @ query, x @ key) @ (x @ value)


def leak_test(compare, change=lambda model, ids: (ids + 1) % model.vocab_size):
    """A test for leaks that compares other logits, or changes ids otherwise."""

    def my_future_leak(model, ids):
        was_training, leak = model.training, 0.0
        model.eval()
        logits = model(ids)
        for t in range(1, ids.size(1)):
            changed_ids = ids.clone()
            changed_ids[:, t] = change(model, ids[:, t])
            difference = compare(model(changed_ids) - logits, t)
            leak = max(leak, difference.abs().max().item())
        model.train(was_training)
        return leak

    return my_future_leak


def next_logits_without_return(model, ids):
    logits = model(ids[:, -model.context :])[:, -1]
    logits.detach()


def next_logits_changed(change):
    def my_next_logits(model, ids):
        was_training = model.training
        model.eval()
        logits = model(ids[:, -model.context :])
        model.train(was_training)
        return change(logits)

    return my_next_logits


def sample_without_return(probabilities, u):
    ranked, order = probabilities.sort(descending=True)
    order[(ranked.cumsum(0) <= u).sum()].item()


def temperature_with(zero, negative):
    """The next probabilities, with other answers for 0 and for less."""

    def my_next_probabilities(logits, temperature=1.0):
        if temperature < 0:
            return negative()
        if temperature == 0:
            return zero(logits)
        return (logits / temperature).softmax(-1)

    return my_next_probabilities


def likeliest(logits):
    return one_hot(logits.argmax(), len(logits)).float()


def refuse(error=ValueError):
    raise error("below zero")


def rate_in_degrees(step, config):
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    progress = (step - config.warmup_steps) / (config.steps - 1 - config.warmup_steps)
    cosine = (1 + math.cos(180 * progress)) / 2
    lowest = config.final_lr_fraction
    return config.learning_rate * (lowest + (1 - lowest) * cosine)


def rate_without_return_at_the_end(step, config):
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)


def counts_past_the_end(ids, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    for i in range(len(ids)):
        counts[ids[i], ids[i + 1]] += 1
    return counts


def counts_of_known_ids(ids, vocab_size):
    size = int(ids.max()) + 1
    return (ids[:-1] * size + ids[1:]).bincount(minlength=size * size).view(size, size)


def unigram(reduce, minlength=True):
    def my_unigram_loss(train, validation, vocab_size):
        counts = train.bincount(minlength=vocab_size if minlength else 0) + 1
        return reduce((counts / counts.sum())[validation[1:]])

    return my_unigram_loss


def log_rows(model, ids, last=0):
    was_training = model.training
    model.eval()
    rows = []
    for t in range(1, len(ids) + last):
        past = ids[max(0, t - model.context) : t]
        rows.append(model(past[None])[0, -1].log_softmax(-1).detach())
    model.train(was_training)
    return rows


def top_k_of_too_many(logits, k):
    smallest = logits.topk(k).values[..., -1:]
    return logits.masked_fill(logits < smallest, -torch.inf)


def top_p_with_a_misspelt_name(logits, p):
    ranked = logits.sort(descending=True).values
    return logits.scatter(-1, ordre, ranked)  # noqa: F821


def penalty_in_place(logits, ids, penalty):
    said = logits[ids]
    logits[ids] = torch.where(said > 0, said / penalty, said * penalty)


def beam_candidates(model, ids, beams, crop=True):
    candidates = []
    for beam in beams:
        text = torch.cat([ids, ids.new_tensor(beam.ids)])
        text = text[-model.context :] if crop else text
        row = model(text[None])[0, -1].log_softmax(-1)
        for id, new in enumerate(row.tolist()):
            candidates.append(((*beam.ids, id), beam.log_probability + new))
    return sorted(candidates, key=lambda pair: pair[1], reverse=True)


def beams_without_return(model, ids, beams, count):
    beam_candidates(model, ids, beams).sort(key=lambda pair: pair[1])


def header_of(data, length=None):
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def header_without_metadata(data):
    header = header_of(data)
    del header["__metadata__"]
    return list(header)


def save_and_rename_nothing(disk, data):
    disk.write("new", data)
    disk.rename("model.new", "model")


def keep_the_smallest_of_all(losses):
    best = min(losses, key=losses.get)
    return sorted({best, *sorted(losses)[-2:]})


def keep(count, last, wrap=sorted):
    def my_needed(losses):
        measured = [step for step in losses if losses[step] is not None]
        best = sorted(measured, key=lambda step: losses[step])[:count]
        return wrap({*best, *sorted(losses)[-last:]})

    return my_needed


def gradients_of_nothing(model, x, y, micro_batches):
    model.zero_grad()
    for part, target in zip(x.chunk(micro_batches), y.chunk(micro_batches)):
        cross_entropy(model(part), target) * len(part) / len(x)


def gradients_deleted(model, x, y, micro_batches):
    for part, target in zip(x.chunk(micro_batches), y.chunk(micro_batches)):
        (cross_entropy(model(part), target) * len(part) / len(x)).backward()
    model.zero_grad()


def prefix_without_return_at_the_end(cached, ids):
    for count, (old, new) in enumerate(zip(cached, ids)):
        if old != new:
            return count


def rotary_with_angles_in_a_row(x, angle):
    angles = torch.arange(len(x)) * angle
    a, b = x.chunk(2, -1)
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos()], -1)


def average_from(start, rate):
    def my_average(gradients, beta):
        average = start(gradients)
        for gradient in gradients[1 if average.any() else 0 :]:
            average = beta * average + rate(beta) * gradient
        return average / (1 - beta ** len(gradients))

    return my_average


def encode_as_text(text, vocabulary):
    return " ".join(str(vocabulary.index(character)) for character in text)


def encode_only_the_first(text, vocabulary):
    for character in text:
        return vocabulary.index(character)


def decode_by_a_dict(ids, vocabulary):
    characters = dict(enumerate(vocabulary))
    return "".join(characters[id] for id in ids)


def decode_only_the_last(ids, vocabulary):
    text = ""
    for id in ids:
        text = vocabulary[id]
    return text


def windows(ids, starts, context):
    return torch.stack([ids[start : start + context] for start in starts.tolist()])


def batch_of(x_starts, y_starts=None):
    """Inputs and targets from starts that may be drawn wrongly."""

    def my_random_batch(ids, batch_size, context):
        starts = x_starts(len(ids), batch_size, context)
        later = y_starts(len(ids), batch_size, context) if y_starts else starts
        return windows(ids, starts, context), windows(ids, later + 1, context)

    return my_random_batch


def random_starts(length, batch_size, context):
    return torch.randint(length - context, (batch_size,))


def random_blocks(length, batch_size, context):
    return torch.randint((length - 1) // context, (batch_size,)) * context


def batch_changed(change):
    def my_random_batch(ids, batch_size, context):
        starts = random_starts(len(ids), batch_size, context)
        x, y = windows(ids, starts, context), windows(ids, starts + 1, context)
        return change(x, y)

    return my_random_batch


def batch_of_single_ids(ids, batch_size, context):
    positions = torch.randint(len(ids) - 1, (batch_size, context))
    return ids[positions], ids[positions + 1]


def dropout_with(mask, factor):
    return lambda x, p, training: x * (mask(x) >= p) * factor(p) if training else x


LINE = r"Line \d+ raises an error: `"
CHANGES_NOTHING = "It changes nothing"
NEVER_MOVE = r"The weights never move\. Is `optimizer\.step\(\)` there, `backward\(\)`"
DELETES = "deletes|you just computed"
WRONG_ANSWERS = {
    "device.bytes_to_gib": [
        (lambda size: f"{size / 1024**3} GiB", "gives back text instead of a number"),
        (lambda size: round(size / 1024**3), "the right ones rounded", "thrown away"),
        (lambda size: size / 1024**4, "are 1/1024 of the right ones"),
        (lambda size: bytes_count / 1024**3, LINE + "|Line", "upside"),  # noqa: F821
        (lambda size: size, "It gives back `size` unchanged"),
    ],
    "device.resolve_device": [
        (
            lambda requested, available: None if requested else available[0],
            r"None for input 3 of 5 \(requested='cpu', available=\['cuda', 'cpu'\]\)",
        ),
        (lambda requested, available: available[:1], "a list instead of text"),
        (lambda requested, available: refuse(KeyError), LINE, "nothing to refuse"),
    ],
    "device.relative_error": [
        (
            lambda ours, reference: (
                (ours - reference).abs().max() / ours.abs().max()
            ).item(),
            "`ours` and `reference` swapped",
        ),
        (
            lambda ours, reference: (
                100 * (ours - reference).abs().max() / reference.abs().max()
            ),
            "100 times the right ones: per cent",
        ),
        (
            lambda ours, reference: (ours - reference).abs() / reference.abs().max(),
            r"It gives back 2 numbers instead of one\. Their `\.max\(\)` is right",
        ),
    ],
    "text.encode": [
        (encode_as_text, "It gives back text instead of a list"),
        (encode_only_the_first, "None for input 3 of 4 .text=''"),
    ],
    "text.decode": [
        (decode_by_a_dict, LINE + r'return "".join\(characters\[id\]'),
        (decode_only_the_last, "Only the last character is left"),
        (lambda ids, vocabulary: ids.tolist(), "It gives back a list instead of text"),
    ],
    "text.inputs_and_targets": [
        (lambda window: window[..., 1:], r"\(4,\), and should give back 2 things"),
        (
            lambda window: (window, window[..., 1:]),
            "size 5 instead of 4: the end is too much, the rest is right",
        ),
        (lambda window: (window[..., :-1], window[..., -1]), "0 dimensions instead of"),
    ],
    "text.random_batch": [
        (batch_changed(lambda x, y: x), "should give back 2 things"),
        (
            batch_changed(lambda x, y: (x.T, y.T)),
            "dimensions 0 and 1 are swapped",
        ),
        (
            batch_of_single_ids,
            "Not all ids in a row of x are neighbours",
            "same window",
        ),
        (
            batch_of(random_starts, random_starts),
            "y does not always stand one id behind x",
            "two ids ahead|are the inputs",
        ),
        (batch_changed(lambda x, y: (x, x)), "Your targets are the inputs themselves"),
        (
            batch_of(lambda length, size, context: torch.randint(length, (size,))),
            "Some positions lie beyond the end",
        ),
        (
            batch_of(lambda length, size, context: torch.randint(1, (1,)).expand(size)),
            "All rows are the same window",
        ),
        (batch_of(random_blocks), "only at multiples of `context`"),
        (
            lambda ids, batch_size, context: ids[
                torch.randint(2, (batch_size, 1, 1, 1))
            ],
            "should give back 2 things",
        ),
    ],
    "text.train_validation_test_split": [
        (lambda ids: (ids[5:90], ids[:5], ids[90:]), "Right on input 1.*52 instead of"),
        (lambda ids: ids[5:90], "should give back 3 things"),
    ],
    "text.unigram_loss": [
        (
            unigram(lambda p: -p.log()),
            r"3 numbers instead of one. Their `.mean\(\)` is",
        ),
        (unigram(lambda p: -p.log().mean(), False), LINE, "infinite|bits"),
        (unigram(lambda p: -p.log2().mean()), "bits"),
        (unigram(lambda p: p.log().mean()), "The sign is wrong"),
        (unigram(lambda p: -p.log().max()), "too small"),
    ],
    "bigram.bigram_counts": [
        (counts_past_the_end, LINE + r"counts\[ids\[i\], ids\[i \+ 1\]\]", "no ring"),
        (counts_of_known_ids, r"Right on input 1.*shape \(3, 3\), expected \(4, 4\)"),
        (lambda ids, vocab_size: torch.zeros(vocab_size, vocab_size), "are all 0"),
    ],
    "bigram.bigram_probabilities": [
        (
            lambda counts, add: ((counts + add) / (counts + add).sum(1, True)).log(),
            "the logarithms of the right ones",
        ),
        (
            lambda counts: counts / counts.sum(1, keepdim=True),
            r"It is called with \(counts, add\), and takes \(counts\)",
        ),
    ],
    "bigram.softmax": [
        (lambda logits: logits, "It gives back `logits` unchanged"),
        (lambda logits: logits.argmax(-1), "0 dimensions instead of 1"),
        (lambda logits: logits.softmax, "are the brackets behind its name missing"),
        (lambda logits: logits.sigmoid(), "Each row should sum to one", "columns"),
    ],
    "bigram.gradient": [
        (
            lambda logits, targets: (
                (logits.softmax(1) - one_hot(targets, logits.size(1)))
                / len(targets)
                / 2
            ),
            "are 1/2 of the right ones",
        ),
        (
            lambda logits, targets: cross_entropy(logits, targets),
            "0 dimensions instead",
        ),
        (lambda logits, targets: logits.softmax(1), "It never uses `targets`"),
    ],
    "bigram.softmax_with_temperature": [
        (temperature_with(lambda logits: None, refuse), r"None for input 4.*=0\.0\)"),
        (temperature_with(torch.argmax, refuse), "Right on inputs 1 to 3 and 5.*0 dim"),
        (
            temperature_with(likeliest, lambda: ValueError("below zero")),
            "The error is given back: `raise` the ValueError",
            "unlikeliest",
        ),
        (
            temperature_with(likeliest, partial(refuse, AssertionError)),
            "Right on inputs 1 to 4.*raises an error.*AssertionError.*a ValueError",
            "unlikeliest",
        ),
    ],
    "training.learning_rate": [
        (rate_in_degrees, r"Right on inputs 1 to 4 and 7.*step=40", "straight|no warm"),
        (rate_without_return_at_the_end, r"None for input 4 of 9 \(step=10\)"),
    ],
    "training.training_step": [
        (step_forgotten, NEVER_MOVE, DELETES),
        (backward_forgotten, NEVER_MOVE, DELETES),
        (step_before_backward, NEVER_MOVE, DELETES),
        (half_a_step, NEVER_MOVE, DELETES),
        (step_not_flattened, LINE + r"loss = cross_entropy\(logits, y\)", "never move"),
        (step_with_a_number, LINE + r"loss\.backward\(\)", "never move"),
        (step_with_sum, "the sum over all targets"),
        (step_with_probabilities, "You handed over probabilities"),
        (step_clips_too_late, r"`step\(\)` uses is not clipped.*before `step\(\)`"),
    ],
    "training.clip_gradients": [
        (clip_returns_early, CHANGES_NOTHING, "None"),
        (clip_makes_new_tensors, CHANGES_NOTHING, "one things"),
        (clip_scales_weights, CHANGES_NOTHING),
        (clip_adds_norms, "You added the lengths", "root is missing"),
    ],
    "training.evaluate_loss": [
        (sum_of_losses, "the sum of all losses", "mode"),
        (
            lambda model, ids, context: (
                sum_of_losses(model, ids, context) / (len(ids) - 1) / math.log(2)
            ),
            "right in bits",
        ),
        (
            evaluate_and_leave_in_evaluation,
            "in evaluation mode: whoever",
            "is still on",
        ),
        (
            evaluate_and_leave_in_training,
            "came in evaluation mode and left in training",
        ),
        (evaluate_mean_of_means_and_leave_in_evaluation, "averaged the means", "mode"),
        (evaluate_with_other_dropout, "another result each time: is dropout on"),
        (evaluate_without_batch, LINE + r"logits = model\(window\[:-1\]\)"),
    ],
    "averaging.past_mean": [
        (
            lambda x: x.cumsum(2) / torch.arange(1, x.size(2) + 1),
            "dimensions 1 and 2 of `x` swapped",
        ),
        (lambda x: x.mean(1), r"2 dimensions instead of 3", "every position"),
        (lambda x: (x + x.roll(1, 1)) / 2, "1 of 4 places along dimension 1 is right"),
    ],
    "averaging.causal_softmax": [
        (causal_softmax_result_thrown_away, "`masked_fill` gives back a new tensor"),
        (lambda scores: (scores.tril()).softmax(-1), "e⁰ is 1", "Nothing is masked"),
        (
            causal_softmax_of_batch_size,
            "Right on inputs 1, 3 and 4.*" + LINE,
            "inverted",
        ),
        (
            causal_softmax_that_overflows,
            "is infinite to a computer",
            "Nothing|diagonal",
        ),
        (
            lambda scores: scores.masked_fill(future_of(scores), -50.0).softmax(-1),
            r"Right on inputs 1 to 3|All that|future|row",
            "such as -10",
        ),
    ],
    "averaging.fading_mean": [
        (
            lambda x, fade: (-fade * distances_back(x)).tril().softmax(-1) @ x,
            "e⁰ is 1",
            "Nothing is masked",
        ),
        (lambda x, fade: x.mean(1, keepdim=True).expand_as(x), "It never uses `fade`"),
    ],
    "attention.attention_weights": [
        (lambda q, k: masked_scores(q, k, value=0.0).softmax(-1), "e⁰ is 1", "Nothing"),
        (lambda q, k: masked_scores(q, k, k.size(-2) ** 0.5).softmax(-1), "root of T"),
        (lambda q, k: masked_scores(q, k), "Those are scores"),
        (weights_not_transposed, LINE + "scores = q @ k /"),
        (weights_with_root_of_an_int, LINE + ".*torch.sqrt"),
        (
            lambda q, k: masked_scores(q, k).log_softmax(-1),
            "right ones before a softmax",
        ),
    ],
    "attention.head": [
        (
            head_with(lambda q, k: masked_scores(q, k, value=0.0).softmax(-1)),
            "e⁰ is 1",
            "Nothing is masked",
        ),
        (
            head_with(lambda q, k: masked_scores(q, k, k.size(-1)).softmax(-1)),
            "You divided by H",
        ),
        (head_with(lambda q, k: masked_scores(q, k).softmax(-2)), "columns of your"),
        (head_with(lambda q, k: masked_scores(k, q).softmax(-1)), "keys are swapped"),
        (
            lambda x, query, key, value: (
                masked_scores(x @ query, x @ key).softmax(-1) @ x
            ),
            "Dimension 2 has size 6 instead of 3",
        ),
    ],
    "attention.future_leak": [
        (lambda model, ids: 0.0, "Every model passes your test", "are the old ids, so"),
        (lambda model, ids: 1.0, "Even a causal model without dropout", "`model.eval"),
        (
            leak_test(lambda change, t: change[:, t:]),
            "What comes .before. the change must not react",
            "`model.eval",
        ),
        (leak_test(lambda change, t: change), "Do you compare the position that you"),
        (
            leak_test(lambda change, t: change[:, :t], lambda model, ids: ids + 1),
            LINE + r"|index 4 is out of bounds",
        ),
        (lambda model, ids: [0.0], "It gives back"),
    ],
    "heads.split_heads": [
        (
            lambda x, heads: x.view(len(x), x.size(1), heads, -1).permute(2, 0, 1, 3),
            "dimensions 0 and 1 are swapped",
        ),
        (lambda x, heads: x.chunk(heads, -1), "It gives back a tuple instead of"),
    ],
    "heads.merge_heads": [
        (lambda x: x.transpose(1, 2).view(len(x), x.size(2), -1), LINE, "joined"),
        (
            lambda x: x.transpose(1, 2),
            "numbers are right. Your result has 4 dimensions",
        ),
    ],
    "heads.embed_and_mix": [
        (
            lambda ids, embed, position_embedding, mix: mix(
                embed[ids] + position_embedding
            ),
            LINE,
        ),
        (
            lambda ids, embed, position_embedding, mix: mix(
                position_embedding[ids] + embed[: ids.size(1)]
            ),
            "`embed` and `position_embedding` swapped",
        ),
    ],
    "block.layer_norm": [
        (
            lambda x, weight, bias, eps: (
                (x - x.mean(-1, keepdim=True))
                / (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt()
                * weight
            ),
            "It never uses `bias`",
        ),
        (
            lambda x, weight, bias, eps: (
                (x - x.mean(-1)) / (x.var(-1) + eps) * weight + bias
            ),
            LINE + "|right",
            "wrong dimension",
        ),
    ],
    "block.block": [
        (
            lambda x, attention, mlp, attention_norm, mlp_norm: (
                lambda a: a + mlp(attention_norm(a))
            )(x + attention(mlp_norm(x))),
            "`attention_norm` and `mlp_norm` swapped",
        ),
        (lambda x, *parts: x, "It gives back `x` unchanged"),
    ],
    "block.dropout": [
        (lambda x, p, training: x, "No number is 0 after your dropout", "outside"),
        (
            dropout_with(torch.rand_like, lambda p: (1 - p) ** -0.5),
            "the root of 1 − p",
            "outside",
        ),
        (
            dropout_with(lambda x: torch.rand(x.size(-1)), lambda p: 1 / (1 - p)),
            "whole columns",
            "rows",
        ),
        (lambda x, p, training: x[0], "1 dimension instead of 2"),
    ],
    "block.gelu": [
        (lambda x: x * (1 + torch.erf(x / 2)) / 2, "numbers? (are|is) right"),
        (lambda x: x * (1 + math.erf(x / 2**0.5)) / 2, LINE),
    ],
    "gpt.next_token_loss": [
        (
            lambda model, windows: cross_entropy(
                model(windows[:, :-1]), windows[:, 1:]
            ),
            LINE,
        ),
        (
            lambda model, windows: cross_entropy(
                model(windows[:, :-1]).flatten(0, 1),
                windows[:, 1:].flatten(),
                reduction="none",
            ),
            r"4 numbers instead of one. Their `.mean\(\)` is right",
        ),
        (
            lambda model, windows: cross_entropy(
                model(windows).flatten(0, 1), windows.flatten()
            ),
            LINE,
            "bits",
        ),
    ],
    "gpt.next_token_log_distributions": [
        (
            lambda model, ids: torch.stack(log_rows(model, ids)) / math.log(2),
            "right in bits",
        ),
        (lambda model, ids: torch.stack(log_rows(model, ids, 1)), "You have N rows"),
        (log_rows, "It gives back a list instead of a tensor"),
        (
            lambda model, ids: (
                torch.stack(log_rows(model, ids)),
                model.eval(),
            )[0],
            "left in evaluation mode",
            "Dropout is on",
        ),
        (
            lambda model, ids: torch.stack(log_rows(model, ids)).mT,
            "dimensions 0 and 1 are swapped",
        ),
    ],
    "gpt.parameter_count": [
        (lambda config: f"{12 * config.width**2:,}", "It gives back text instead of"),
        (lambda config: config.parameters, LINE + "|raises an error"),
    ],
    "generation.sample_at_uniform": [
        (sample_without_return, "It gives back None", r"int\(\)|NoneType"),
        (
            lambda probabilities, u: probabilities.sort(descending=True)[1],
            "It gives back 3 numbers instead of one",
            r"int\(\)|only one element",
        ),
        (lambda probabilities, u: torch.multinomial(probabilities, 1), "each time"),
    ],
    "generation.keep_top_k": [
        (
            lambda logits, k: logits.topk(k).values,
            "Dimension 1 has size 2 instead of 4",
        ),
        (top_k_of_too_many, "`topk` refuses a k above V"),
        (
            lambda logits, k: logits >= logits.sort(-1)[0][:, [-min(k, len(logits.T))]],
            "true or false, and should be real",
        ),
    ],
    "generation.keep_top_p": [
        (
            top_p_with_a_misspelt_name,
            LINE + r"return logits.scatter\(-1, ordre",
            "sorted:",
        ),
        (
            lambda logits, p: logits,
            "It never uses `p`. It gives back `logits` unchanged",
        ),
    ],
    "generation.penalize_repetition": [
        (penalty_in_place, "It gives back None: is its `return` missing"),
        (
            lambda logits, ids, penalty: logits / penalty,
            "It never uses `ids`",
            "Divide",
        ),
    ],
    "generation.next_logits": [
        (next_logits_without_return, "It gives back None", "NoneType|detach"),
        (
            next_logits_changed(lambda y: y[:, -1].softmax(-1)),
            "Those are probabilities",
        ),
        (
            next_logits_changed(lambda y: y[:, -1:]),
            "The numbers are right. One dimension of size 1 is too many",
            "each position",
        ),
        (next_logits_changed(lambda y: y[:, -1].argmax(-1)), "1 dimension instead"),
    ],
    "generation.ids_at_low_temperature_and_top_p": [
        (lambda logits, u: logits.argmax(), "a number, and should give back 2 things"),
    ],
    "beam.extend_beams": [
        (beams_without_return, "It gives back None", "NoneType"),
        (
            lambda model, ids, beams, count: beam_candidates(model, ids, beams),
            "You gave back all candidates",
        ),
        (
            lambda model, ids, beams, count: beam_candidates(model, ids, beams, False)[
                :count
            ],
            "Right on input 1.*" + LINE,
        ),
    ],
    "checkpoints.header_tensor_names": [
        (lambda data: list(json.loads(data[8:])), LINE, "little-endian"),
        (header_of, "It gives back a dict instead of a list"),
        (lambda data: set(header_of(data)), "a set, which has no order"),
        (header_without_metadata, "Right on inputs 2 and 3.*" + LINE + "del header"),
        (lambda data: [header_of(data)], "0 of|yours", "sorted"),
    ],
    "checkpoints.save_atomically": [
        (
            save_and_rename_nothing,
            LINE + "disk.rename.*no file 'model.new' on the disk, but 'model', 'new'",
        ),
        (lambda disk, data: disk, CHANGES_NOTHING),
    ],
    "checkpoints.steps_to_keep": [
        (
            keep_the_smallest_of_all,
            "inputs 1, 2 and 4.*" + LINE + "best = min",
            "lowest",
        ),
        (keep(1, 2, set), "a set, which has no order"),
        (keep(1, 3), "You keep three of the newest", "as they were given"),
        (keep(2, 2), "yours", "twice|the highest loss"),
    ],
    "speed.arithmetic_intensity": [
        (
            lambda n, k, m, size: size * (n * k + k * m + n * m) / (2 * n * k * m),
            "upside down",
        ),
        (
            lambda n, k, m, size: 4 * n * k * m / (size * (n * k + k * m + n * m)),
            "are 2 times the right ones|times `size`",
        ),
    ],
    "speed.round_bits_to_bfloat16": [
        (lambda bits: bits / 65536, "yours", "variance|cut the lower half"),
        (lambda bits: hex(bits >> 16), "It gives back text instead of a number"),
    ],
    "speed.accumulated_gradients": [
        (gradients_of_nothing, r"no gradient at all\. Is `backward\(\)` called"),
        (
            gradients_deleted,
            r"no gradient at all.*no `zero_grad\(\)` after",
            "was never",
        ),
        (lambda model, x, y, micro_batches: len(x), CHANGES_NOTHING),
    ],
    "cache.attend": [
        (lambda query, keys, values: (query @ keys).softmax(-1) @ values, LINE),
        (
            lambda query, keys, values: (
                (query @ keys.mT / keys.size(-1) ** 0.5).softmax(-1) @ values
            ).squeeze(1),
            "The numbers are right. One dimension of size 1 is too few",
        ),
    ],
    "cache.cache_bytes": [
        (lambda *shape: 4 * math.prod(shape) / 1024, "are 1/1024 of the right ones"),
        (
            lambda depth, heads, head_size, context, rows: (
                4 * depth * heads * head_size**2 * context * rows
            ),
            "the right ones times `head_size`",
        ),
    ],
    "cache.cached_prefix_length": [
        (prefix_without_return_at_the_end, "None for input 1 of 7", "the last id is"),
        (
            lambda cached, ids: cached[: len(ids)],
            "numbers instead of one|a list instead",
        ),
    ],
    "compiled.break_even": [
        (
            lambda compile_seconds, eager, compiled: (
                compile_seconds / (eager - compiled) if eager > compiled else None
            ),
            "None for input 2 of 3",
        ),
        (
            lambda compile_seconds, eager, compiled: (
                compile_seconds / (eager - compiled)
            ),
            "you divide by 0",
            "not after fewer than 0",
        ),
    ],
    "modern.rms_norm": [
        (lambda x: x / x.square().mean(-1).sqrt(), "Right on input 1.*" + LINE),
        (
            lambda x: x / x.square().sum(-1, keepdim=True).sqrt() * x.size(-1),
            "the right ones times the root of the size of `x`|times",
        ),
    ],
    "modern.apply_rotary": [
        (rotary_with_angles_in_a_row, "Dimension 1 has size|" + LINE, "first row has"),
        (lambda x, angle: x, "It never uses `angle`. It gives back `x` unchanged"),
    ],
    "modern.repeat_kv": [
        (lambda keys, heads: keys.expand(-1, heads, -1, -1), LINE, "gets key head 0"),
    ],
    "muon.bias_corrected_average": [
        (
            average_from(lambda gradients: gradients[0], lambda beta: 1 - beta),
            "started",
        ),
        (
            average_from(
                lambda gradients: torch.zeros_like(gradients[0]), lambda beta: 1
            ),
            "yours counts in full",
        ),
        (lambda gradients, beta: gradients, "It gives back a list instead of a tensor"),
    ],
    "muon.newton_schulz_step": [
        (
            lambda x, a, b, c: a * x + (b * x.mT @ x) @ x,
            "Right on|" + LINE + "|It never uses `c`",
        ),
        (lambda x, a, b, c: x.softmax(-1), "It never uses `a` and `b` and `c`"),
    ],
    "muon.lr_fraction": [
        (
            lambda progress, warmup, decay_start: (
                100 * min(progress / warmup, 1, (1 - progress) / (1 - decay_start))
            ),
            "100 times the right ones: per cent",
        ),
        (
            lambda progress, warmup, decay_start: min(progress / warmup, 1 - progress),
            r"It never uses `decay_start`.*progress=0\.",
        ),
    ],
    "race.ngram_ids": [
        (
            lambda ids, length, base: ids.unfold(-1, length, 1).tolist(),
            "It gives back a list instead of a tensor",
        ),
        (
            lambda ids, length, base: ids,
            "Right on input 1|It gives back `ids`",
            "base⁰",
        ),
    ],
    "race.interpolate_with_shorter_context": [
        (
            lambda counts, shorter, discount: counts / counts.sum(-1, keepdim=True),
            r"It never uses `shorter` and `discount`. 3 of 9 numbers are NaN",
        ),
    ],
    "race.continuation_counts": [
        (
            lambda ids, vocab_size: len(set(ids.tolist())),
            "a number instead of a tensor",
        ),
        (
            lambda ids, vocab_size: ids.unique(return_counts=True)[1],
            "Dimension 0 has size|numbers? (is|are) right|too large|wrong",
            "comes .after. it",
        ),
    ],
    "tokens.merge_pair": [
        (
            lambda ids, pair, new_id: ids.replace(pair, new_id),
            LINE + "lambda ids, pair, new_id: ids.replace",
        ),
        (
            lambda ids, pair, new_id: ids,
            "It never uses `pair` and `new_id`.*It gives back `ids` unchanged",
            "swapped",
        ),
        (
            lambda ids, pair, new_id: [new_id] * len(ids),
            r"It never uses `pair`",
        ),
    ],
    "tokens.pair_counts": [
        (lambda words: list(words), "a list instead of|yours \\["),
        (lambda words: {}, r"yours \[\], expected \[\(\(1, 2\), 6\)"),
    ],
    "tokens.learn_merges": [
        (lambda words, count: [], r"yours \[\], expected \["),
        (lambda words, count: next(iter(words)), "It never uses `count`"),
    ],
    "tokens.encode": [
        (
            lambda text, pattern, ranks: [ranks[text.encode()]],
            LINE + r".*KeyError",
        ),
        (lambda text, pattern, ranks: list(text.encode()), "bytes|never uses"),
    ],
    "tokens.decode": [
        (
            lambda ids, vocabulary: [vocabulary[id] for id in ids],
            "It gives back a list instead of text",
        ),
        (lambda ids, vocabulary: vocabulary[ids].decode(), LINE),
    ],
    "tokens.bits_per_byte": [
        (
            lambda nats, text, ids: nats * len(ids) / math.log(2) / len(text) / 10,
            "never|wrong|right|yours",
        ),
        (lambda nats, text, ids: math.exp(nats), "It never uses `text` and `ids`"),
    ],
    "corpus.windows": [
        (lambda documents, context: documents, "It never uses `context`"),
        (lambda documents, context: [], r"yours \[\], expected \["),
    ],
    "corpus.example": [
        (lambda window, context, pad_id: (window, window[1:], [True]), "."),
        (lambda window, context, pad_id: window, "."),
    ],
    "corpus.masked_loss": [
        (
            lambda logits, targets, mask: cross_entropy(logits, targets),
            LINE + "|shape|size",
        ),
        (lambda logits, targets, mask: logits.mean(), "It never uses `targets`"),
    ],
    "corpus.hide": [
        (lambda text: text, r"Right on input 4\..*expected 'See \(website\) now"),
        (lambda text: text.replace("https://", "(website)"), "yours"),
    ],
    "large.without_copies": [
        (lambda train, test, is_copy: train, "It never uses `test` and `is_copy`"),
        (lambda train, test, is_copy: [], r"yours \[\], expected \["),
    ],
    "large.jaccard": [
        (lambda a, b: a & b, "."),
        (lambda a, b: len(a) / len(b), "division by zero|yours"),
    ],
    "large.cut": [
        (lambda text, position: position, "yours"),
        (lambda text, position: text.find(" ", position), "yours"),
    ],
    "corpus.stop": [
        (lambda train, validation, patience, every: (0, 0), "It never uses"),
        (
            lambda train, validation, patience, every: min(validation),
            "It never uses",
        ),
    ],
}
WRONG_CASES = [
    pytest.param(exercise, *case, *[""] * (3 - len(case)), id=f"{exercise}-{number}")
    for exercise, cases in WRONG_ANSWERS.items()
    for number, case in enumerate(cases)
]


@pytest.mark.parametrize(("exercise", "attempt", "pattern", "forbidden"), WRONG_CASES)
def test_a_wrong_answer_hears_what_is_wrong_with_it(
    exercise, attempt, pattern, forbidden
):
    verdict = EXERCISES[tuple(exercise.split("."))](attempt)
    assert verdict.passed is False
    assert re.search(pattern, verdict.message, re.DOTALL), verdict.message
    message = re.sub(LINE + ".*", "", verdict.message)  # without the source
    assert not forbidden or not re.search(forbidden, message), verdict.message


def test_there_are_wrong_answers_to_every_exercise():
    assert {tuple(name.split(".")) for name in WRONG_ANSWERS} == set(EXERCISES)
