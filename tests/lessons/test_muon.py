"""AdamW is PyTorch's, Muon makes directions alike, a race ends in time, honestly."""

import copy
import json
import math
from collections import Counter
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gpt_lib import catalog, checkpoints
from gpt_lib import muon as lesson
from gpt_lib.attention import future_leak
from gpt_lib.experiments import ablation, results
from gpt_lib.experiments import race as races
from gpt_lib.experiments.results import read_rows
from gpt_lib.generation import draw, next_logits, reading, stream, uniforms
from gpt_lib.gpt import GPTConfig
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.speed import GraphRecipe, HalfRecipe, Recipe, operations
from gpt_lib.text import CharTokenizer, load_text, split
from gpt_lib.training import Progress, TrainingConfig, train, validation_loss

SMALL = {"context": 8, "width": 16, "heads": 2, "depth": 2}
IDS = torch.arange(3000) * 7 % 17  # learnable to the end


def small_model(seed=0, **shape):
    torch.manual_seed(seed)
    return ModernGPT(ModernConfig(17, **SMALL | shape))


# AdamW


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.95)])
def test_adamw_is_pytorchs(betas, decay):
    torch.manual_seed(0)
    ours = torch.randn(4, 3)
    theirs, memory = nn.Parameter(ours.clone()), {}
    settings = {"lr": 0.1, "betas": betas, "eps": 1e-8, "weight_decay": decay}
    optimizer = torch.optim.AdamW([theirs], **settings)
    for rate in (0.1, 0.1, 0.05, 0.2):  # a schedule, too
        settings["lr"] = optimizer.param_groups[0]["lr"] = rate
        theirs.grad = torch.randn(4, 3)
        optimizer.step()
        lesson.adamw_update(ours, theirs.grad, memory, settings)
        torch.testing.assert_close(ours, theirs.detach())


# Orthogonalizing


def shapes():
    return st.tuples(st.integers(2, 12), st.integers(2, 12), st.integers(0, 10**6))


@given(shapes())
def test_directions_stay_and_values_come_near_one(shape):
    rows, columns, seed = shape
    dice = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, rows, generator=dice))
    right, _ = torch.linalg.qr(torch.randn(columns, columns, generator=dice))
    few = min(rows, columns)
    values = torch.rand(few, generator=dice) * 0.95 + 0.05
    x = left[:, :few] * values @ right[:few]
    found = lesson.orthogonalize(x)
    inner = left[:, :few].mT @ found @ right[:few].mT  # diagonal: the same directions
    near_one = inner.diagonal()
    assert (near_one > 0.5).all()
    assert (near_one < 1.4).all()
    off = inner - near_one.diag()
    assert off.abs().max() < 1e-3


def test_more_rounds_come_nearer():
    torch.manual_seed(0)
    x = torch.randn(20, 30)
    spread = [
        (torch.linalg.svdvals(lesson.orthogonalize(x, rounds)) - 1).abs().max()
        for rounds in (1, 3, 5)
    ]
    assert spread[2] < spread[1] < spread[0]


def test_stacked_and_turned_matrices_are_done_alike():
    torch.manual_seed(0)
    x = torch.randn(3, 6, 4)
    found = lesson.orthogonalize(x)
    for one, many in zip(x, found):
        torch.testing.assert_close(
            lesson.orthogonalize(one), many, atol=1e-4, rtol=1e-4
        )
    turned = lesson.orthogonalize(x.mT).mT
    torch.testing.assert_close(turned, found, atol=1e-4, rtol=1e-4)


def test_size_does_not_matter_and_zero_stays_zero():
    x = torch.randn(4, 5)
    small, large = (lesson.orthogonalize(x * size) for size in (1e-3, 1e3))
    torch.testing.assert_close(small, large, atol=1e-2, rtol=1e-2)
    assert not lesson.orthogonalize(torch.zeros(3, 4)).any()


def test_sixteen_bits_are_enough():
    torch.manual_seed(0)
    x = torch.randn(16, 24)
    whole, half = lesson.orthogonalize(x), lesson.orthogonalize(x.bfloat16()).float()
    alike = nn.functional.cosine_similarity(whole.flatten(), half.flatten(), 0)
    assert alike > 0.99


# Muon


