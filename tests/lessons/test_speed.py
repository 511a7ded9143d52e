"""Recipes equal the plain step; the counts, the clock and the batches are right."""

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from gpt_lib import speed as lesson
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.heads import MultiHead
from gpt_lib.training import TrainingConfig, train, training_step

SMALL = GPTConfig(17, context=8, width=16, heads=2, depth=2)
HALVES = (torch.bfloat16, torch.float16)


def start(device, config=SMALL):
    """A model, its optimizer and a batch; the same ones each time."""
    torch.manual_seed(0)
    model = GPT(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    dice = torch.Generator().manual_seed(1)
    x, y = torch.randint(17, (2, 7, config.context), generator=dice).to(device)
    return model, optimizer, x, y


def after(learn, device, steps=3, clip=1.0):
    """Weights, and the last loss and gradient length."""
    model, optimizer, x, y = start(device)
    for _ in range(steps):
        loss, length = learn(model, optimizer, x, y, clip)
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return weights, loss, length


def test_operation_times_name_the_longest_first_and_tell_of_one_call(device):
    a, calls = torch.randn(300, 300, device=device), []

    def work():
        calls.append(1)
        (a @ a).relu()

    times = lesson.operation_times(work, device, rounds=20)
    assert len(calls) == 21  # one to warm up
    assert {"mm", "relu"} <= times.keys()
    assert list(times.values()) == sorted(times.values(), reverse=True)
    with_ten = lesson.operation_times(lambda: [work() for _ in range(10)], device)
    assert with_ten["mm"] > 2 * times["mm"]


def test_the_plain_recipe_is_the_training_step_to_the_last_bit(device):
    for ours, theirs in zip(
        after(lesson.Recipe(), device), after(training_step, device)
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("clip", [1.0, 0.05])
@pytest.mark.parametrize("parts", [2, 3, 4, 7])  # 7 rows: most do not divide them
def test_parts_equal_the_large_batch(parts, clip, device):
    expected = after(training_step, device, clip=clip)
    found = after(lesson.Recipe(parts=parts), device, clip=clip)
    for ours, theirs in zip(found, expected):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=2e-4)


def test_a_graph_learns_what_its_steps_learn(device):
    """For several batches, shapes of them, and models; on a CPU nothing is noted."""
    weights = []
    for recipe in (lesson.HalfRecipe(torch.float32), lesson.GraphRecipe(torch.float32)):
        found = []
        for config in (SMALL, replace(SMALL, depth=1), SMALL):
            model, optimizer, x, y = start(device, config)
            for rows in (7, 7, 4, 7):
                recipe(model, optimizer, x[:rows], y[:rows].roll(rows, 1), 1.0)
            found += [p.detach().flatten() for p in model.parameters()]
        weights.append(torch.cat(found))
    torch.testing.assert_close(*weights)


def test_a_copy_in_32_bits_is_the_training_step(device):
    found = after(lesson.HalfRecipe(torch.float32), device, clip=0.05)
    for ours, theirs in zip(found, after(training_step, device, clip=0.05)):
        torch.testing.assert_close(ours, theirs)


def test_what_others_leave_in_the_gradients_does_not_matter_to_a_graph(device):
    """Between its steps another recipe learns, and the gradients are thrown away."""
    weights = []
    for recipe in (lesson.HalfRecipe(torch.float32), lesson.GraphRecipe(torch.float32)):
        model, optimizer, x, y = start(device)
        losses = []
        for learn in (recipe, training_step, recipe, recipe):
            losses.append(learn(model, optimizer, x, y, 1.0)[0])
            optimizer.zero_grad()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        assert len({loss.item() for loss in losses}) == len(losses)
    torch.testing.assert_close(*weights)


def test_a_copy_in_float16_is_refused():
    with pytest.raises(ValueError, match="must be float32 or bfloat16: float16 needs"):
        lesson.HalfRecipe(torch.float16)


@pytest.mark.parametrize(
    "half",
    [*map(lesson.Recipe, HALVES), lesson.HalfRecipe()],
    ids=lambda r: str(r)[:40],
)
def test_half_the_bits_stay_in_a_band_around_the_loss_of_float32(half, device):
    config = TrainingConfig(
        steps=60, batch=16, warmup=5, learning_rate=0.01, evaluate_every=60
    )
    ids = torch.arange(4000, device=device) * 7 % 17  # learnable to the end
    losses = []
    for recipe in (lesson.Recipe(), half):
        model = start(device)[0]
        *_, last = train(model, ids, ids, config, learn=recipe)
        losses.append(last.validation_estimate)
    assert losses[0] < 0.7
    assert abs(losses[1] - losses[0]) < 0.05
    assert next(model.parameters()).dtype == torch.float32


@pytest.mark.parametrize("precision", HALVES)
def test_products_really_are_in_half_the_bits(precision, device):
    model, optimizer, x, y = start(device)
    seen = []
    model.unembed.register_forward_hook(lambda *given: seen.append(given[2].dtype))
    lesson.Recipe(precision)(model, optimizer, x, y, 1.0)
    lesson.Recipe()(model, optimizer, x, y, 1.0)
    assert seen == [precision, torch.float32]


def test_only_float16_scales_its_loss():
    enabled = {p: lesson.Recipe(p).scaler.is_enabled() for p in HALVES}
    assert enabled == {torch.bfloat16: False, torch.float16: True}


def test_a_scaled_gradient_is_measured_unscaled(device):
    _, _, expected = after(training_step, device, steps=1)
    _, _, length = after(lesson.Recipe(torch.float16), device, steps=1)
    assert length.item() == pytest.approx(expected.item(), rel=0.02)


def test_an_infinite_gradient_in_float16_takes_no_step(device):
    model, optimizer, x, y = start(device)
    before = copy.deepcopy(model.state_dict())
    recipe = lesson.Recipe(torch.float16)
    model.unembed.weight.register_hook(lambda gradient: gradient * torch.inf)
    recipe(model, optimizer, x, y, 1.0)
    assert all(torch.equal(before[k], w) for k, w in model.state_dict().items())
    assert recipe.scaler.get_scale() < 2**16


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precision": torch.int8}, "precision=torch.int8 must be a float of 32 or 16"),
        ({"attention": "flash"}, "attention='flash' must be plain or fused"),
        ({"parts": 0}, "parts=0 must be at least 1"),
    ],
)
def test_a_recipe_says_what_is_allowed(given, message):
    with pytest.raises(ValueError, match=message):
        lesson.Recipe(**given)
    if "attention" in given:
        with pytest.raises(ValueError, match=message):
            lesson.HalfRecipe(**given)


