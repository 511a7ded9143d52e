"""Heads side by side: equal to a list of heads with the same weights; and order."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gpt_lib import heads as lesson
from gpt_lib.attention import Head


def test_split_heads_by_hand():
    x = torch.tensor([[[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]]])
    assert lesson.split_heads(x, 2).tolist() == [
        [[[0, 1], [10, 11], [20, 21]], [[2, 3], [12, 13], [22, 23]]]
    ]


def test_merge_heads_by_hand():
    x = torch.tensor([[[[0, 1], [10, 11], [20, 21]], [[2, 3], [12, 13], [22, 23]]]])
    assert lesson.merge_heads(x).tolist() == [
        [[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]]
    ]


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_merge_undoes_split(B, T, N, H):
    x = torch.arange(float(B * T * N * H)).view(B, T, N * H)
    heads = lesson.split_heads(x, N)
    assert heads.shape == (B, N, T, H)
    assert torch.equal(lesson.merge_heads(heads), x)


@pytest.mark.parametrize(("width", "heads"), [(12, 3), (8, 1), (8, 8)])
def test_fused_heads_equal_a_list_with_the_same_weights(width, heads, device):
    torch.manual_seed(0)
    fused = lesson.MultiHeadAttention(width, heads).to(device)
    head_list = [Head(width, width // heads).to(device) for _ in range(heads)]
    weights = fused.qkv.weight.view(3, heads, width // heads, width)
    for head, qkv_weights in zip(head_list, weights.transpose(0, 1)):
        for layer, weight in zip((head.query, head.key, head.value), qkv_weights):
            layer.weight.data.copy_(weight)
    x = torch.randn(2, 7, width, device=device)
    expected = fused.output(torch.cat([head(x) for head in head_list], dim=-1))
    torch.testing.assert_close(fused(x), expected, atol=1e-5, rtol=1e-5)
    weights = torch.stack([head.attention_weights(x) for head in head_list], dim=1)
    torch.testing.assert_close(
        fused.attention_weights(x), weights, atol=1e-5, rtol=1e-5
    )


def test_it_equals_torchs_multi_head_attention():
    torch.manual_seed(0)
    ours, theirs = (
        lesson.MultiHeadAttention(12, 4),
        nn.MultiheadAttention(12, 4, bias=False),
    )
    theirs.in_proj_weight.data.copy_(ours.qkv.weight)
    theirs.out_proj.weight.data.copy_(ours.output.weight)
    x = torch.randn(5, 2, 12)  # torch's own wants (T, B, C)
    future = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected, weights = theirs(
        x, x, x, attn_mask=future, average_attn_weights=False, need_weights=True
    )
    batch = x.transpose(0, 1)
    torch.testing.assert_close(ours(batch).transpose(0, 1), expected)
    torch.testing.assert_close(ours.attention_weights(batch), weights)


def test_heads_that_do_not_divide_the_width_are_an_error():
    with pytest.raises(ValueError, match="heads=5 does not divide width=12"):
        lesson.MultiHeadAttention(12, 5)


def test_dropout_is_on_in_training_only():
    torch.manual_seed(0)
    attention, x = lesson.MultiHeadAttention(8, 2, dropout=0.5), torch.randn(1, 6, 8)
    without_dropout = lesson.MultiHeadAttention(8, 2)
    without_dropout.load_state_dict(attention.state_dict())
    assert not torch.allclose(attention(x), attention(x))
    torch.testing.assert_close(attention.eval()(x), without_dropout(x))


def test_the_values_are_mixed_by_the_attention_that_is_passed():
    calls = []

    def first_value_only(q, k, v, **options):
        calls.append(options)
        return v[:, :, :1].expand_as(q)

    torch.manual_seed(0)
    attention = lesson.MultiHeadAttention(8, 2, 0.5, first_value_only)
    x = torch.randn(3, 5, 8)
    first_value = attention.project_qkv(x[:, :1])[2]
    expected = attention.output(lesson.merge_heads(first_value)).expand(3, 5, 8)
    torch.testing.assert_close(attention(x), expected)
    torch.testing.assert_close(attention.eval()(x), expected)
    assert calls == [{"is_causal": True, "dropout_p": p} for p in (0.5, 0.0)]


class OneStepCache:
    """Hands out the keys and values of a single earlier position."""

    def __init__(self, keys, values):
        self.keys, self.values, self.layers = keys, values, []

    def update(self, layer, keys, values):
        self.layers.append(layer)
        return torch.cat([self.keys, keys], -2), torch.cat([self.values, values], -2)

    def causal_mask(self, T):
        assert T == 1
        return None  # one new position attends to everything


def test_a_new_position_attends_to_the_keys_in_the_cache():
    torch.manual_seed(0)
    attention, x = lesson.MultiHeadAttention(12, 3), torch.randn(2, 2, 12)
    _, keys, values = attention.project_qkv(x[:, :1])
    cache = OneStepCache(keys, values)
    torch.testing.assert_close(attention(x[:, 1:], cache, 7), attention(x)[:, 1:])
    assert cache.layers == [7]


def test_without_positions_the_past_is_a_bag_and_with_them_it_is_not(device):
    ids = torch.tensor([[0, 3, 1, 4, 2]], device=device)
    permuted = ids[:, [2, 0, 3, 1, 4]]
    for positions in (False, True):
        torch.manual_seed(0)
        model = lesson.MultiHeadModel(5, 6, 8, 2, positions).to(device)
        nn.init.normal_(model.unembed.weight)
        last, other = model(ids)[0, -1], model(permuted)[0, -1]
        assert torch.allclose(last, other, atol=1e-5) is not positions


def test_a_vocabulary_too_large_for_its_table_is_refused():
    with pytest.raises(ValueError, match="a table of 50,000 × 50,000 numbers"):
        lesson.MultiHeadModel(50_000)


def test_position_embeddings_are_added_before_attention():
    torch.manual_seed(0)
    model, ids = lesson.MultiHeadModel(5, 6, 8, 2), torch.tensor([[0, 3, 1]])
    expected = model.embed.weight[ids] + model.position_embedding.weight[:3]
    torch.testing.assert_close(model.embed_positions(ids), expected)
    assert model(ids).abs().max() == 0  # a new model knows nothing
    nn.init.normal_(model.unembed.weight)
    nn.init.normal_(model.bigram_logits.weight)
    gathered = model.unembed(model.attention(expected))
    torch.testing.assert_close(model(ids), model.bigram_logits(ids) + gathered)
