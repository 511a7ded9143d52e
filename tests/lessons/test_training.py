"""One step, one schedule, one evaluator, one trainer."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gpt_lib import training as lesson
from gpt_lib.bigram import Bigram, bigram_counts, bigram_probabilities
from gpt_lib.check.toys import ToyModel
from gpt_lib.text import CharTokenizer, random_batch, sequential_batches
from tests.byte_tokenizer import ByteTokenizer


@pytest.fixture
def ids(device):
    """A text of five letters in which pairs matter."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(5, 5, generator=generator).pow(4)
    ids = [0]
    for _ in range(2999):
        row = probabilities[ids[-1]]
        ids.append(torch.multinomial(row, 1, generator=generator).item())
    return torch.tensor(ids, device=device)


def make_config(**changes):
    settings = {
        "steps": 60,
        "batch_size": 8,
        "context": 16,
        "learning_rate": 0.1,
        "warmup_steps": 5,
    }
    return lesson.TrainingConfig(**settings | changes)


def test_a_step_is_one_step_of_plain_descent(device):
    torch.manual_seed(0)
    model, reference = (ToyModel(5, context=6).eval().to(device) for _ in range(2))
    reference.load_state_dict(model.state_dict())
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.5) for m in (model, reference)]
    generator = torch.Generator().manual_seed(1)
    for max_grad_norm in (100.0, 0.01, 100.0):
        x, y = random_batch(torch.arange(50, device=device) % 5, 4, 6, generator)
        loss, norm = lesson.training_step(model, optimizers[0], x, y, max_grad_norm)
        expected = cross_entropy(reference(x).flatten(0, 1), y.flatten())
        gradients = torch.autograd.grad(expected, list(reference.parameters()))
        for parameter, gradient in zip(reference.parameters(), gradients):
            parameter.grad = gradient
        expected_norm = nn.utils.clip_grad_norm_(reference.parameters(), max_grad_norm)
        optimizers[1].step()
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(norm, expected_norm)
    for ours, theirs in zip(model.parameters(), reference.parameters()):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("scale", "max_grad_norm"), [(1.0, 2.0), (1.0, 100.0), (1e-3, 1.0)]
)
def test_clipping_equals_torch(scale, max_grad_norm):
    models = [nn.Linear(3, 2), nn.Linear(3, 2)]
    for model in models:
        model.weight.grad = scale * torch.arange(6.0).view(2, 3)
        model.bias.grad = scale * torch.tensor([5.0, -7.0])
    ours = lesson.clip_gradients(models[0], max_grad_norm)
    theirs = nn.utils.clip_grad_norm_(models[1].parameters(), max_grad_norm)
    torch.testing.assert_close(ours, theirs)
    for first, second in zip(models[0].parameters(), models[1].parameters()):
        torch.testing.assert_close(first.grad, second.grad)


def test_a_zero_gradient_stays_zero_and_missing_ones_are_skipped():
    model = nn.Linear(2, 2)
    model.weight.grad = torch.zeros(2, 2)
    assert lesson.clip_gradients(model, 1.0) == 0
    assert model.weight.grad.equal(torch.zeros(2, 2))
    model.weight.grad = None  # as PyTorch's: nothing to clip has norm 0
    assert lesson.clip_gradients(model, 1.0) == 0


def test_the_schedule_at_its_corners():
    settings = make_config(
        steps=101, warmup_steps=10, learning_rate=1.0, final_lr_fraction=0.1
    )
    rates = [lesson.learning_rate(step, settings) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 11)
    assert [step for step, rate in enumerate(rates) if rate == 1.0] == [10]
    assert rates[55] == pytest.approx(0.55)  # half way down
    for step in (100, 101, 150):
        assert lesson.learning_rate(step, settings) == pytest.approx(0.1, rel=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[20] > 0.97  # a cosine stays high where a line would be at 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps=0 must be from 1 to 1,000,000,000"),
        ({"batch_size": 0}, "batch_size=0 must be from 1 to 1,000,000"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be from 1e-09 to 1,000.0"),
        ({"learning_rate": math.nan}, "learning_rate=nan must be from 1e-09"),
        ({"max_grad_norm": -1.0}, "max_grad_norm=-1.0 must be from 1e-09 to 1"),
        ({"max_grad_norm": math.inf}, "max_grad_norm=inf must be from"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1 must be from 0.0 to 10.0"),
        ({"final_lr_fraction": 1.1}, "final_lr_fraction=1.1 must be from 0.0 to 1.0"),
        ({"evaluation_batches": 10**9}, "evaluation_batches=1000000000 must be from 1"),
        ({"evaluation_batches": 0}, "evaluation_batches=0 must be from 1 to 10,000"),
        ({"seed": 10**30}, "seed=10+ must be from 0 to"),
        ({"warmup_steps": -1}, "warmup_steps=-1 must be 0 or more"),
        (
            {"warmup_steps": 59},
            "warmup_steps=59 .* at most 58, two fewer than steps=60",
        ),
    ],
)
def test_an_impossible_config_says_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=message):
        make_config(**changes)