def test_more_parts_than_rows_are_refused(device):
    model, optimizer, x, y = start(device)
    with pytest.raises(ValueError, match="parts=8 are more than the 7 rows"):
        lesson.Recipe(parts=8)(model, optimizer, x, y, 1.0)


# Counting


@pytest.mark.parametrize("config", [SMALL, GPTConfig(65), GPTConfig(9, 32, 24, 3, 5)])
def test_operations_are_those_that_pytorch_counts(config):
    torch.manual_seed(0)
    model = GPT(config)
    x = torch.zeros(2, config.context, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        cross_entropy(model(x).flatten(0, 1), x.flatten()).backward()
    assert lesson.operations(config, x.numel()) == counter.get_total_flops()


def test_the_roof_is_the_lower_of_two():
    roof = lesson.Roof(operations=100.0, bandwidth=10.0)
    assert [roof.at(i) for i in (1, 10, 20)] == [10, 100, 100]


def test_a_roof_counts_operations_and_bytes(monkeypatch):
    def stopped(work, rounds, choose):
        assert choose([3.0, 1.0, 2.0]) == 1.0  # a roof is what is reached at best
        return work() is None or 2

    monkeypatch.setattr(lesson, "seconds_of", stopped)
    roof = lesson.measure_roof(torch.device("cpu"), size=4)
    assert roof == lesson.Roof(2 * 4**3 / 2, 2 * 2**25 * 4 / 2)


def test_the_stopwatch_takes_the_median_of_the_warm_calls(monkeypatch):
    takes = iter([50, 40, 3, 1, 9, 2, 4])
    clock = [0.0]
    monkeypatch.setattr(lesson.time, "perf_counter", lambda: clock[0])

    def work():
        clock[0] += next(takes)

    assert lesson.seconds_of(work, rounds=5) == 3


def test_precision_is_measured(monkeypatch):
    def pick(whole, half):
        times = iter([whole, half])
        monkeypatch.setattr(lesson, "seconds_of", lambda _, rounds: next(times))
        return lesson.pick_precision(torch.device("cpu"))

    assert pick(1.0, 0.5) == torch.bfloat16
    assert pick(1.0, 0.9) == torch.float32  # not worth the digits
    assert pick(1.0, 30.0) == torch.float32  # emulated


# Attention


def written(q, k, v, allowed, scale):
    """Attention as in lesson 05; rows may look where `allowed` (T, T) is True."""
    scores = (q @ k.mT * scale).masked_fill(~allowed, -torch.inf)
    return scores.softmax(dim=-1) @ v


@pytest.mark.parametrize("name", lesson.ATTENTIONS)
@pytest.mark.parametrize("scale", [None, 0.7])
def test_both_attentions_are_attention(name, scale, device):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 5, 8, device=device) for _ in range(3))
    every = torch.ones(5, 5, dtype=torch.bool, device=device)
    window = every.tril() & every.triu(-1)  # the last two
    attend = partial(lesson.ATTENTIONS[name], q, k, v, scale=scale)
    number = scale or 8**-0.5
    near = torch.testing.assert_close
    near(attend(is_causal=True), written(q, k, v, every.tril(), number))
    near(attend(window), written(q, k, v, window, number))
    near(attend(), written(q, k, v, every, number))


