"""N-grams are Kneser's and Ney's, nothing is trained on its own counts, a race ends."""

import math
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gpt_lib import race as lesson
from gpt_lib.attention import future_leak
from gpt_lib.cache import CachedReader, KVCache, left_pad
from gpt_lib.generation import generate, next_logits, sample_at_uniform, uniforms
from gpt_lib.gpt import GPTConfig
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.muon import lr_fraction, muon_groups
from gpt_lib.speed import MasterWeightStep, MixedPrecisionStep
from gpt_lib.training import evaluate_loss
from tests.lessons.test_muon import IDS, SMALL, small_model


def random_text(V, length, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(V, (length,), generator=generator)


# N-grams


def test_ngram_ids_are_digits():
    ids = torch.tensor([[1, 2, 0, 3]])
    assert lesson.ngram_ids(ids, 1, 10).tolist() == [[1, 2, 0, 3]]
    assert lesson.ngram_ids(ids, 3, 10).tolist() == [[120, 203]]


def test_a_table_counts_what_followed():
    table = lesson.NGramCounts(torch.tensor([12, 12, 13, 40]), 10)  # after 1: 2, 2, 3
    counts = table(torch.tensor([[1, 4, 3, 9]]))[0]
    assert counts.sum(-1).tolist() == [3, 1, 0, 0]  # 3 is between, 9 behind the last
    assert counts[0, 2:4].tolist() == [2, 1]
    assert counts[1, 0] == 1


def kneser_ney(text, context, V, discount=0.9):
    """Probabilities after the longest context, from the definition, with loops."""
    size = len(context)
    positions = range(len(text) - size)
    counts = Counter(text[i + size] for i in positions if text[i : i + size] == context)
    return interpolated(counts, continued(text, context[1:], V), V, discount)


def continued(text, context, V, discount=0.9):
    """After a shorter context: it counts the different characters before it."""
    lower = continued(text, context[1:], V, discount) if context else [1 / V] * V
    size = len(context) + 2
    longer = {text[i : i + size] for i in range(len(text) - size + 1)}
    counts = Counter(ngram[-1] for ngram in longer if ngram[1:-1] == context)
    return interpolated(counts, lower, V, discount)


def interpolated(counts, lower, V, discount):
    total = sum(counts.values())
    if not total:
        return lower
    weight = discount * len(counts) / total
    return [max(counts[c] - discount, 0) / total + weight * lower[c] for c in range(V)]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_probabilities_are_those_of_kneser_and_ney(order, device):
    generator = torch.Generator().manual_seed(2)
    text = torch.randint(4, (60,), generator=generator)
    hidden = torch.randint(4, (9,), generator=generator)
    ngrams = lesson.KneserNey(text.to(device), 4, order, folds=1)
    probabilities = ngrams(hidden[None].to(device))[0].exp().cpu()
    text, hidden = tuple(text.tolist()), tuple(hidden.tolist())
    for t in range(len(hidden)):
        context = hidden[max(0, t + 1 - order) : t + 1]
        if len(context) == order:
            expected = kneser_ney(text, context, 4)
        else:  # near the beginning: a shorter context
            expected = continued(text, context, 4)
        torch.testing.assert_close(probabilities[t], torch.tensor(expected))


def test_probabilities_sum_to_one_also_after_contexts_never_seen(device):
    ngrams = lesson.KneserNey(IDS[:50].to(device), 17, 3)
    ids = torch.randint(17, (4, 30), device=device)
    folds = torch.arange(4, device=device)[:, None].expand_as(ids)
    for fold in (None, folds):
        total = ngrams(ids, fold).exp().sum(-1)
        torch.testing.assert_close(total, torch.ones_like(total))


def test_ngrams_see_no_future():
    text = random_text(6, 200, seed=3)
    assert future_leak(lesson.KneserNey(text, 6, 3), text[None, :20]) == 0


def test_no_context_reaches_into_padding():
    """-1 is no id: what follows it is scored as at the beginning of a text."""
    ngrams, ids = lesson.KneserNey(IDS, 17, 4), IDS[None, :6]
    padded = torch.cat([torch.full((1, 3), -1), ids], dim=1)
    torch.testing.assert_close(ngrams(padded)[:, 3:], ngrams(ids))


def test_taking_a_fold_out_is_not_having_counted_it(device):
    """Apart from what crosses a border of the fold: here nothing does."""
    text = random_text(5, 400, seed=4)
    ngrams = lesson.KneserNey(text.to(device), 5, 2, folds=4)
    others = lesson.KneserNey(text[100:].to(device), 5, 2, folds=4)
    ids = text[None, :90].to(device)
    held_out = ngrams(ids, torch.zeros_like(ids)).exp()
    # A few n-grams lie across the border at 100, so a few counts differ by one.
    difference = (held_out - others(ids).exp()).abs()
    assert difference.mean() < 0.01
    counted = ngrams(ids).exp()
    assert (counted - others(ids).exp()).abs().mean() > 5 * difference.mean()


def test_the_text_of_training_is_no_easier_than_a_hidden_one():
    """Without its folds; with them, the counts know what comes."""
    text = random_text(4, 4000, seed=5)  # nothing to be known
    ngrams = lesson.KneserNey(text, 4, 5)
    positions = torch.arange(5 * ngrams.fold_size, 8 * ngrams.fold_size)
    ids, fold = text[None, positions], positions[None] // ngrams.fold_size
    losses = [
        nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).item()
        for logits in (ngrams(ids), ngrams(ids, fold))
    ]
    assert losses[0] < 0.9 * math.log(4)
    assert losses[1] > 0.98 * math.log(4)