@pytest.mark.parametrize("length", [14, 20, 31])
def test_validation_reads_every_target_once(length):
    torch.manual_seed(0)
    model, ids = ToyModel(5, context=6), torch.arange(length) * 7 % 5
    loss = lesson.evaluate_loss(model, ids)
    model.eval()
    total = sum(
        cross_entropy(model(x)[0], y[0], reduction="sum").item()
        for x, y in sequential_batches(ids, 6, batch_size=1)
    )
    assert loss == pytest.approx(total / (length - 1), rel=1e-5)


def test_validation_reads_windows_of_the_context_for_models_of_any_length():
    torch.manual_seed(0)
    model, ids = ToyModel(5, context=6), torch.arange(40) * 7 % 5
    model.context = None
    short, long = (lesson.evaluate_loss(model, ids, context) for context in (4, 40))
    assert abs(short - long) > 1e-4
    model.context = 4
    assert lesson.evaluate_loss(model, ids) == pytest.approx(short)


@pytest.mark.parametrize("training", [True, False])
def test_eval_mode_restores_the_mode_even_after_an_error(training):
    model = ToyModel(5, context=6).train(training)

    def fail():
        with lesson.eval_mode(model):
            assert not model.training
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert model.training is training
    lesson.evaluate_loss(model, torch.arange(20) % 5)
    assert model.training is training


def test_estimates_use_the_same_batches_each_time(ids, device):
    model = Bigram(5).to(device)
    estimates = {lesson.estimate_loss(model, ids, make_config()) for _ in range(3)}
    assert len(estimates) == 1


def test_training_reaches_the_counted_pairs(ids, device):
    model = Bigram(5).to(device)
    settings = make_config(steps=600, batch_size=32, weight_decay=0.0)
    history = list(lesson.train(model, ids, ids, settings))
    probabilities = bigram_probabilities(bigram_counts(ids.cpu(), 5))
    counted = Bigram.from_probabilities(probabilities).to(device)
    lowest = lesson.evaluate_loss(counted, ids)
    assert history[0].batch_loss == pytest.approx(math.log(5), abs=1e-4)
    assert lesson.evaluate_loss(model, ids) == pytest.approx(lowest, abs=0.02)


def test_records_come_when_due_and_count_what_was_read(ids, device):
    settings = make_config(steps=45, record_every=10, evaluate_every=20)
    history = list(lesson.train(Bigram(5).to(device), ids, ids, settings))
    assert [record.step for record in history] == [0, 10, 20, 30, 40, 45]
    evaluated = [r.step for r in history if r.validation_estimate is not None]
    assert evaluated == [0, 20, 40, 45]
    assert [record.tokens for record in history][:2] == [128, 11 * 128]
    assert history[-1].tokens == 45 * 128
    settings = make_config(steps=40, record_every=10, evaluate_every=15)
    steps = [r.step for r in lesson.train(Bigram(5).to(device), ids, ids, settings)]
    assert steps == [0, 10, 15, 20, 30, 40]  # no estimate is lost
    assert history[-1].seconds_left == 0
    assert all(record.tokens_per_second > 0 for record in history)
    seconds = [record.seconds for record in history]
    assert seconds == sorted(seconds)


def weights_after(ids, **changes):
    torch.manual_seed(3)
    model = ToyModel(5, context=6).to(ids.device)
    list(lesson.train(model, ids, ids, make_config(**changes)))
    return [parameter.detach().cpu() for parameter in model.parameters()]


def test_equal_seeds_give_equal_weights_bit_for_bit(ids):
    ids = ids.cpu()
    first, second = weights_after(ids), weights_after(ids)
    other = weights_after(ids, seed=2)
    assert all(map(torch.equal, first, second))
    assert not all(map(torch.equal, first, other))


def test_evaluating_more_often_changes_nothing(ids):
    ids = ids.cpu()
    often = weights_after(ids, evaluate_every=3, record_every=1)
    assert all(map(torch.equal, weights_after(ids), often))


def test_a_run_can_be_stopped_at_any_record(ids, device):
    model = Bigram(5).to(device)
    run = lesson.train(model, ids, ids, make_config())
    next(run)
    next(run)
    run.close()
    assert model.bigram_logits.weight.isfinite().all()


