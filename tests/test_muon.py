"""AdamW is PyTorch's, Muon makes directions alike, a race ends in time, honestly."""

import copy
import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gpt_lib import checkpoints
from gpt_lib import muon as lesson
from gpt_lib.apps import ablation
from gpt_lib.apps import race as races
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.speed import HalfRecipe, Recipe
from gpt_lib.training import Progress, TrainingConfig, train

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
    for precision, kind in ((torch.float32, Recipe), (torch.bfloat16, HalfRecipe)):
        monkeypatch.setattr(lesson, "pick_precision", lambda _, p=precision: p)
        assert isinstance(lesson.fast_recipe(torch.device("cpu")), kind)


def test_a_race_learns_and_counts_its_tokens(device):
    model, entry = small_model().to(device), lesson.Entry(batch=4)
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
    laps = list(lesson.race(lesson.Entry(), small_model(), IDS, 10.0, begun=-3.0))
    expected = [0.02 * lesson.rate_at(second / 10) for second in range(3, 10)]
    assert rates == pytest.approx(expected)  # three seconds were over before
    assert laps[-1].seconds == 10


def test_noise_replaces_its_share():
    ids = torch.zeros(100, 100, dtype=torch.long)
    model = SimpleNamespace(vocab_size=17)
    assert lesson.noisy(ids, 0.0, model) is ids
    found = lesson.noisy(ids, 0.2, model)
    share = (found != 0).float().mean().item()
    assert share == pytest.approx(0.2 * 16 / 17, abs=0.03)
    assert found.min() >= 0
    assert found.max() < 17


# The judge, and what is committed


class Cheat(nn.Module):
    """Says the next character, which it looks up."""

    context, vocab_size = 32, 17

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        following = torch.cat([ids[:, 1:], ids[:, :1]], dim=1)
        return 9 * nn.functional.one_hot(following, 17).float() + self.weight


def test_who_sees_the_future_is_disqualified():
    with pytest.raises(ValueError, match="disqualified: a later character moves"):
        races.judged(Cheat(), IDS)


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
    entry = lesson.Entry(name="tiny", shape=SMALL, batch=8)
    monkeypatch.setattr(races, "entry_for", lambda seconds: entry)
    monkeypatch.setattr("sys.argv", ["race", "--seconds", "2", "--seed", "7"])
    races.main()
    last = capsys.readouterr().out.strip().splitlines()[-1]
    found = dict(pair.split("=") for pair in last.split())
    assert set(found) == {"val_loss", "seconds", "tokens_per_s"}
    assert float(found["seconds"]) >= 2
    assert float(found["val_loss"]) < 3.5


@pytest.mark.parametrize("wrong", [["--seconds", "0"], ["--seed", "-1"]])
def test_the_command_says_what_is_allowed(wrong, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["race", *wrong])
    with pytest.raises(SystemExit):
        races.main()
    assert "at least 1 and 0" in capsys.readouterr().err


def test_the_committed_races_keep_their_promise():
    by_budget = {}
    for row in races.read_races():
        by_budget.setdefault((row["name"], row["budget"]), []).append(row["val_loss"])
        if row["name"] == lesson.Entry().name:
            assert row["seconds"] <= row["budget"] + 0.5
    medians = {key: sorted(each)[len(each) // 2] for key, each in by_budget.items()}
    name = lesson.Entry().name
    assert len(by_budget[name, 100.0]) == 3
    assert medians[name, 100.0] <= 1.50
    assert medians[name, 180.0] <= 1.48


def test_the_committed_ablation_is_complete():
    rows = ablation.read_ablation()
    found = {(row["swap"], row["seed"]) for row in rows}
    assert found == {(swap, seed) for swap in ablation.SWAPS for seed in ablation.SEEDS}
    assert len(rows) == len(found)
    for changes in ablation.SWAPS.values():
        replace(ModernConfig(65), **changes)  # every swap is a config
    assert len(ablation.losses_by_swap()) == len(ablation.SWAPS)
