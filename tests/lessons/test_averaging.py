"""Three equal ways to look back, and the model that uses them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gpt_lib import averaging as lesson


def past_mean_by_loop(x):
    return torch.stack([x[: t + 1].mean(dim=0) for t in range(len(x))])


def test_a_mean_by_hand():
    x = torch.tensor([[6.0, 0.0], [2.0, 2.0], [1.0, 4.0]])
    assert lesson.past_mean(x).tolist() == [[6.0, 0.0], [4.0, 1.0], [3.0, 2.0]]


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.integers(0, 99))
def test_softmax_and_triangle_and_loop_are_equal(B, T, C, seed):
    x = torch.randn(B, T, C, generator=torch.Generator().manual_seed(seed))
    triangle = torch.ones(T, T).tril()
    triangle /= triangle.sum(dim=1, keepdim=True)
    expected = torch.stack([past_mean_by_loop(row) for row in x])
    torch.testing.assert_close(triangle @ x, expected)
    torch.testing.assert_close(lesson.past_mean(x), expected)


@pytest.mark.parametrize("scale", [0.0, 1.0, 50.0])
def test_weights_of_the_past_sum_to_one(scale, device):
    generator = torch.Generator().manual_seed(0)
    scores = (scale * torch.randn(2, 3, 6, 6, generator=generator)).to(device)
    weights = lesson.causal_softmax(scores)
    assert weights.triu(1).count_nonzero() == 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 6, device=device))
    for t in range(6):
        expected = scores[..., t, : t + 1].softmax(dim=-1)
        torch.testing.assert_close(weights[..., t, : t + 1], expected)


def test_a_very_low_past_does_not_let_the_future_in():
    weights = lesson.causal_softmax(torch.full((2, 2), -1e4).triu(0))
    assert weights.tolist()[0] == [1.0, 0.0]


def test_adding_to_all_scores_of_a_row_changes_nothing():
    scores = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    shifted = scores + torch.tensor([[3.0], [-2.0], [0.0], [9.0]])
    torch.testing.assert_close(
        lesson.causal_softmax(scores), lesson.causal_softmax(shifted)
    )


def test_a_new_model_knows_nothing_and_a_trained_one_adds_both(device):
    model = lesson.AveragingModel(5, context=8).to(device)
    ids = torch.tensor([[0, 3, 1, 4]], device=device)
    assert model(ids).shape == (1, 4, 5)
    loss = nn.functional.cross_entropy(model(ids)[0], ids[0])
    assert loss.item() == pytest.approx(math.log(5), abs=1e-5)
    nn.init.normal_(model.bigram_logits.weight)
    nn.init.normal_(model.past_logits.weight)
    rows = model.past_logits(ids)[0]
    for t in range(4):
        expected = model.bigram_logits(ids)[0, t] + rows[: t + 1].mean(dim=0)
        torch.testing.assert_close(model(ids)[0, t], expected)


def test_a_vocabulary_too_large_for_its_tables_is_refused():
    with pytest.raises(ValueError, match="a table of 50,000 × 50,000 numbers"):
        lesson.AveragingModel(50_000)


def test_the_mean_forgets_order_and_the_bigram_does_not():
    model = lesson.AveragingModel(5)
    nn.init.normal_(model.past_logits.weight)
    ids, permuted = torch.tensor([[0, 3, 1, 4]]), torch.tensor([[1, 0, 3, 4]])
    torch.testing.assert_close(model(ids)[0, -1], model(permuted)[0, -1])
    nn.init.normal_(model.bigram_logits.weight)
    other = torch.tensor([[0, 3, 4, 1]])
    assert not torch.allclose(model(ids)[0, -1], model(other)[0, -1])