def test_a_stopped_run_continues_as_if_it_had_never_stopped(ids, device):
    settings = make_config(steps=40, record_every=1)
    model, stopped = (
        ToyModel(5, context=6).to(device),
        ToyModel(5, context=6).to(device),
    )
    stopped.load_state_dict(model.state_dict())
    expected = list(lesson.train(model, ids, ids, settings))

    state = lesson.TrainingState.start(stopped, settings)
    records = []
    for record in lesson.train(stopped, ids, ids, settings, state):
        records.append(record)
        if record.step == 20:  # not a multiple of 16: the middle of a draw of batches
            break
    assert state.step == 21
    seconds = state.seconds
    records += lesson.train(stopped, ids, ids, settings, state)
    assert state.step == 40
    assert records[-1].seconds > seconds == records[20].seconds
    assert [r.batch_loss for r in records] == [r.batch_loss for r in expected]
    assert [r.tokens for r in records] == [r.tokens for r in expected]
    assert device.type != "cpu" or torch.equal(model.past_logits, stopped.past_logits)


def test_a_finished_run_has_nothing_left_to_do(ids, device):
    model, settings = Bigram(5).to(device), make_config(steps=6, warmup_steps=4)
    state = lesson.TrainingState.start(model, settings)
    list(lesson.train(model, ids, ids, settings, state))
    with pytest.raises(ValueError, match="6 of 6 steps are done: nothing is left"):
        next(lesson.train(model, ids, ids, settings, state))


def test_a_text_too_short_for_the_context_is_an_error(device):
    ids = torch.zeros(10, dtype=torch.long, device=device)
    with pytest.raises(ValueError, match="10 ids is too short for a context of 16"):
        next(lesson.train(Bigram(5).to(device), ids, ids, make_config()))


def test_every_parameter_group_gets_the_rate_times_its_scale():
    model = Bigram(17)
    groups = [
        {"params": [model.bigram_logits.weight]},
        {"params": [torch.zeros(1)], "lr_scale": 0.1},
    ]
    optimizer = torch.optim.SGD(groups, lr=9.0)
    config = make_config(steps=2, warmup_steps=0, learning_rate=0.5)
    ids = torch.randint(17, (400,))
    next(lesson.train(model, ids, ids, config, lesson.TrainingState(optimizer)))
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]


def test_an_optimizer_is_found_by_its_name(ids, device):
    model, settings = Bigram(5).to(device), make_config(optimizer="plain")
    with pytest.raises(ValueError, match="optimizer='plain' must be one of AdamW"):
        lesson.TrainingState.start(model, settings)
    optimizers = lesson.OPTIMIZERS | {
        "plain": lambda model, config: torch.optim.SGD(model.parameters(), lr=1.0)
    }
    state = lesson.TrainingState.start(model, settings, optimizers)
    assert isinstance(state.optimizer, torch.optim.SGD)
    next(lesson.train(model, ids, ids, settings, state))


def test_bits_per_byte_by_hand():
    tokenizer = CharTokenizer.from_text("aé")  # of one byte and of two
    ids = tokenizer.encode("aaéé")  # the first is no target
    nats_per_token = math.log(2)
    expected = 3 / 5  # one bit for each of 3 tokens, which are 5 bytes
    bits = lesson.bits_per_byte(nats_per_token, ids.to(torch.int16), tokenizer)
    assert bits == pytest.approx(expected)


def test_two_tokenizers_that_know_nothing_are_compared_per_byte():
    text = 20 * "é🙂"
    byte_loss = lesson.bits_per_byte(
        math.log(256), ByteTokenizer().encode(text), ByteTokenizer()
    )
    assert byte_loss == pytest.approx(8.0)
    tokenizer = CharTokenizer.from_text(text)
    char_loss = lesson.bits_per_byte(math.log(2), tokenizer.encode(text), tokenizer)
    assert char_loss == pytest.approx(
        39 / 118
    )  # a bit for each character but the first


def test_training_on_bytes_needs_nothing_else(device):
    tokenizer, text = ByteTokenizer(), 200 * "é🙂 naïve "
    ids = tokenizer.encode(text).to(torch.int16).to(device)
    model = Bigram(tokenizer.vocab_size).to(device)
    *_, last = lesson.train(model, ids, ids, make_config(steps=80, learning_rate=0.3))
    loss = lesson.evaluate_loss(model, ids)
    assert loss < 1.0 < math.log(256)
    assert last.validation_estimate == pytest.approx(loss, abs=0.1)
    assert lesson.bits_per_byte(loss, ids, tokenizer) == pytest.approx(
        loss / math.log(2), rel=1e-6
    )