@pytest.mark.parametrize(
    ("ids", "options", "message"),
    [
        (IDS, {"order": 12}, "order=12 for 3000 ids of 65 .* in 30 .* from 0 to 8"),
        (IDS, {"order": -1}, "order=-1 .* must be from 0 to 8"),
        (IDS, {"folds": 0}, "folds=0 must be 1 or more"),
        (IDS[:5], {}, "order=6 for 5 ids of 65 characters .* must be from 0 to 4"),
        (IDS[:0], {}, "order=6 for 0 ids of 65 characters in 30 folds is too much"),
    ],
)
def test_what_cannot_be_counted_is_refused(ids, options, message):
    with pytest.raises(ValueError, match=message):
        lesson.KneserNey(ids, 65, **options)


@pytest.mark.parametrize(("length", "order"), [(1, 0), (5, 4)])
def test_the_least_that_can_be_counted_is_counted(length, order):
    ngrams = lesson.KneserNey(IDS[:length], 17, order, folds=2)
    assert ngrams(IDS[None, :length]).exp().sum(-1).allclose(torch.ones(length))


def test_other_ids_that_are_loaded_are_counted_again():
    ids = torch.randint(17, (500,))
    ours, theirs = lesson.KneserNey(ids, 17, 2), lesson.KneserNey(IDS[:500], 17, 2)
    assert not torch.equal(ours(ids[None]), theirs(ids[None]))
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours(ids[None]), theirs(ids[None]))


# A GPT on n-grams


def ngram_model(seed=0, order=2):
    gpt = small_model(seed, window=4)
    return lesson.GPTWithNGramCounts(gpt, lesson.KneserNey(IDS, 17, order))


def random_ngram_model():
    """A model whose every part contributes."""
    model = ngram_model(order=3)
    torch.manual_seed(1)
    for weights in model.gpt.parameters():
        nn.init.normal_(weights, std=0.3)
    nn.init.normal_(model.gate.weight)
    return model.eval()


def test_it_begins_with_what_the_ngrams_know():
    model, ids = ngram_model(), IDS[None, :8]
    torch.testing.assert_close(model(ids), model.ngrams(ids))


def test_it_is_causal_and_all_of_it_learns():
    model = ngram_model()
    for weights in model.parameters():
        nn.init.normal_(weights, std=0.3)
    model.gate.bias.data.fill_(1.0)
    assert future_leak(model, IDS[None, :8]) < 1e-4
    ids = IDS[None, :9]
    logits = model(ids[:, :-1])
    nn.functional.cross_entropy(logits[0], ids[0, 1:]).backward()
    for name, weights in model.named_parameters():
        assert weights.grad.any(), name


@pytest.mark.parametrize("sizes", [[8], [1, 7], [1] * 8, [3, 1, 4]])
def test_cached_is_uncached_in_any_pieces(sizes):
    model = random_ngram_model()
    ids, cache = torch.randint(17, (3, 8)), KVCache.for_model(model, rows=3)
    with torch.inference_mode():
        pieces = [model(piece, cache) for piece in ids.split(sizes, dim=1)]
    logits = torch.cat(pieces, dim=1)
    torch.testing.assert_close(logits, model(ids).detach(), atol=1e-5, rtol=1e-4)


def test_padded_rows_are_what_they_are_alone():
    model, prompts = random_ngram_model(), (IDS[5:9], IDS[3:4])
    ids, left_padding = left_pad(prompts)
    cache = KVCache.for_model(model, left_padding=left_padding)
    following = torch.randint(17, (2, 3))
    with torch.inference_mode():
        logits = [model(ids, cache)[:, -1]]
        for piece in following.split(1, dim=1):
            logits.append(model(piece, cache)[:, -1])
    for row, prompt in enumerate(prompts):
        alone = model(torch.cat([prompt, following[row]])[None])[0, len(prompt) - 1 :]
        rows = torch.stack([each[row] for each in logits])
        torch.testing.assert_close(rows, alone, atol=1e-5, rtol=1e-4)


