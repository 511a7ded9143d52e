"""One step, one schedule, one evaluator, one trainer."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gpt_lib import training as lesson
from gpt_lib.bigram import Bigram, count_pairs, pair_probabilities
from gpt_lib.text import blocks, random_batch


class Dropping(nn.Module):
    """A model with dropout and with state that depends on the place in its block."""

    context, vocab_size = 6, 5

    def __init__(self):
        super().__init__()
        self.embed, self.drop = nn.Embedding(5, 8), nn.Dropout(0.5)
        self.out = nn.Linear(8, 5)

    def forward(self, ids):
        steps = torch.arange(1, ids.size(1) + 1, device=ids.device)[:, None]
        return self.out(self.drop(self.embed(ids).cumsum(1) / steps))


@pytest.fixture
def ids(device):
    """A text of five letters in which pairs matter."""
    dice = torch.Generator().manual_seed(0)
    rows = torch.rand(5, 5, generator=dice).pow(4)
    written = [0]
    for _ in range(2999):
        written.append(torch.multinomial(rows[written[-1]], 1, generator=dice).item())
    return torch.tensor(written, device=device)


def config(**changes):
    settings = {
        "steps": 60,
        "batch": 8,
        "context": 16,
        "learning_rate": 0.1,
        "warmup": 5,
    }
    return lesson.TrainingConfig(**settings | changes)


def test_a_step_is_one_step_of_plain_descent(device):
    torch.manual_seed(0)
    model, twin = Dropping().eval().to(device), Dropping().eval().to(device)
    twin.load_state_dict(model.state_dict())
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.5) for m in (model, twin)]
    dice = torch.Generator().manual_seed(1)
    for clip in (100.0, 0.01, 100.0):
        x, y = random_batch(torch.arange(50, device=device) % 5, 4, 6, dice)
        loss, length = lesson.training_step(model, optimizers[0], x, y, clip)
        expected = cross_entropy(twin(x).flatten(0, 1), y.flatten())
        gradients = torch.autograd.grad(expected, list(twin.parameters()))
        for parameter, gradient in zip(twin.parameters(), gradients):
            parameter.grad = gradient
        norm = nn.utils.clip_grad_norm_(twin.parameters(), clip)
        optimizers[1].step()
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(length, norm)
    for mine, theirs in zip(model.parameters(), twin.parameters()):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(("scale", "clip"), [(1.0, 2.0), (1.0, 100.0), (1e-3, 1.0)])
def test_clipping_equals_torch(scale, clip):
    models = [nn.Linear(3, 2), nn.Linear(3, 2)]
    for model in models:
        model.weight.grad = scale * torch.arange(6.0).view(2, 3)
        model.bias.grad = scale * torch.tensor([5.0, -7.0])
    mine = lesson.clip_gradient(models[0], clip)
    theirs = nn.utils.clip_grad_norm_(models[1].parameters(), clip)
    torch.testing.assert_close(mine, theirs)
    for left, right in zip(models[0].parameters(), models[1].parameters()):
        torch.testing.assert_close(left.grad, right.grad)


def test_a_zero_gradient_stays_zero_and_missing_ones_are_skipped():
    model = nn.Linear(2, 2)
    model.weight.grad = torch.zeros(2, 2)
    assert lesson.clip_gradient(model, 1.0) == 0
    assert model.weight.grad.equal(torch.zeros(2, 2))


def test_the_schedule_at_its_corners():
    plan = config(steps=101, warmup=10, learning_rate=1.0, final_share=0.1)
    rate = [lesson.learning_rate(step, plan) for step in range(101)]
    assert rate[0] == pytest.approx(0.1)
    assert rate[9] == rate[10] == pytest.approx(1.0)
    assert rate[55] == pytest.approx(0.55)  # half way down
    assert rate[100] == pytest.approx(0.1)
    assert rate[10:] == sorted(rate[10:], reverse=True)
    assert rate[20] > 0.97  # a cosine stays high where a line would be at 0.9


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"batch": 0}, "batch=0 must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate=nan must be above 0"),
        ({"clip": -1.0}, "clip=-1.0 must be above 0"),
        ({"warmup": 60}, "warmup=60 must be 0 or more, and below steps=60"),
    ],
)
def test_impossible_settings_say_what_is_allowed(wrong, message):
    with pytest.raises(ValueError, match=message):
        config(**wrong)


@pytest.mark.parametrize("length", [14, 20, 31])
def test_validation_reads_every_target_once_in_blocks(length):
    torch.manual_seed(0)
    model, ids = Dropping(), torch.arange(length) * 7 % 5
    loss = lesson.validation_loss(model, ids)
    model.eval()
    total = sum(
        cross_entropy(model(x)[0], y[0], reduction="sum").item()
        for x, y in blocks(ids, 6, batch=1)
    )
    assert loss == pytest.approx(total / (length - 1), rel=1e-5)


def test_validation_reads_blocks_of_the_given_context_for_models_of_any_length():
    torch.manual_seed(0)
    model, ids = Dropping(), torch.arange(40) * 7 % 5
    model.context = None
    short, long = (lesson.validation_loss(model, ids, context) for context in (4, 40))
    assert abs(short - long) > 1e-4
    model.context = 4
    assert lesson.validation_loss(model, ids) == pytest.approx(short)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_gives_the_mode_back_even_after_an_error(training):
    model = Dropping().train(training)

    def fail():
        with lesson.evaluating(model):
            assert not model.training
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert model.training is training
    lesson.validation_loss(model, torch.arange(20) % 5)
    assert model.training is training


def test_estimates_use_the_same_batches_each_time(ids, device):
    model = Bigram(5).to(device)
    estimates = {lesson.estimate_loss(model, ids, config()) for _ in range(3)}
    assert len(estimates) == 1


def test_training_reaches_the_counted_pairs(ids, device):
    model = Bigram(5).to(device)
    plan = config(steps=600, batch=32, weight_decay=0.0)
    history = list(lesson.train(model, ids, ids, plan))
    table = pair_probabilities(count_pairs(ids.cpu(), 5))
    counted = Bigram.from_probabilities(table).to(device)
    goal = lesson.validation_loss(counted, ids)
    assert history[0].batch_loss == pytest.approx(math.log(5), abs=1e-4)
    assert lesson.validation_loss(model, ids) == pytest.approx(goal, abs=0.02)


def test_records_come_when_due_and_count_what_was_read(ids, device):
    plan = config(steps=45, record_every=10, evaluate_every=20)
    history = list(lesson.train(Bigram(5).to(device), ids, ids, plan))
    assert [record.step for record in history] == [0, 10, 20, 30, 40, 45]
    evaluated = [r.step for r in history if r.validation_estimate is not None]
    assert evaluated == [0, 20, 40, 45]
    assert [record.tokens for record in history][:2] == [128, 11 * 128]
    assert history[-1].tokens == 45 * 128
    plan = config(steps=40, record_every=10, evaluate_every=15)
    steps = [r.step for r in lesson.train(Bigram(5).to(device), ids, ids, plan)]
    assert steps == [0, 10, 15, 20, 30, 40]  # no estimate is lost
    assert history[-1].seconds_left == 0
    assert all(record.tokens_per_second > 0 for record in history)
    seconds = [record.seconds for record in history]
    assert seconds == sorted(seconds)


def weights_after(ids, **changes):
    torch.manual_seed(3)
    model = Dropping().to(ids.device)
    list(lesson.train(model, ids, ids, config(**changes)))
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


def test_a_run_can_be_left_at_any_record(ids, device):
    model = Bigram(5).to(device)
    run = lesson.train(model, ids, ids, config())
    next(run)
    next(run)
    run.close()
    assert model.table.weight.isfinite().all()


def test_a_run_goes_on_from_its_progress_as_if_it_had_never_been_left(ids, device):
    settings = config(steps=40, record_every=1)
    one, other = Dropping().to(device), Dropping().to(device)
    other.load_state_dict(one.state_dict())
    whole = list(lesson.train(one, ids, ids, settings))

    progress = lesson.Progress.start(other, settings)
    parts = []
    for record in lesson.train(other, ids, ids, settings, progress):
        parts.append(record)
        if record.step == 20:  # not a multiple of 16: the middle of a draw of batches
            break
    assert progress.step == 21
    seconds = progress.seconds
    parts += lesson.train(other, ids, ids, settings, progress)
    assert progress.step == 40
    assert parts[-1].seconds > seconds == parts[20].seconds
    assert [r.batch_loss for r in parts] == [r.batch_loss for r in whole]
    assert [r.tokens for r in parts] == [r.tokens for r in whole]
    assert device.type != "cpu" or torch.equal(one.out.weight, other.out.weight)


def test_a_finished_run_has_nothing_left_to_do(ids, device):
    model, settings = Bigram(5).to(device), config(steps=6)
    progress = lesson.Progress.start(model, settings)
    list(lesson.train(model, ids, ids, settings, progress))
    with pytest.raises(ValueError, match="6 of 6 steps are done: nothing is left"):
        next(lesson.train(model, ids, ids, settings, progress))


def test_a_text_too_short_for_the_context_is_an_error(device):
    ids = torch.zeros(10, dtype=torch.long, device=device)
    with pytest.raises(ValueError, match="10 ids is too short for a context of 16"):
        next(lesson.train(Bigram(5).to(device), ids, ids, config()))


def test_every_parameter_group_gets_the_rate():
    model = Bigram(17)
    groups = [{"params": [model.table.weight]}, {"params": [torch.zeros(1)]}]
    optimizer = torch.optim.SGD(groups, lr=9.0)
    config = lesson.TrainingConfig(steps=2, warmup=0, learning_rate=0.5)
    ids = torch.randint(17, (400,))
    next(lesson.train(model, ids, ids, config, lesson.Progress(optimizer)))
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}
