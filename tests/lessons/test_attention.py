"""One head: scaled, causal, equal to torch's; and the test for the future."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from gpt_lib import attention as lesson
from gpt_lib.bigram import Bigram


def test_weights_by_hand():
    q = torch.tensor([[1.0, 0, 0, 0], [0, 2.0, 0, 0]])
    k = torch.tensor([[0, 2.0, 0, 0], [0, 1.0, 0, 0]])
    weights = lesson.attention_weights(q, k)
    # Row 1 scores 4 / 2 and 2 / 2: e² against e¹.
    first = math.e / (math.e + 1)
    torch.testing.assert_close(weights, torch.tensor([[1, 0], [first, 1 - first]]))


@given(
    st.integers(1, 3), st.integers(1, 7), st.integers(1, 20), st.floats(0.1, 30),
    st.integers(0, 99),
)  # fmt: skip
def test_values_mixed_by_these_weights_are_torchs_attention(B, T, H, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    # 64 bits: scores in the thousands would make rounding errors of 32 bits visible.
    shape, options = (B, T, H), {"generator": generator, "dtype": torch.float64}
    q, k, v = (scale * torch.randn(shape, **options) for _ in range(3))
    expected = scaled_dot_product_attention(q, k, v, is_causal=True)
    mixed = lesson.attention_weights(q, k) @ v
    torch.testing.assert_close(mixed, expected, atol=1e-8, rtol=1e-8)


def test_a_head_is_three_linear_layers_and_torchs_attention(device):
    torch.manual_seed(0)
    head, x = lesson.Head(12, 5).to(device), torch.randn(2, 7, 12, device=device)
    q, k, v = (x @ getattr(head, name).weight.T for name in ("query", "key", "value"))
    expected = scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(head(x), expected, atol=1e-5, rtol=1e-5)
    assert head.attention_weights(x).shape == (2, 7, 7)


@pytest.mark.parametrize("head_size", [4, 64, 1024])
def test_the_scale_of_scores_does_not_depend_on_the_head_size(head_size):
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(200, 32, head_size, generator=generator) for _ in range(2))
    weights = lesson.attention_weights(q, k)[:, -1]
    entropy = -(weights * weights.log()).sum(-1).mean()
    assert 2.8 < entropy < 3.3  # ln 32 is 3.47


def test_a_new_model_knows_nothing_and_the_head_is_added_to_the_bigram(device):
    torch.manual_seed(0)
    model = lesson.OneHeadModel(9, context=6, width=8).to(device)
    ids = torch.tensor([[0, 3, 8, 3]], device=device)
    assert model(ids).abs().max() == 0
    nn.init.normal_(model.bigram_logits.weight)
    torch.testing.assert_close(model(ids), model.bigram_logits(ids))
    nn.init.normal_(model.unembed.weight)
    gathered = model.unembed(model.head(model.embed(ids)))
    torch.testing.assert_close(model(ids), model.bigram_logits(ids) + gathered)


def test_a_vocabulary_too_large_for_its_table_is_refused():
    with pytest.raises(ValueError, match="a table of 50,000 × 50,000 numbers"):
        lesson.OneHeadModel(50_000)


class Peeking(nn.Module):
    """Adds to each position's logits `fraction` of those `offset` positions later."""

    context, vocab_size = None, 5

    def __init__(self, offset, fraction=1.0, dropout=0.0):
        super().__init__()
        self.offset, self.fraction = offset, fraction
        # Logits fall with the id: a change may well move a logit only downwards.
        self.logits = nn.Parameter(-torch.arange(25.0).view(5, 5))
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids):
        own = self.logits[ids]
        later = own.roll(-self.offset, dims=1)
        return self.dropout(own + self.fraction * later)


IDS = torch.tensor([[0, 1, 2, 3, 0, 2, 1], [3, 3, 1, 0, 2, 1, 0]])


@pytest.mark.parametrize("offset", [1, 2, 5])
@pytest.mark.parametrize("fraction", [1.0, 1e-3])
def test_a_model_that_peeks_is_caught(offset, fraction):
    assert lesson.future_leak(Peeking(offset, fraction), IDS) > 1e-3


def test_the_size_of_a_leak_is_exact():
    # Only the middle position can leak by the wrap of its id: 4 -> 0 moves by 20.
    ids = torch.tensor([[0, 4, 0]])
    assert lesson.future_leak(Peeking(1), ids) == pytest.approx(20)
    assert lesson.future_leak(Peeking(1), ids[:, [1, 0, 0]]) == pytest.approx(5)


@pytest.mark.parametrize("training", [True, False])
def test_an_honest_model_passes_even_with_dropout_and_keeps_its_mode(training):
    model = Peeking(0, dropout=0.5).train(training)
    assert lesson.future_leak(model, IDS) == 0
    assert model.training is training


def test_the_changed_position_itself_may_react():
    model = Bigram(5)
    nn.init.normal_(model.bigram_logits.weight)
    assert lesson.future_leak(model, IDS) == 0