def test_the_same_text_is_generated_with_and_without_a_cache():
    model, start = random_ngram_model(), torch.tensor([[3, 1]])
    reader = CachedReader(model)
    generated = [t.ids.item() for t in generate(model, start, 20, reader=reader)]
    expected, ids = [], start
    for u in uniforms(1, 20):
        probabilities = next_logits(model, ids).double().softmax(dim=-1)
        ids = torch.cat(
            [ids, sample_at_uniform(probabilities, u[None])[:, None]], dim=1
        )
        expected.append(ids[0, -1].item())
    assert generated == expected


def test_counting_without_gradients_does_not_keep_it_from_learning():
    model = random_ngram_model()
    with torch.inference_mode():
        model(IDS[None, :8])  # counts
    logits = model(IDS[None, :8])
    nn.functional.cross_entropy(logits[0], IDS[1:9]).backward()
    assert model.gate.weight.grad.any()


@pytest.mark.parametrize("make_model", [random_ngram_model, small_model])
def test_it_is_built_again_from_its_architecture(make_model):
    model = make_model()
    architecture, shape = lesson.architecture_and_shape(model)
    constructors = {
        "ngram-gpt": lesson.build_ngram_gpt,
        "modern-gpt": lambda **shape: ModernGPT(ModernConfig(**shape)),
    }
    built = constructors[architecture](**shape).eval()
    built.load_state_dict(model.state_dict())
    assert torch.equal(built(IDS[None, :8]), model.eval()(IDS[None, :8]))


# Training it


def test_each_window_is_scored_without_its_own_fold():
    model = ngram_model().eval()
    wrapped = lesson.OutOfFoldTrainingModel(model, IDS)
    positions = torch.arange(8) + torch.tensor([[500], [1700]])
    ids, fold = IDS[positions], positions // model.ngrams.fold_size
    expected = model(ids, log_probabilities=model.ngrams(ids, fold))
    assert torch.equal(wrapped(positions), expected)
    plain = small_model()
    assert torch.equal(lesson.OutOfFoldTrainingModel(plain, IDS)(positions), plain(ids))


def test_a_window_across_a_border_does_not_know_what_it_reads():
    """As in one fold: random text is no easier behind the border than before it."""
    text = random_text(4, 4000, seed=7)
    gpt = ModernGPT(ModernConfig(4, **SMALL | {"context": 80}))
    model = lesson.GPTWithNGramCounts(gpt, lesson.KneserNey(text, 4, 5))
    border = model.ngrams.fold_size * torch.arange(1, 20)[:, None]
    positions = border + torch.arange(-40, 40)
    logits = lesson.OutOfFoldTrainingModel(model, text)(positions)[:, 40:]
    loss = nn.functional.cross_entropy(
        logits.flatten(0, 1), text[positions + 1][:, 40:].flatten()
    )
    assert loss > 0.98 * math.log(4)


def test_noise_replaces_its_fraction():
    ids = torch.zeros(100, 100, dtype=torch.long)
    assert lesson.corrupt_ids(ids, 0.0, 17) is ids
    corrupted = lesson.corrupt_ids(ids, 0.2, 17)
    fraction = (corrupted != 0).float().mean().item()
    assert fraction == pytest.approx(0.2 * 16 / 17, abs=0.03)
    assert corrupted.min() >= 0
    assert corrupted.max() < 17


def test_noise_is_read_and_never_counted(monkeypatch):
    model, inputs = ngram_model().eval(), {}

    def spy(name, function=lambda *args: None):
        def call(ids, fold=None, log_probabilities=None):
            inputs[name] = ids
            return function(ids, fold)

        return call

    monkeypatch.setattr(model, "forward", spy("read"))
    monkeypatch.setattr(model.ngrams, "forward", spy("counted", model.ngrams.forward))
    positions = torch.arange(200)[None]
    lesson.OutOfFoldTrainingModel(model, IDS, noise=0.5)(positions)
    assert torch.equal(inputs["counted"], IDS[positions])
    assert 0.3 < (inputs["read"] != IDS[positions]).float().mean() < 0.6


def test_muon_finds_the_matrices_of_a_wrapped_model():
    model = ngram_model()
    matrices, others = muon_groups(lesson.OutOfFoldTrainingModel(model, IDS))
    assert [id(p) for p in matrices] == [id(p) for p in muon_groups(model.gpt)[0]]
    assert len(matrices) == 4 * SMALL["depth"]
    assert len(matrices) + len(others) == len(list(model.parameters()))