def test_plain_attention_drops_weights_as_asked():
    torch.manual_seed(0)
    q, v = torch.randn(1, 1, 50, 8), torch.eye(50)[None, None]
    weights = lesson.plain_attention(q, q, v, dropout_p=0.5)
    whole = lesson.plain_attention(q, q, v)
    dropped = weights == 0
    assert 0.4 < dropped.float().mean() < 0.6
    torch.testing.assert_close(weights[~dropped], 2 * whole[~dropped])


@pytest.mark.parametrize("recipe", [lesson.Recipe, lesson.HalfRecipe])
def test_the_chosen_attention_is_done_and_then_forgotten(recipe):
    model, optimizer, x, y = start(torch.device("cpu"))
    done = {}
    for name in lesson.ATTENTIONS:
        learn = recipe(torch.float32, name)
        with profile(activities=[ProfilerActivity.CPU]) as found:
            learn(model, optimizer, x, y, 1.0)
        done[name] = {row.key for row in found.key_averages()}
    assert any("flash" in key for key in done["fused"])
    assert not any("flash" in key for key in done["plain"])
    heads = [part for part in model.modules() if isinstance(part, MultiHead)]
    assert heads
    assert not any("attend" in vars(each) for each in heads)


def test_the_chosen_attention_is_forgotten_after_an_error(device):
    model, optimizer, x, _ = start(device)
    too_long = torch.cat([x, x], dim=1)
    with pytest.raises(ValueError, match="more than the context"):
        lesson.Recipe(attention="plain")(model, optimizer, too_long, too_long, 1.0)
    assert "attend" not in vars(model.blocks[0].attention)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_attention_done_plainly_trains_the_same(precision, device):
    found = after(lesson.Recipe(precision, "plain"), device)
    expected = after(lesson.Recipe(precision, "fused"), device)
    margin = 1e-4 if precision == torch.float32 else 0.03
    torch.testing.assert_close(found[1], expected[1], atol=margin, rtol=0)


def test_the_faster_attention_is_picked(monkeypatch):
    slow = dict.fromkeys(lesson.ATTENTIONS, 2.0)
    for name in lesson.ATTENTIONS:
        times = slow | {name: 1.0}
        monkeypatch.setattr(lesson, "attention_times", lambda *_, times=times: times)
        assert lesson.pick_attention((1, 1, 4, 4), torch.device("cpu"), None) == name


def test_attention_is_timed_there_and_back(monkeypatch, device):
    lengths = []

    def attention(q, k, v, is_causal):
        assert is_causal
        q.register_hook(lambda gradient: lengths.append(gradient.shape))
        return q + k + v

    monkeypatch.setattr(lesson, "ATTENTIONS", {"one": attention, "other": attention})
    times = lesson.attention_times((1, 2, 4, 8), device, torch.float32)
    assert set(times) == {"one", "other"}
    assert all(seconds > 0 for seconds in times.values())
    assert set(lengths) == {(1, 2, 4, 8)}


# Batches ahead


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_batches_ahead_are_the_same_in_the_same_order(count, device):
    batches = [(torch.tensor([n]), torch.tensor([n + 1])) for n in range(count)]
    found = list(lesson.ahead(iter(batches), device))
    assert [(x.item(), y.item()) for x, y in found] == [
        (n, n + 1) for n in range(count)
    ]
    assert all(x.device.type == device.type for x, _ in found)


def test_a_batch_is_sent_before_it_is_asked_for(device):
    drawn = []

    def batches():
        for n in range(4):
            drawn.append(n)
            yield (torch.tensor([n]),)

    source = lesson.ahead(batches(), device)
    next(source)
    assert drawn == [0, 1]


def test_the_trainer_takes_a_recipe(device):
    model = start(device)[0]
    ids = torch.randint(17, (400,), device=device)
    config = TrainingConfig(steps=3, batch=4, warmup=0, record_every=1)
    recipe, batches = lesson.Recipe(parts=2), []

    def learn(model, optimizer, x, y, clip):
        batches.append(x.shape)
        return recipe(model, optimizer, x, y, clip)

    records = list(train(model, ids, ids, config, learn=learn))
    assert [record.step for record in records] == [0, 1, 2, 3]
    assert batches == 3 * [(4, SMALL.context)]