def test_matrices_in_blocks_are_muons_and_nothing_is_forgotten():
    model = small_model(norm="layer")
    groups = {group["kind"]: group for group in lesson.Muon(model).param_groups}
    ours = {id(p) for p in groups["Muon"]["params"]}
    names = {n for n, p in model.named_parameters() if id(p) in ours}
    assert names == {
        f"blocks.{b}.{part}.weight"
        for b in range(2)
        for part in (
            "attention.query_key_value",
            "attention.merge",
            "mlp.widen",
            "mlp.narrow",
        )
    }
    both = [p for group in groups.values() for p in group["params"]]
    assert {id(p) for p in both} == {id(p) for p in model.parameters()}
    assert len(both) == len(list(model.parameters()))


def test_the_first_step_of_muon_by_finger():
    model = small_model()
    optimizer = lesson.Muon(model, lr=0.1, weight_decay=0.5)
    weight = model.blocks[0].mlp.widen.weight  # (64, 16): tall
    before = weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    step = ((before * (1 - 0.1 * 0.5) - weight.detach()) / 0.1).view(4, 16, 16)
    for part, gradient in zip(step, weight.grad.view(4, 16, 16)):
        left, _, right = torch.linalg.svd(gradient)
        inner = left.mT @ part @ right.mT  # diagonal: the same directions
        assert inner.diagonal().median() == pytest.approx(1, abs=0.1)
        assert inner.diagonal().max() < 1.4
        assert (inner - inner.diagonal().diag()).abs().max() < 0.01


def test_momentum_looks_ahead():
    model = small_model()
    optimizer = lesson.Muon(model, lr=0.1)
    weight = model.blocks[0].attention.merge.weight
    gradients = torch.randn(3, *weight.shape)
    average = torch.zeros_like(weight)
    for gradient in gradients:
        before = weight.detach().clone()
        weight.grad = gradient
        optimizer.step()
        average = 0.95 * average + 0.05 * gradient
        expected = lesson.orthogonalize(0.05 * gradient + 0.95 * average)
        step = (before - weight.detach()) / 0.1
        torch.testing.assert_close(step, expected, atol=1e-3, rtol=1e-3)


def test_a_model_learns_with_it():
    config = TrainingConfig(
        steps=60, batch=8, warmup=4, learning_rate=0.05, optimizer="Muon"
    )
    *_, last = train(small_model(), IDS, IDS, config)
    assert last.validation_estimate < 0.5


@pytest.mark.parametrize(
    ("shape", "cut"), [((12, 4), (3, 4, 4)), ((4, 4), (1, 4, 4)), ((4, 12), (1, 4, 12))]
)
def test_tall_tables_are_cut_into_squares(shape, cut):
    x = torch.arange(2 * math.prod(shape)).view(2, *shape)
    found = lesson.squares(x)
    assert found.shape[1:] == cut
    assert torch.equal(found.flatten(1, -2), x)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="optimizer='SGD' must be one of AdamW, Muon"):
        TrainingConfig(optimizer="SGD")


