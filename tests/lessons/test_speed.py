"""Training steps equal the plain one; counts, times and batches are right."""

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from gpt_lib import speed as lesson
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.training import TrainingConfig, train, training_step

SMALL = GPTConfig(17, context=8, width=16, heads=2, depth=2)
HALVES = (torch.bfloat16, torch.float16)


def initial_state(device, config=SMALL, attention=scaled_dot_product_attention):
    """A model, its optimizer and a batch; the same ones each time."""
    torch.manual_seed(0)
    model = GPT(config, attention).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randint(17, (2, 7, config.context), generator=generator).to(device)
    return model, optimizer, x, y


def flat_weights(model):
    """All parameters as one vector."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def train_steps(step_function, device, steps=3, max_grad_norm=1.0, **options):
    """Weights after a few steps, and the last loss and gradient norm."""
    model, optimizer, x, y = initial_state(device, **options)
    for _ in range(steps):
        loss, norm = step_function(model, optimizer, x, y, max_grad_norm)
    return flat_weights(model), loss, norm


def test_the_profile_lists_the_longest_operators_first_and_times_one_call(device):
    a, calls = torch.randn(300, 300, device=device), []

    def work():
        calls.append(1)
        (a @ a).relu()

    times = lesson.profile_operators(work, device, rounds=20)
    assert len(calls) == 21  # one to warm up
    assert {"mm", "relu"} <= times.keys()
    assert list(times.values()) == sorted(times.values(), reverse=True)
    ten_calls = lesson.profile_operators(lambda: [work() for _ in range(10)], device)
    assert ten_calls["mm"] > 2 * times["mm"]


def test_the_default_train_step_is_the_training_step_to_the_last_bit(device):
    for ours, theirs in zip(
        train_steps(lesson.MixedPrecisionStep(), device),
        train_steps(training_step, device),
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("max_grad_norm", [1.0, 0.05])
@pytest.mark.parametrize("count", [2, 3, 4, 7])  # 7 rows: most do not divide them
def test_micro_batches_equal_the_large_batch(count, max_grad_norm, device):
    accumulating = lesson.MixedPrecisionStep(micro_batches=count)
    for ours, theirs in zip(
        train_steps(accumulating, device, max_grad_norm=max_grad_norm),
        train_steps(training_step, device, max_grad_norm=max_grad_norm),
    ):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=2e-4)


STEP_CLASSES = lesson.MasterWeightStep, lesson.CudaGraphStep


def test_a_graph_learns_what_its_steps_learn(device):
    """For several batches, batch shapes and models; on a CPU nothing is captured."""
    weights = []
    for step_class in STEP_CLASSES:
        step, weights_of_models = step_class(torch.float32), []
        for config in (SMALL, replace(SMALL, depth=1), SMALL):
            model, optimizer, x, y = initial_state(device, config)
            for rows in (7, 7, 4, 7):
                step(model, optimizer, x[:rows], y[:rows].roll(rows, 1), 1.0)
            weights_of_models.append(flat_weights(model))
        weights.append(torch.cat(weights_of_models))
    torch.testing.assert_close(*weights)


def test_a_copy_in_32_bits_is_the_training_step(device):
    for ours, theirs in zip(
        train_steps(lesson.MasterWeightStep(torch.float32), device, max_grad_norm=0.05),
        train_steps(training_step, device, max_grad_norm=0.05),
    ):
        torch.testing.assert_close(ours, theirs)


def test_what_others_leave_in_the_gradients_does_not_matter_to_a_graph(device):
    """Another step learns in between, and the gradients are set to None."""
    weights = []
    for step_class in STEP_CLASSES:
        model, optimizer, x, y = initial_state(device)
        step, losses = step_class(torch.float32), []
        for step_function in (step, training_step, step, step):
            losses.append(step_function(model, optimizer, x, y, 1.0)[0])
            optimizer.zero_grad()
        weights.append(flat_weights(model))
        assert len({loss.item() for loss in losses}) == len(losses)
    torch.testing.assert_close(*weights)


def test_a_copy_in_float16_is_refused():
    with pytest.raises(ValueError, match="must be float32 or bfloat16: float16 needs"):
        lesson.MasterWeightStep(torch.float16)


@pytest.mark.parametrize(
    "half",
    [*map(lesson.MixedPrecisionStep, HALVES), lesson.MasterWeightStep()],
    ids=lambda r: str(r)[:40],
)
def test_half_the_bits_stay_in_a_band_around_the_loss_of_float32(half, device):
    config = TrainingConfig(
        steps=60, batch_size=16, warmup_steps=5, learning_rate=0.01, evaluate_every=60
    )
    ids = torch.arange(4000, device=device) * 7 % 17  # learnable to the end
    losses = []
    for step_function in (lesson.MixedPrecisionStep(), half):
        model = initial_state(device)[0]
        *_, last = train(model, ids, ids, config, step_function=step_function)
        losses.append(last.validation_estimate)
    assert losses[0] < 0.7
    assert abs(losses[1] - losses[0]) < 0.05
    assert next(model.parameters()).dtype == torch.float32


@pytest.mark.parametrize("precision", HALVES)
def test_products_really_are_in_half_the_bits(precision, device):
    model, optimizer, x, y = initial_state(device)
    dtypes = []
    model.unembed.register_forward_hook(
        lambda module, inputs, logits: dtypes.append(logits.dtype)
    )
    lesson.MixedPrecisionStep(precision)(model, optimizer, x, y, 1.0)
    lesson.MixedPrecisionStep()(model, optimizer, x, y, 1.0)
    assert dtypes == [precision, torch.float32]


def test_only_float16_scales_its_loss():
    enabled = {p: lesson.MixedPrecisionStep(p).scaler.is_enabled() for p in HALVES}
    assert enabled == {torch.bfloat16: False, torch.float16: True}


def test_a_scaled_gradient_is_measured_unscaled(device):
    _, _, expected = train_steps(training_step, device, steps=1)
    _, _, norm = train_steps(lesson.MixedPrecisionStep(torch.float16), device, steps=1)
    assert norm.item() == pytest.approx(expected.item(), rel=0.02)


def test_an_infinite_gradient_in_float16_takes_no_step(device):
    model, optimizer, x, y = initial_state(device)
    before = copy.deepcopy(model.state_dict())
    step = lesson.MixedPrecisionStep(torch.float16)
    model.unembed.weight.register_hook(lambda gradient: gradient * torch.inf)
    step(model, optimizer, x, y, 1.0)
    assert all(torch.equal(before[k], w) for k, w in model.state_dict().items())
    assert step.scaler.get_scale() < 2**16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": torch.int8}, "precision=torch.int8 must be a float of 32 or 16"),
        ({"micro_batches": 0}, "micro_batches=0 must be at least 1"),
    ],
)
def test_impossible_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(ValueError, match=message):
        lesson.MixedPrecisionStep(**arguments)


def test_more_micro_batches_than_rows_are_refused(device):
    with pytest.raises(ValueError, match="micro_batches=8 are more than the 7 rows"):
        lesson.MixedPrecisionStep(micro_batches=8)(*initial_state(device), 1.0)


# Counting


@pytest.mark.parametrize("config", [SMALL, GPTConfig(65), GPTConfig(9, 32, 24, 3, 5)])
def test_training_flops_are_those_that_pytorch_counts(config):
    torch.manual_seed(0)
    model = GPT(config)
    x = torch.zeros(2, config.context, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        cross_entropy(model(x).flatten(0, 1), x.flatten()).backward()
    assert lesson.training_flops(config, x.numel()) == counter.get_total_flops()


def test_the_roofline_is_the_lower_of_two_limits():
    roofline = lesson.Roofline(flops=100.0, bandwidth=10.0)
    assert [roofline.attainable(i) for i in (1, 10, 20)] == [10, 100, 100]


def test_a_roofline_counts_operations_and_bytes(monkeypatch):
    def two_seconds(work, rounds, summarize):
        assert summarize([3.0, 1.0, 2.0]) == 1.0  # a limit is what is reached at best
        return work() is None or 2

    monkeypatch.setattr(lesson, "time_call", two_seconds)
    roofline = lesson.measure_roofline(torch.device("cpu"), size=4)
    assert roofline == lesson.Roofline(2 * 4**3 / 2, 2 * 2**25 * 4 / 2)


def test_the_time_of_a_call_is_the_median_of_the_warm_calls(monkeypatch):
    durations = iter([50, 40, 3, 1, 9, 2, 4])
    clock = [0.0]
    monkeypatch.setattr(lesson.time, "perf_counter", lambda: clock[0])

    def work():
        clock[0] += next(durations)

    assert lesson.time_call(work, rounds=5) == 3


def test_precision_is_measured(monkeypatch):
    def pick(float32_seconds, half_seconds):
        times = iter([float32_seconds, half_seconds])
        monkeypatch.setattr(lesson, "time_call", lambda _, rounds: next(times))
        return lesson.pick_precision(torch.device("cpu"))

    assert pick(1.0, 0.5) == torch.bfloat16
    assert pick(1.0, 0.9) == torch.float32  # not worth the digits
    assert pick(1.0, 30.0) == torch.float32  # emulated


# Attention


def reference_attention(q, k, v, mask, scale):
    """Attention as in lesson 05; a query attends to keys where `mask` is True."""
    scores = (q @ k.mT * scale).masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1) @ v


@pytest.mark.parametrize("name", lesson.ATTENTIONS)
@pytest.mark.parametrize("scale", [None, 0.7])
def test_both_attentions_are_attention(name, scale, device):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 5, 8, device=device) for _ in range(3))
    everything = torch.ones(5, 5, dtype=torch.bool, device=device)
    window = everything.tril() & everything.triu(-1)  # the last two
    attention = partial(lesson.ATTENTIONS[name], q, k, v, scale=scale)
    expected = partial(reference_attention, q, k, v, scale=scale or 8**-0.5)
    assert_close = torch.testing.assert_close
    assert_close(attention(is_causal=True), expected(mask=everything.tril()))
    assert_close(attention(window), expected(mask=window))
    assert_close(attention(), expected(mask=everything))


@pytest.mark.parametrize("name", lesson.ATTENTIONS)
def test_both_attentions_take_more_keys_than_queries_and_a_mask_for_each_row(
    name, device
):
    torch.manual_seed(0)
    q = torch.randn(2, 3, 2, 8, device=device)
    k, v = (torch.randn(2, 3, 5, 8, device=device) for _ in range(2))
    mask = torch.ones(2, 1, 2, 5, dtype=torch.bool, device=device).tril(3)
    mask[1, :, :, :2] = False  # padding
    attention = lesson.ATTENTIONS[name]
    for each in (mask, mask[0, 0], None):
        mixed = attention(q, k, v, each)
        everything = torch.ones_like(mask)
        expected = reference_attention(
            q, k, v, everything if each is None else each, 8**-0.5
        )
        torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 0.0},
        {"scale": 2.0},
        {"attn_mask": torch.randn(2, 5, generator=torch.Generator().manual_seed(1))},
        {"attn_mask": torch.linspace(-1, 1, 60).view(2, 3, 2, 5)},
        {"attn_mask": torch.ones(3, 1, 5, dtype=torch.bool)},
        {"attn_mask": torch.ones(1, 3, 2, 5, dtype=torch.bool).tril(2)},
    ],
)
def test_plain_attention_takes_what_fused_attention_takes(options):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 3, 2, 8), *torch.randn(2, 2, 3, 5, 8)
    plain, fused = (f(q, k, v, **options) for f in lesson.ATTENTIONS.values())
    torch.testing.assert_close(plain, fused)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 5, 8), {}, r"q, k, v are \(2, 5, 8\), .*must be \(B, N, T or S, H\)"),
        (
            (2, 3, 5, 8),
            {"is_causal": True, "attn_mask": torch.ones(5, 5, dtype=torch.bool)},
            "brings its own mask: give no attn_mask",
        ),
    ],
)
def test_plain_attention_refuses_what_it_cannot_do(shape, options, message):
    x = torch.zeros(shape)
    with pytest.raises(ValueError, match=message):
        lesson.plain_attention(x, x, x, **options)


def test_plain_attention_drops_weights_as_asked():
    torch.manual_seed(0)
    q, v = torch.randn(1, 1, 50, 8), torch.eye(50)[None, None]
    weights = lesson.plain_attention(q, q, v, dropout_p=0.5)
    without_dropout = lesson.plain_attention(q, q, v)
    dropped = weights == 0
    assert 0.4 < dropped.float().mean() < 0.6
    torch.testing.assert_close(weights[~dropped], 2 * without_dropout[~dropped])


@pytest.mark.parametrize(
    "step_class", [lesson.MixedPrecisionStep, lesson.MasterWeightStep]
)
def test_a_step_runs_the_attention_that_the_model_was_built_with(step_class):
    operators = {}
    for name, attention in lesson.ATTENTIONS.items():
        state = initial_state(torch.device("cpu"), attention=attention)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            step_class(torch.float32)(*state, 1.0)
        operators[name] = {row.key for row in profiler.key_averages()}
    assert any("flash" in key for key in operators["fused"])
    assert not any("flash" in key for key in operators["plain"])


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "step_class", [lesson.MixedPrecisionStep, lesson.MasterWeightStep]
)
def test_plain_attention_trains_like_fused_attention(step_class, precision, device):
    _, loss, _ = train_steps(
        step_class(precision), device, attention=lesson.plain_attention
    )
    _, expected, _ = train_steps(step_class(precision), device)
    margin = 1e-4 if precision == torch.float32 else 0.03
    torch.testing.assert_close(loss, expected, atol=margin, rtol=0)


def test_the_faster_attention_is_picked(monkeypatch):
    slow = dict.fromkeys(lesson.ATTENTIONS, 2.0)
    for name in lesson.ATTENTIONS:
        times = slow | {name: 1.0}
        monkeypatch.setattr(lesson, "attention_times", lambda *_, times=times: times)
        assert (
            lesson.fastest_attention_name((1, 1, 4, 4), torch.device("cpu"), None)
            == name
        )


def test_attention_is_timed_forward_and_backward(monkeypatch, device):
    gradient_shapes = []

    def attention(q, k, v, is_causal):
        assert is_causal
        q.register_hook(lambda gradient: gradient_shapes.append(gradient.shape))
        return q + k + v

    monkeypatch.setattr(lesson, "ATTENTIONS", {"one": attention, "other": attention})
    times = lesson.attention_times((1, 2, 4, 8), device, torch.float32)
    assert set(times) == {"one", "other"}
    assert all(seconds > 0 for seconds in times.values())
    assert set(gradient_shapes) == {(1, 2, 4, 8)}


# Prefetching


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_prefetched_batches_are_the_same_in_the_same_order(count, device):
    batches = [(torch.tensor([n]), torch.tensor([n + 1])) for n in range(count)]
    prefetched = list(lesson.prefetch(iter(batches), device))
    assert [(x.item(), y.item()) for x, y in prefetched] == [
        (n, n + 1) for n in range(count)
    ]
    assert all(x.device.type == device.type for x, _ in prefetched)


def test_a_batch_is_copied_while_the_one_before_it_is_used(device):
    produced = []

    def batches():
        for n in range(4):
            produced.append(n)
            yield (torch.tensor([n]),)

    next(lesson.prefetch(batches(), device))
    assert produced == [0, 1]


def test_the_trainer_takes_a_step_function(device):
    model = initial_state(device)[0]
    ids = torch.randint(17, (400,), device=device)
    config = TrainingConfig(steps=3, batch_size=4, warmup_steps=0, record_every=1)
    step, shapes = lesson.MixedPrecisionStep(micro_batches=2), []

    def step_function(model, optimizer, x, y, max_grad_norm):
        shapes.append(x.shape)
        return step(model, optimizer, x, y, max_grad_norm)

    records = list(train(model, ids, ids, config, step_function=step_function))
    assert [record.step for record in records] == [0, 1, 2, 3]
    assert shapes == 3 * [(4, SMALL.context)]
