"""Lesson 17: training that ends early, with the weights of its best evaluation."""

from dataclasses import replace

import pytest
import torch

from gpt_lib import stopping as lesson
from gpt_lib.bigram import Bigram
from gpt_lib.experiments.early_stopping import end_by_patience
from gpt_lib.training import StepRecord, TrainingConfig, estimate_loss, train

CONFIG = TrainingConfig(
    steps=400,
    batch_size=4,
    context=8,
    learning_rate=1.0,
    warmup_steps=1,
    evaluate_every=20,
    weight_decay=0.0,
)


def records_of(estimates):
    return [StepRecord(n, 99, 1, 1, 1, 1, 1, 1, e) for n, e in enumerate(estimates)]


@pytest.mark.parametrize(
    ("estimates", "waited"),
    [
        ([], 0),
        ([None, None], 0),
        ([3.0], 0),
        ([3.0, None, 2.0, None], 0),
        ([2.0, 3.0, None, 2.5], 2),
        ([3.0, 2.0, 2.0, 2.0], 2),  # equally good is no better
        ([2.0, 3.0, 1.0], 0),
    ],
)
def test_evaluations_since_the_best(estimates, waited):
    assert lesson.evaluations_since_best(records_of(estimates)) == waited


@pytest.fixture
def texts():
    """Training ids that a bigram learns by heart, and others of the same kind."""
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.rand(12, 12, generator=generator) ** 3
    ids = [0]
    for _ in range(700):
        [next_id] = torch.multinomial(probabilities[ids[-1]], 1, generator=generator)
        ids.append(int(next_id))
    return torch.tensor(ids[:120]), torch.tensor(ids[120:])


def model():
    torch.manual_seed(2)
    return Bigram(12)


@pytest.mark.parametrize("patience", [1, 3])
def test_it_ends_where_patience_ends_with_the_best_weights(texts, patience):
    full = list(train(model(), *texts, CONFIG))
    estimates = [r.validation_estimate for r in full if r.validation_estimate]
    end, best = end_by_patience(estimates, patience)
    assert end < len(estimates) - 1, "the text must be one that is learned by heart"
    stopped = model()
    records = list(lesson.train_with_patience(stopped, *texts, CONFIG, patience))
    assert records[-1].step == end * CONFIG.evaluate_every
    timeless = [replace(record, seconds=0) for record in records]
    assert timeless == [replace(record, seconds=0) for record in full[: len(records)]]
    assert estimate_loss(stopped, texts[1], CONFIG) == estimates[best]


def test_with_enough_patience_it_is_the_whole_run(texts):
    full, stopped = model(), model()
    whole = list(train(full, *texts, CONFIG))
    records = list(lesson.train_with_patience(stopped, *texts, CONFIG, 1000))
    assert len(records) == len(whole)
    estimates = [r.validation_estimate for r in whole if r.validation_estimate]
    assert estimate_loss(stopped, texts[1], CONFIG) == min(estimates)


def test_the_last_evaluation_may_be_the_best(texts):
    config = replace(CONFIG, learning_rate=0.001)
    stopped = model()
    *_, last = lesson.train_with_patience(stopped, *texts, config, 5)
    assert last.step == config.steps
    assert estimate_loss(stopped, texts[1], config) == last.validation_estimate


def test_who_asks_no_more_has_the_best_weights_so_far(texts):
    stopped = model()
    records = lesson.train_with_patience(stopped, *texts, CONFIG, 1000)
    seen = [next(records) for _ in range(35)]
    records.close()
    best = min(r.validation_estimate for r in seen if r.validation_estimate)
    assert estimate_loss(stopped, texts[1], CONFIG) == best