def test_the_shares_of_the_rate_follow_the_schedule():
    optimizer = lesson.Muon(small_model(), lr=0.02, share=0.2)
    lesson.set_rate(optimizer, 0.01)
    rates = {group["kind"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {"AdamW": pytest.approx(0.002), "Muon": 0.01}


def test_a_run_with_muon_resumes_as_if_it_had_never_stopped(tmp_path):
    """Lesson 10's promise, with this optimizer and this model."""
    config = TrainingConfig(
        steps=12, batch=4, warmup=2, optimizer="Muon", record_every=1, evaluate_every=6
    )
    shape = {"vocab_size": 17, **SMALL, "dropout": 0.1}
    card = checkpoints.Card(
        "modern GPT", shape, "abcdefghijklmnopq", "none", "0" * 64, config
    )

    def records_of(run, model, progress, card):
        records = train(model, IDS, IDS, config, progress)
        return checkpoints.recorded(records, run, model, progress, card, IDS, 1.0)

    def fresh(name):
        torch.manual_seed(3)
        model = checkpoints.build(card.architecture, card.shape)
        run = checkpoints.Run(name, tmp_path)
        return run, model, records_of(run, model, Progress.start(model, config), card)

    run, whole, records = fresh("whole")
    with run.claim(new=True):
        list(records)
    run, _, records = fresh("stopped")
    with run.claim(new=True):
        for record in records:
            if record.step == 7:
                break
        records.close()
    torch.manual_seed(99)
    with run.claim():
        (model, _, card), progress = checkpoints.resume(run, torch.device("cpu"))
        assert isinstance(progress.optimizer, lesson.Muon)
        list(records_of(run, model, progress, card))
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, model.state_dict()[name]), name


# The clock


def test_the_rate_rises_stays_and_falls_to_nothing():
    rates = [lesson.rate_at(done) for done in (0.0, 0.01, 0.02, 0.3, 0.4, 0.7, 1.0)]
    assert 0 < rates[0] < 0.1
    assert rates[1] == pytest.approx(0.55)
    assert rates[2:5] == [1, 1, 1]
    assert rates[5] == pytest.approx(0.5)
    assert rates[6] == 0


def test_the_recipe_follows_the_measured_precision(monkeypatch):
    kinds = {
        torch.float32: Recipe,
        torch.bfloat16: GraphRecipe,
        torch.float16: Recipe,  # which has the scaler that it needs
    }
    for precision, kind in kinds.items():
        monkeypatch.setattr(lesson, "pick_precision", lambda _, p=precision: p)
        recipe = lesson.fast_recipe(torch.device("cpu"))
        assert isinstance(recipe, kind)
        assert recipe.precision == precision


def test_a_race_learns_and_counts_its_tokens(device):
    model, entry = small_model().to(device), lesson.Entry(batch=4, length=8)
    laps = list(lesson.race(entry, model, IDS.to(device), 2.0))
    assert laps[-1].seconds >= 2
    assert laps[-1].tokens % (4 * model.context) == 0
    assert laps[-1].tokens > laps[0].tokens == 4 * model.context
    assert laps[-1].loss < laps[0].loss
    assert [lap.seconds for lap in laps] == sorted(lap.seconds for lap in laps)


def test_the_rate_in_a_race_goes_by_the_clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)

    def perf_counter():
        return clock.now

    rates = []

    def learn(model, optimizer, x, y, clip):
        clock.now += 1.0
        rates.append(optimizer.param_groups[-1]["lr"])
        return torch.tensor(1.0), None

    monkeypatch.setattr(lesson, "time", SimpleNamespace(perf_counter=perf_counter))
    monkeypatch.setattr(lesson, "fast_recipe", lambda _: learn)
    entry = lesson.Entry(length=8)
    laps = list(lesson.race(entry, small_model(), IDS, 10.0, begun=-3.0))
    expected = [0.02 * lesson.rate_at(second / 10) for second in range(3, 10)]
    assert rates == pytest.approx(expected)  # three seconds were over before
    assert laps[-1].seconds == 10


def test_noise_replaces_its_share():
    ids = torch.zeros(100, 100, dtype=torch.long)
    assert lesson.noisy(ids, 0.0, 17) is ids
    found = lesson.noisy(ids, 0.2, 17)
    share = (found != 0).float().mean().item()
    assert share == pytest.approx(0.2 * 16 / 17, abs=0.03)
    assert found.min() >= 0
    assert found.max() < 17


def test_who_comes_too_late_still_makes_a_step():
    entry = lesson.Entry(batch=2, length=8)
    [lap] = lesson.race(entry, small_model(), IDS, 1.0, begun=-1e9)
    assert lap.tokens == 16
    assert math.isfinite(lap.loss)


# Counting


def test_keys_are_digits():
    ids = torch.tensor([[1, 2, 0, 3]])
    assert lesson.keys(ids, 1, 10).tolist() == [[1, 2, 0, 3]]
    assert lesson.keys(ids, 3, 10).tolist() == [[120, 203]]


def test_a_table_counts_what_followed():
    table = lesson.Table(torch.tensor([12, 12, 13, 40]), 10)  # after 1: 2, 2, 3
    found = table(torch.tensor([[1, 4, 3, 9]]))[0]
    assert found.sum(-1).tolist() == [3, 1, 0, 0]  # 3 is between, 9 behind the last
    assert found[0, 2:4].tolist() == [2, 1]
    assert found[1, 0] == 1


