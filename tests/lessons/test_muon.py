"""AdamW is PyTorch's, Muon scales all directions alike, the rate follows the clock."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gpt_lib import checkpoints, runs
from gpt_lib import muon as lesson
from gpt_lib.bigram import Bigram
from gpt_lib.modern import ModernConfig, ModernGPT, build_modern_gpt
from gpt_lib.speed import CudaGraphStep, MixedPrecisionStep
from gpt_lib.training import (
    OPTIMIZERS,
    TrainingConfig,
    TrainingState,
    set_learning_rate,
    train,
)

SMALL = {"context": 8, "width": 16, "heads": 2, "depth": 2}
IDS = torch.arange(3000) * 7 % 17  # learnable to the end
WITH_MUON = {**OPTIMIZERS, "Muon": lesson.muon_from_config}


def small_model(seed=0, **shape):
    torch.manual_seed(seed)
    return ModernGPT(ModernConfig(17, **SMALL | shape))


# AdamW


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.95)])
def test_adamw_is_pytorchs(betas, decay):
    torch.manual_seed(0)
    ours = torch.randn(4, 3)
    theirs, state = nn.Parameter(ours.clone()), {}
    settings = {"lr": 0.1, "betas": betas, "eps": 1e-8, "weight_decay": decay}
    optimizer = torch.optim.AdamW([theirs], **settings)
    for rate in (0.1, 0.1, 0.05, 0.2):  # a schedule, too
        settings["lr"] = optimizer.param_groups[0]["lr"] = rate
        theirs.grad = torch.randn(4, 3)
        optimizer.step()
        lesson.apply_adamw_update(ours, theirs.grad, state, settings)
        torch.testing.assert_close(ours, theirs.detach())
    for name, tensor in optimizer.state[theirs].items():
        torch.testing.assert_close(state[name], tensor)


# Orthogonalizing


def shapes():
    return st.tuples(st.integers(2, 12), st.integers(2, 12), st.integers(0, 10**6))


@given(shapes())
def test_directions_stay_and_values_come_near_one(shape):
    rows, columns, seed = shape
    generator = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, rows, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(columns, columns, generator=generator))
    rank = min(rows, columns)
    values = torch.rand(rank, generator=generator) * 0.95 + 0.05
    x = left[:, :rank] * values @ right[:rank]
    # Diagonal where the directions are the same.
    inner = left[:, :rank].mT @ lesson.orthogonalize(x) @ right[:rank].mT
    assert (inner.diagonal() > 0.5).all()
    assert (inner.diagonal() < 1.4).all()
    assert (inner - inner.diagonal().diag()).abs().max() < 1e-3


def test_more_rounds_come_nearer():
    torch.manual_seed(0)
    x = torch.randn(20, 30)
    spread = [
        (torch.linalg.svdvals(lesson.orthogonalize(x, coefficients)) - 1).abs().max()
        for coefficients in (lesson.COEFFICIENTS[:n] for n in (1, 3, 5))
    ]
    assert spread[2] < spread[1] < spread[0]


def test_stacked_and_transposed_matrices_are_orthogonalized_alike():
    torch.manual_seed(0)
    x = torch.randn(3, 6, 4)
    y = lesson.orthogonalize(x)
    for one, many in zip(x, y):
        torch.testing.assert_close(
            lesson.orthogonalize(one), many, atol=1e-4, rtol=1e-4
        )
    transposed = lesson.orthogonalize(x.mT).mT
    torch.testing.assert_close(transposed, y, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [(6, 6), (4, 10), (10, 4)])
def test_it_is_pytorchs_muon_with_pytorchs_coefficients(shape, monkeypatch):
    """In 64 bits: PyTorch's computes in bfloat16, so that is left out."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())
    torch.manual_seed(0)
    ours = nn.Module()
    ours.blocks = nn.ModuleList([nn.Linear(*reversed(shape), bias=False).double()])
    ours.other = nn.Parameter(torch.zeros(1))
    weight = nn.Parameter(ours.blocks[0].weight.detach().clone())
    theirs = torch.optim.Muon([weight], lr=0.03, weight_decay=0.1)
    coefficients = ((3.4445, -4.7750, 2.0315),) * 5
    mine = lesson.Muon(
        ours, 0.03, 1.0, 0.1, precision=torch.float64, coefficients=coefficients
    )
    for _ in range(4):
        ours.blocks[0].weight.grad = torch.randn(shape, dtype=torch.float64)
        weight.grad = ours.blocks[0].weight.grad.clone()
        mine.step()
        theirs.step()
    torch.testing.assert_close(ours.blocks[0].weight, weight, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("rows", "columns", "scale"), [(4, 4, 1.0), (4, 16, 1.0), (682, 128, 2.3083)]
)
def test_a_tall_matrix_takes_larger_steps(rows, columns, scale):
    assert lesson.step_scale(rows, columns) == pytest.approx(scale, abs=1e-4)