# The race


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be from 1 to 1,000,000"),
        ({"sequence_length": 0}, "sequence_length=0 must be from 1 to 1,000,000"),
        ({"ngram_order": -1}, "ngram_order=-1 must be from 0 to 64"),
        ({"decay_start": 1.1}, "decay_start=1.1 must be from 0.0 to 1.0"),
        ({"noise": 1.0}, "noise=1.0 must be from 0.0 to 0.99"),
        ({"learning_rate": math.nan}, "learning_rate=nan must be from 1e-09"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must be from 0.0 to 10.0"),
    ],
)
def test_a_config_says_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        lesson.RaceConfig(**options)


def test_a_config_without_ngrams_is_the_gpt_alone():
    config = lesson.RaceConfig(shape=SMALL)
    assert isinstance(config.build_model(IDS, 17), lesson.GPTWithNGramCounts)
    alone = lesson.RaceConfig(shape=SMALL, ngram_order=0)
    assert isinstance(alone.build_model(IDS, 17), ModernGPT)


def test_on_a_gpu_the_model_has_the_shape_of_the_lecture():
    config = lesson.RACE_CONFIG_BY_DEVICE["cuda"]
    model = config.build_model(IDS.repeat(3), 17)
    lecture = GPTConfig.preset("lecture", 17)
    for name in ("context", "width", "heads", "depth"):
        assert getattr(model.config, name) == getattr(lecture, name)
    assert config.sequence_length == model.context


def test_a_race_learns_and_counts_its_tokens(device):
    model = small_model().to(device)
    config = lesson.RaceConfig(batch_size=4, sequence_length=8)
    records = list(lesson.train_for_seconds(config, model, IDS.to(device), 2.0))
    assert records[-1].seconds >= 2
    assert records[-1].tokens % (4 * model.context) == 0
    assert records[-1].tokens > records[0].tokens == 4 * model.context
    assert records[-1].loss < records[0].loss
    assert [r.seconds for r in records] == sorted(r.seconds for r in records)


def test_ids_of_a_corpus_are_small_and_race_alike():
    config = lesson.RaceConfig(batch_size=2, sequence_length=8)
    losses = [
        next(lesson.train_for_seconds(config, small_model(), ids, 1.0)).loss
        for ids in (IDS, IDS.to(torch.int16))
    ]
    assert losses[0] == losses[1]


def test_the_rate_in_a_race_goes_by_the_clock(monkeypatch):
    clock, rates = SimpleNamespace(now=0.0), []

    def step_function(model, optimizer, x, y, max_grad_norm):
        clock.now += 1.0
        rates.append(optimizer.param_groups[-1]["lr"])
        return torch.tensor(1.0), None

    ticking = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(lesson, "time", ticking)
    monkeypatch.setattr(lesson, "pick_fastest_train_step", lambda _: step_function)
    config = lesson.RaceConfig(sequence_length=8)
    records = list(
        lesson.train_for_seconds(config, small_model(), IDS, 10.0, start_time=-3.0)
    )
    expected = [0.02 * lr_fraction(second / 10) for second in range(3, 10)]
    assert rates == pytest.approx(expected)  # three seconds were over before
    assert records[-1].seconds == 10


def test_a_race_that_starts_too_late_still_makes_a_step():
    config = lesson.RaceConfig(batch_size=2, sequence_length=8)
    [record] = lesson.train_for_seconds(
        config, small_model(), IDS, 1.0, start_time=-1e9
    )
    assert record.tokens == 16
    assert math.isfinite(record.loss)


@pytest.mark.parametrize(
    "step", [MixedPrecisionStep(), MasterWeightStep()], ids=["32", "16"]
)
def test_a_race_gains_on_its_ngrams(monkeypatch, step):
    """On a text with copies of a character further behind than the n-grams look."""
    clock = SimpleNamespace(now=0.0)

    def step_function(*args):
        clock.now += 1
        return step(*args)

    ticking = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(lesson, "time", ticking)
    monkeypatch.setattr(lesson, "pick_fastest_train_step", lambda _: step_function)
    text = random_text(5, 2000, seed=6)
    for t in range(4, 2000):
        if t % 2:
            text[t] = text[t - 3]
    shape, lengths = SMALL | {"context": 32}, {"batch_size": 16, "sequence_length": 32}
    config = lesson.RaceConfig(shape=shape, ngram_order=2, **lengths)
    torch.manual_seed(1)
    model = config.build_model(text[:1500], 5)
    before = evaluate_loss(model, text[-500:])
    list(lesson.train_for_seconds(config, model, text[:1500], 100.0))  # steps
    assert evaluate_loss(model, text[-500:]) < before - 0.1