def kneser_ney(text, context, V, discount=0.9):
    """The chances after the longest context, from the definition, with loops."""
    size = len(context)
    followed = range(len(text) - size)
    counts = Counter(text[i + size] for i in followed if text[i : i + size] == context)
    return backed_off(counts, continued(text, context[1:], V), V, discount)


def continued(text, context, V, discount=0.9):
    """The chances after a shorter context, which counts different characters before."""
    lower = continued(text, context[1:], V, discount) if context else [1 / V] * V
    size = len(context) + 2
    longer = {text[i : i + size] for i in range(len(text) - size + 1)}
    counts = Counter(gram[-1] for gram in longer if gram[1:-1] == context)
    return backed_off(counts, lower, V, discount)


def backed_off(counts, lower, V, discount):
    total = sum(counts.values())
    if not total:
        return lower
    given = discount * len(counts) / total
    return [max(counts[c] - discount, 0) / total + given * lower[c] for c in range(V)]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_chances_are_those_of_kneser_and_ney(order, device):
    dice = torch.Generator().manual_seed(2)
    text = torch.randint(4, (60,), generator=dice)
    hidden = torch.randint(4, (9,), generator=dice)
    counts = lesson.Counts(text.to(device), 4, order, folds=1)
    found = counts(hidden[None].to(device))[0].exp()
    text, hidden = tuple(text.tolist()), tuple(hidden.tolist())
    for t in range(len(hidden)):
        context = hidden[max(0, t + 1 - order) : t + 1]
        if len(context) == order:
            expected = kneser_ney(text, context, 4)
        else:  # near the beginning: a shorter context
            expected = continued(text, context, 4)
        torch.testing.assert_close(found[t].cpu(), torch.tensor(expected))


def test_chances_sum_to_one_also_after_contexts_never_seen(device):
    counts = lesson.Counts(IDS[:50].to(device), 17, 3)
    ids = torch.randint(17, (4, 30), device=device)
    folds = torch.arange(4, device=device)[:, None].expand_as(ids)
    for fold in (None, folds):
        total = counts(ids, fold).exp().sum(-1)
        torch.testing.assert_close(total, torch.ones_like(total))


def test_counts_see_no_future():
    dice = torch.Generator().manual_seed(3)
    text = torch.randint(6, (200,), generator=dice)
    assert future_leak(lesson.Counts(text, 6, 3), text[None, :20]) == 0


def test_taking_a_fold_out_is_not_having_counted_it(device):
    """Apart from what crosses a border of the fold: here nothing does."""
    dice = torch.Generator().manual_seed(4)
    text = torch.randint(5, (400,), generator=dice)
    counts = lesson.Counts(text.to(device), 5, 2, folds=4)
    others = lesson.Counts(text[100:].to(device), 5, 2, folds=4)
    ids = text[None, :90].to(device)
    found = counts(ids, torch.zeros_like(ids)).exp()
    # A few grams lie across the border at 100, so a few counts differ by one.
    difference = (found - others(ids).exp()).abs()
    assert difference.mean() < 0.01
    counted = counts(ids).exp()
    assert (counted - others(ids).exp()).abs().mean() > 5 * difference.mean()


def test_the_text_one_practises_on_is_no_easier_than_a_hidden_one():
    """With its folds taken out; with them, the counts know what comes."""
    dice = torch.Generator().manual_seed(5)
    text = torch.randint(4, (4000,), generator=dice)  # nothing to be known
    counts = lesson.Counts(text, 4, 5)
    places = torch.arange(5 * counts.fold_size, 8 * counts.fold_size)
    ids, fold = text[None, places], places[None] // counts.fold_size
    losses = [
        nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).item()
        for logits in (counts(ids), counts(ids, fold))
    ]
    assert losses[0] < 0.9 * math.log(4)
    assert losses[1] > 0.98 * math.log(4)


@pytest.mark.parametrize(
    ("ids", "given", "allowed"),
    [
        (IDS, {"order": 12}, "order=12 for 3000 ids of 65 .* in 30 .* from 0 to 8"),
        (IDS, {"order": -1}, "order=-1 .* must be from 0 to 8"),
        (IDS, {"folds": 0}, "folds=0 must be 1 or more"),
        (IDS[:5], {}, "order=6 for 5 ids of 65 characters .* must be from 0 to 4"),
        (IDS[:0], {}, "order=6 for 0 ids of 65 characters in 30 folds is too much"),
    ],
)
def test_what_cannot_be_counted_is_refused(ids, given, allowed):
    with pytest.raises(ValueError, match=allowed):
        lesson.Counts(ids, 65, **given)