def test_a_model_without_a_matrix_for_muon_is_an_error():
    with pytest.raises(ValueError, match=r"Bigram has no matrix in `blocks`.* AdamW"):
        lesson.Muon(Bigram(5))


def test_scale_does_not_matter_and_zero_stays_zero():
    x = torch.randn(4, 5)
    small, large = (lesson.orthogonalize(x * scale) for scale in (1e-3, 1e3))
    torch.testing.assert_close(small, large, atol=1e-2, rtol=1e-2)
    assert not lesson.orthogonalize(torch.zeros(3, 4)).any()


def test_sixteen_bits_are_enough():
    torch.manual_seed(0)
    x = torch.randn(16, 24)
    whole, half = lesson.orthogonalize(x), lesson.orthogonalize(x.bfloat16()).float()
    similarity = nn.functional.cosine_similarity(whole.flatten(), half.flatten(), 0)
    assert similarity > 0.99


# Muon


def test_matrices_in_blocks_are_muons_and_nothing_is_forgotten():
    model = small_model(norm="layer")
    groups = {group["kind"]: group for group in lesson.Muon(model).param_groups}
    matrices = {id(p) for p in groups["Muon"]["params"]}
    names = {n for n, p in model.named_parameters() if id(p) in matrices}
    assert names == {
        f"blocks.{number}.{layer}.weight"
        for number in range(2)
        for layer in ("attention.qkv", "attention.output", "mlp.up", "mlp.down")
    }
    both = [p for group in groups.values() for p in group["params"]]
    assert {id(p) for p in both} == {id(p) for p in model.parameters()}
    assert len(both) == len(list(model.parameters()))


def test_the_first_step_of_muon_by_hand():
    model = small_model()
    optimizer = lesson.Muon(model, lr=0.1, weight_decay=0.5)
    weight = model.blocks[0].mlp.up.weight  # (64, 16): tall
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
    weight = model.blocks[0].attention.output.weight
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
    torch.testing.assert_close(optimizer.state[weight]["momentum_buffer"], average)


def test_a_model_learns_with_it():
    config = TrainingConfig(
        steps=60, batch_size=8, warmup_steps=4, learning_rate=0.05, optimizer="Muon"
    )
    model = small_model()
    state = TrainingState.start(model, config, WITH_MUON)
    *_, last = train(model, IDS, IDS, config, state)
    assert last.validation_estimate < 0.5


@pytest.mark.parametrize(
    ("shape", "cut"), [((12, 4), (3, 4, 4)), ((4, 4), (1, 4, 4)), ((4, 12), (1, 4, 12))]
)
def test_tall_matrices_are_cut_into_squares(shape, cut):
    x = torch.arange(2 * math.prod(shape)).view(2, *shape)
    blocks = lesson.square_blocks(x)
    assert blocks.shape[1:] == cut
    assert torch.equal(blocks.flatten(1, -2), x)