@pytest.mark.parametrize(("length", "order"), [(1, 0), (5, 4)])
def test_the_least_that_can_be_counted_is_counted(length, order):
    counts = lesson.Counts(IDS[:length], 17, order, folds=2)
    assert counts(IDS[None, :length]).exp().sum(-1).allclose(torch.ones(length))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": 0}, "batch=0 and length=128 must be 1 or more"),
        ({"counts": -1}, "counts=-1 0 or more"),
        ({"flat": 1.1}, "flat=1.1 must be from 0 to 1"),
        ({"noise": 1.0}, "noise=1.0 from 0 to below 1"),
    ],
)
def test_an_entry_says_what_is_allowed(given, message):
    with pytest.raises(ValueError, match=message):
        lesson.Entry(**given)


def counted_model(seed=0, order=2):
    gpt = small_model(seed, window=4)
    return lesson.CountedGPT(gpt, lesson.Counts(IDS, 17, order))


def test_a_gpt_on_counts_begins_with_what_they_know():
    model, ids = counted_model(), IDS[None, :8]
    torch.testing.assert_close(model(ids), model.counts(ids))


def test_a_gpt_on_counts_is_causal_and_all_of_it_learns():
    model = counted_model()
    for weights in model.parameters():
        nn.init.normal_(weights, std=0.3)
    model.trust.bias.data.fill_(1.0)
    assert future_leak(model, IDS[None, :8]) < 1e-4
    ids = IDS[None, :9]
    logits = model(ids[:, :-1])
    nn.functional.cross_entropy(logits[0], ids[0, 1:]).backward()
    for name, weights in model.named_parameters():
        assert weights.grad.any(), name


def learned_model():
    """A counted model whose every part has something to say."""
    model = counted_model(order=3)
    torch.manual_seed(1)
    for weights in model.gpt.parameters():
        nn.init.normal_(weights, std=0.3)
    nn.init.normal_(model.trust.weight)
    return model.eval()


@pytest.mark.parametrize("pieces", [[8], [1, 7], [1] * 8, [3, 1, 4]])
def test_cached_is_uncached_on_counts_in_any_pieces(pieces):
    model = learned_model()
    ids = torch.randint(17, (3, 8))
    cached = lesson.CachedCountedGPT(model, rows=3)
    found = torch.cat([cached.read(part) for part in ids.split(pieces, dim=1)], dim=1)
    torch.testing.assert_close(found, model(ids).detach(), atol=1e-4, rtol=1e-4)


def test_a_gpt_on_counts_writes_the_same_with_and_without_its_cache():
    model, start = learned_model(), torch.tensor([[3, 1]])
    assert isinstance(reading(model), lesson.CountedReading)
    written = [step.ids.item() for step in stream(model, start, 20)]
    expected, ids = [], start
    for u in uniforms(1, 20):
        chances = next_logits(model, ids).double().softmax(dim=-1)
        ids = torch.cat([ids, draw(chances, u[None])[:, None]], dim=1)
        expected.append(ids[0, -1].item())
    assert written == expected


def kept(model, folder, **shape):
    """The model, written as a checkpoint; its card may say something else."""
    row = {"seed": 1, "seconds": 1.0, "val_loss": 2.0}
    tokenizer = CharTokenizer("".join(map(chr, range(97, 97 + 17))))
    card = races.make_card(model, tokenizer, lesson.Entry(), row, steps=5)
    shelf = checkpoints.Shelf("mine", folder)
    card = replace(card, shape=card.shape | shape)
    catalog.keep(shelf.at(5), model, card)
    return shelf.last()


@pytest.mark.parametrize("make", [learned_model, small_model])
def test_a_racer_is_kept_and_comes_back(tmp_path, make):
    model = make()
    folder = kept(model, tmp_path)
    back, _, card = checkpoints.load_checkpoint(folder)
    ids = torch.randint(17, (2, 8))
    assert torch.equal(back(ids), model(ids))
    assert (card.step, card.training.optimizer) == (5, "Muon")
    with pytest.raises(checkpoints.CheckpointError, match="cannot be trained on"):
        checkpoints.resume(checkpoints.Run("mine", tmp_path), torch.device("cpu"))


def test_counts_of_another_length_do_not_fit(tmp_path):
    folder = kept(learned_model(), tmp_path, counted=2999)
    with pytest.raises(checkpoints.CheckpointError, match=r"counts\.ids"):
        checkpoints.load_checkpoint(folder)


def test_counts_are_counted_again_when_other_ids_are_loaded():
    ids = torch.randint(17, (500,))
    ours, theirs = lesson.Counts(ids, 17, 2), lesson.Counts(IDS[:500], 17, 2)
    assert not torch.equal(ours(ids[None]), theirs(ids[None]))
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours(ids[None]), theirs(ids[None]))


def test_who_was_asked_without_gradients_first_still_learns():
    model = learned_model()
    with torch.inference_mode():
        model(IDS[None, :8])  # counts
    logits = model(IDS[None, :8])
    nn.functional.cross_entropy(logits[0], IDS[1:9]).backward()
    assert model.trust.weight.grad.any()


def test_practice_reads_the_text_without_its_fold():
    model = counted_model().eval()
    practice = lesson.Practice(model, IDS)
    places = torch.arange(8) + torch.tensor([[500], [1700]])
    fold = places // model.counts.fold_size
    expected = model(IDS[places], model.counts(IDS[places], fold))
    assert torch.equal(practice(places), expected)
    plain = small_model()
    assert torch.equal(lesson.Practice(plain, IDS)(places), plain(IDS[places]))


def test_a_window_across_a_border_does_not_know_what_it_reads():
    """As in one fold: random text is no easier behind the border than before it."""
    dice = torch.Generator().manual_seed(7)
    text = torch.randint(4, (4000,), generator=dice)
    gpt = ModernGPT(ModernConfig(4, **SMALL | {"context": 80}))
    model = lesson.CountedGPT(gpt, lesson.Counts(text, 4, 5))
    border = model.counts.fold_size * torch.arange(1, 20)[:, None]
    places = border + torch.arange(-40, 40)
    logits = lesson.Practice(model, text)(places)[:, 40:]
    loss = nn.functional.cross_entropy(
        logits.flatten(0, 1), text[places + 1][:, 40:].flatten()
    )
    assert loss > 0.98 * math.log(4)


def test_noise_is_read_and_never_counted(monkeypatch):
    seen = []
    model = counted_model().eval()
    monkeypatch.setattr(model, "forward", lambda read, counted: seen.append(read))
    asked = model.counts.forward
    monkeypatch.setattr(
        model.counts, "forward", lambda ids, fold: seen.append(ids) or asked(ids, fold)
    )
    places = torch.arange(200)[None]
    lesson.Practice(model, IDS, noise=0.5)(places)
    counted, read = seen
    assert torch.equal(counted, IDS[places])
    assert 0.3 < (read != IDS[places]).float().mean() < 0.6


def test_muon_finds_the_matrices_of_a_model_inside():
    model = counted_model()
    inside, others = lesson.muon_groups(lesson.Practice(model, IDS))
    assert [id(p) for p in inside] == [id(p) for p in lesson.muon_groups(model.gpt)[0]]
    assert len(inside) == 4 * SMALL["depth"]
    assert len(inside) + len(others) == len(list(model.parameters()))


@pytest.mark.parametrize("recipe", [Recipe(), HalfRecipe()], ids=["32", "16"])
def test_a_race_on_counts_gains_on_them(monkeypatch, recipe):
    """On a text with copies of a character further behind than the counts look."""
    clock = SimpleNamespace(now=0.0)

    def learn(*given):
        clock.now += 1
        return recipe(*given)

    ticking = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(lesson, "time", ticking)
    monkeypatch.setattr(lesson, "fast_recipe", lambda _: learn)
    dice = torch.Generator().manual_seed(6)
    text = torch.randint(5, (2000,), generator=dice)
    for t in range(4, 2000):
        if t % 2:
            text[t] = text[t - 3]
    shape = SMALL | {"context": 32}
    entry = lesson.Entry(shape=shape, counts=2, batch=16, length=32)
    torch.manual_seed(1)
    model = entry.build(text[:1500], 5)
    before = races.judged(model, text[-500:])
    list(lesson.race(entry, model, text[:1500], 100.0))  # steps
    assert races.judged(model, text[-500:]) < before - 0.1