def test_an_unknown_optimizer_is_refused():
    config = TrainingConfig(optimizer="SGD")
    with pytest.raises(ValueError, match="optimizer='SGD' must be one of AdamW, Muon"):
        TrainingState.start(small_model(), config, WITH_MUON)


def test_the_optimizer_from_a_config_has_its_rate_and_its_decay():
    config = TrainingConfig(learning_rate=0.03, weight_decay=0.2, optimizer="Muon")
    optimizer = TrainingState.start(small_model(), config, WITH_MUON).optimizer
    groups = {group["kind"]: group for group in optimizer.param_groups}
    assert (groups["Muon"]["lr"], groups["Muon"]["weight_decay"]) == (0.03, 0.2)
    assert groups["AdamW"]["lr"] == pytest.approx(0.2 * 0.03)
    assert groups["AdamW"]["weight_decay"] == 0


def test_the_rates_of_both_groups_follow_the_schedule():
    optimizer = lesson.Muon(small_model(), lr=0.02, lr_scale=0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2 * 0.02, 0.02]
    set_learning_rate(optimizer, 0.01)
    rates = {group["kind"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {"AdamW": pytest.approx(0.002), "Muon": 0.01}


def test_a_run_with_muon_resumes_as_if_it_had_never_stopped(tmp_path):
    """Lesson 10's promise, with this optimizer and this model."""
    architectures = {"modern-gpt": build_modern_gpt}
    config = TrainingConfig(
        steps=12,
        batch_size=4,
        warmup_steps=2,
        optimizer="Muon",
        record_every=1,
        evaluate_every=6,
    )
    card = checkpoints.ModelCard(
        architecture="modern-gpt",
        shape={"vocab_size": 17, **SMALL, "dropout": 0.1},
        tokenizer={"kind": "characters", "characters": "abcdefghijklmnopq"},
        text="none",
        text_sha256="0" * 64,
        training=config,
    )

    def records_of(run, model, state, card):
        records = train(model, IDS, IDS, config, state)
        progress = runs.TrainingProgress(run, model, state, card, IDS, 1.0)
        return runs.checkpointed(records, progress)

    def start(name):
        torch.manual_seed(3)
        model = checkpoints.build_architecture(
            card.architecture, card.shape, architectures
        )
        state = TrainingState.start(model, config, WITH_MUON)
        run = runs.CheckpointWriter(name, tmp_path)
        return run, model, records_of(run, model, state, card)

    run, whole, records = start("whole")
    with run.lock(new=True):
        list(records)
    run, _, records = start("stopped")
    with run.lock(new=True):
        for record in records:
            if record.step == 7:
                break
        records.close()
    torch.manual_seed(99)
    with run.lock():
        (model, _, card), state = runs.load_for_resuming(
            run, torch.device("cpu"), architectures, optimizers=WITH_MUON
        )
        assert isinstance(state.optimizer, lesson.Muon)
        list(records_of(run, model, state, card))
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, model.state_dict()[name]), name


# The clock


def test_the_rate_rises_stays_and_falls_to_zero():
    moments = (0.0, 0.01, 0.02, 0.3, 0.4, 0.7, 1.0)
    rates = [lesson.lr_fraction(progress) for progress in moments]
    assert 0 < rates[0] < 0.1
    assert rates[1] == pytest.approx(0.55)
    assert rates[2:5] == [1, 1, 1]
    assert rates[5] == pytest.approx(0.5)
    assert rates[6] == 0


def test_the_train_step_follows_the_measured_precision(monkeypatch):
    kinds = {
        torch.float32: MixedPrecisionStep,
        torch.bfloat16: CudaGraphStep,
        torch.float16: MixedPrecisionStep,  # which has the scaler that it needs
    }
    for precision, kind in kinds.items():
        monkeypatch.setattr(lesson, "pick_precision", lambda _, p=precision: p)
        step = lesson.pick_fastest_train_step(torch.device("cpu"))
        assert isinstance(step, kind)
        assert step.precision == precision