def test_an_entry_without_counts_is_the_gpt_alone():
    entry = lesson.Entry(shape=SMALL)
    assert isinstance(entry.build(IDS, 17), lesson.CountedGPT)
    alone = races.without_counts(entry)
    assert isinstance(alone.build(IDS, 17), ModernGPT)
    assert alone.name != entry.name


def test_each_device_has_its_entry_and_unknown_ones_a_cpus():
    for kind in ("cpu", "mps", "cuda"):
        entry = races.fitting(lesson.ENTRIES, torch.device(kind))
        assert entry is lesson.ENTRIES["cuda" if kind == "cuda" else "cpu"]
    entry = lesson.ENTRIES["cuda"]
    model = entry.build(IDS.repeat(3), 17)
    config, lecture = model.gpt.config, GPTConfig.preset("lecture", 17)
    for name in ("context", "width", "heads", "depth"):
        assert getattr(config, name) == getattr(lecture, name)
    assert entry.length == config.context


def test_utilisation_is_a_share_of_the_roof(monkeypatch):
    config = GPTConfig(65)
    monkeypatch.setattr(races, "roof", lambda device: operations(config, 1000))
    assert races.utilisation(config, 250.0) == pytest.approx(0.25)


# The judge, and what is committed


class Cheat(nn.Module):
    """Says a character to come, which it looks up."""

    vocab_size = 17

    def __init__(self, ahead, context=32):
        super().__init__()
        self.ahead, self.context = ahead, context
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        following = ids.roll(-self.ahead, dims=1)
        return 9 * nn.functional.one_hot(following, 17).float() + self.weight


@pytest.mark.parametrize(("ahead", "context"), [(1, 32), (300, 512)])
def test_who_sees_the_future_is_disqualified(ahead, context):
    with pytest.raises(ValueError, match="disqualified: a later character moves"):
        races.judged(Cheat(ahead, context), IDS)


def test_who_says_what_is_no_number_is_disqualified():
    model = small_model()
    model.unembed.weight.data.fill_(math.nan)
    with pytest.raises(ValueError, match="disqualified: it says what is no number"):
        races.judged(model, IDS)


def test_an_honest_blind_guess_is_judged():
    assert races.judged(small_model(), IDS) == pytest.approx(math.log(17))


def test_the_leaderboard_keeps_all_and_sorts_a_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(races, "LEADERBOARD", tmp_path / "runs" / "board.json")
    rows = [
        {"name": "a", "budget": 100.0, "val_loss": 1.6},
        {"name": "b", "budget": 20.0, "val_loss": 1.7},
        {"name": "c", "budget": 100.0, "val_loss": 1.5},
    ]
    boards = [races.on_the_board(copy.copy(row)) for row in rows]
    assert [each["name"] for each in boards[-1]] == ["c", "a"]
    assert len(json.loads(races.LEADERBOARD.read_text())) == 3


def test_a_whole_race_through_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(races, "LEADERBOARD", tmp_path / "board.json")
    entry = lesson.Entry(name="tiny", shape=SMALL, batch=8, length=8, counts=2)
    monkeypatch.setattr(races, "ENTRIES", {"cpu": entry})
    monkeypatch.setattr("sys.argv", ["race", "--seconds", "2", "--seed", "7"])
    monkeypatch.setattr(races, "Shelf", partial(checkpoints.Shelf, root=tmp_path))
    (tmp_path / "race-1").mkdir()  # an earlier one
    races.main()
    [row] = json.loads(races.LEADERBOARD.read_text(encoding="utf-8"))
    assert (row["name"], row["model"]) == ("tiny", "race-2")
    model, tokenizer, card = catalog.load("race-2", tmp_path)
    assert card.validation_loss == row["val_loss"]
    hidden = split(tokenizer.encode(load_text("tinyshakespeare")))[1]
    assert validation_loss(model, hidden) == pytest.approx(row["val_loss"], abs=1e-3)
    assert 0 < row["utilisation"] < 1
    *_, hint, last = capsys.readouterr().out.strip().splitlines()
    assert hint == "talk to it with: gpt-lib chat race-2"
    found = dict(pair.split("=") for pair in last.split())
    assert set(found) == {"val_loss", "seconds", "tokens_per_s"}
    assert float(found["seconds"]) >= 2
    assert float(found["val_loss"]) < 2.6  # two characters back are 2.05


def test_two_races_at_once_have_two_names(tmp_path, monkeypatch):
    monkeypatch.setattr(races, "Shelf", partial(checkpoints.Shelf, root=tmp_path))
    assert [races.reserve_name() for _ in range(3)] == ["race-1", "race-2", "race-3"]
    assert catalog.run_names(tmp_path) == []  # nobody can talk to them yet


def test_a_race_that_fails_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(races, "Shelf", partial(checkpoints.Shelf, root=tmp_path))
    monkeypatch.setattr("sys.argv", ["race", "--seconds", "1"])

    def fails(*_, name):
        assert (tmp_path / name).is_dir()
        raise ValueError("disqualified")

    monkeypatch.setattr(races, "run", fails)
    with pytest.raises(ValueError, match="disqualified"):
        races.main()
    assert not list(tmp_path.iterdir())


def test_medians_are_those_of_one_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "bench.json")
    for name, losses in (("a", (1, 2, 3)), ("b", (7, 8, 9))):
        machine = {"name": name, "device": "cpu", "fastest numbers": "float32"}
        monkeypatch.setattr(results, "machine", lambda machine=machine: machine)
        rows = [{"name": "x", "budget": 1.0, "val_loss": loss} for loss in losses]
        results.keep("race", rows)
    assert races.medians() == {("x", "float32"): {1.0: 8}}


@pytest.mark.parametrize("wrong", [["--seconds", "0"], ["--seed", "-1"]])
def test_the_command_says_what_is_allowed(wrong, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["race", *wrong])
    with pytest.raises(SystemExit):
        races.main()
    assert "must be 1 or more" in capsys.readouterr().err


def test_the_committed_races_keep_their_promise():
    by_race = {}
    for number, run in enumerate(results.read_runs("race")):
        for row in run["results"]:
            key = number, row["name"], row["budget"]
            by_race.setdefault(key, []).append(row["val_loss"])
            if row["name"] != races.PLAIN:
                assert row["seconds"] <= row["budget"] + 1
    medians = {key: sorted(each)[len(each) // 2] for key, each in by_race.items()}
    name, kinds = lesson.Entry().name, {number for number, *_ in by_race}
    assert len(kinds) >= 2
    for budget, wished in ((100.0, 1.50), (180.0, 1.47), (300.0, 1.455)):
        found = {key[0]: key for key in by_race if key[1:] == (name, budget)}
        assert found
        for key in found.values():
            assert len(by_race[key]) == 3
            assert medians[key] <= wished
    for number, name, budget in by_race:
        if budget == 300.0:  # more time is worth something
            assert medians[number, name, 300.0] < medians[number, name, 180.0]


def test_the_committed_races_on_a_gpu_keep_their_promise():
    """The shape of the lecture to 1.47 in a minute, by either recipe."""
    losses = {}
    for row in read_rows("race", "cuda"):
        losses.setdefault((row["name"], row["budget"]), []).append(row["val_loss"])
        assert row["seconds"] <= min(60.0, row["budget"]) + 0.5
        assert 0.05 < row["utilisation"] < 1
    assert all(max(each) <= 1.47 for each in losses.values())
    for budget in races.TIMES["cuda"]:
        assert len(losses[lesson.ENTRIES["cuda"].name, budget]) == 3
    assert races.PLAIN in {name for name, _ in losses}


def test_the_committed_ablation_is_complete():
    rows = ablation.read_ablation()
    found = {(row["swap"], row["seed"]) for row in rows}
    assert found == {(swap, seed) for swap in ablation.SWAPS for seed in ablation.SEEDS}
    assert len(rows) == len(found)
    for changes in ablation.SWAPS.values():
        replace(ModernConfig(65), **changes)  # every swap is a config
    assert len(ablation.losses_by_swap()) == len(ablation.SWAPS)
