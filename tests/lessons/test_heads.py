"""Heads side by side: equal to a list of heads with the same weights; and order."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gpt_lib import heads as lesson
from gpt_lib.attention import Head


def test_split_by_finger():
    x = torch.tensor([[[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]]])
    assert lesson.split_heads(x, 2).tolist() == [
        [[[0, 1], [10, 11], [20, 21]], [[2, 3], [12, 13], [22, 23]]]
    ]


def test_merge_by_finger():
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
    fused = lesson.MultiHead(width, heads).to(device)
    listed = [Head(width, width // heads).to(device) for _ in range(heads)]
    tables = fused.query_key_value.weight.view(3, heads, width // heads, width)
    for head, (q, k, v) in zip(listed, tables.transpose(0, 1)):
        for layer, table in zip((head.query, head.key, head.value), (q, k, v)):
            layer.weight.data.copy_(table)
    x = torch.randn(2, 7, width, device=device)
    expected = fused.merge(torch.cat([head(x) for head in listed], dim=-1))
    torch.testing.assert_close(fused(x), expected, atol=1e-5, rtol=1e-5)
    weights = torch.stack([head.weights(x) for head in listed], dim=1)
    torch.testing.assert_close(fused.weights(x), weights, atol=1e-5, rtol=1e-5)


def test_it_equals_torchs_multi_head_attention():
    torch.manual_seed(0)
    ours, theirs = lesson.MultiHead(12, 4), nn.MultiheadAttention(12, 4, bias=False)
    theirs.in_proj_weight.data.copy_(ours.query_key_value.weight)
    theirs.out_proj.weight.data.copy_(ours.merge.weight)
    x = torch.randn(5, 2, 12)  # torch's own wants (T, B, C)
    future = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected, weights = theirs(
        x, x, x, attn_mask=future, average_attn_weights=False, need_weights=True
    )
    batch = x.transpose(0, 1)
    torch.testing.assert_close(ours(batch).transpose(0, 1), expected)
    torch.testing.assert_close(ours.weights(batch), weights)


def test_heads_that_do_not_divide_the_width_are_an_error():
    with pytest.raises(ValueError, match="heads=5 does not divide width=12"):
        lesson.MultiHead(12, 5)


def test_dropout_is_on_in_training_only():
    torch.manual_seed(0)
    heads, x = lesson.MultiHead(8, 2, dropout=0.5), torch.randn(1, 6, 8)
    without = lesson.MultiHead(8, 2)
    without.load_state_dict(heads.state_dict())
    assert not torch.allclose(heads(x), heads(x))
    torch.testing.assert_close(heads.eval()(x), without(x))


def test_without_positions_the_past_is_a_bag_and_with_them_it_is_not(device):
    ids = torch.tensor([[0, 3, 1, 4, 2]], device=device)
    permuted = ids[:, [2, 0, 3, 1, 4]]
    for positions in (False, True):
        torch.manual_seed(0)
        model = lesson.ManyHeads(5, 6, 8, 2, positions).to(device)
        nn.init.normal_(model.unembed.weight)
        last, other = model(ids)[0, -1], model(permuted)[0, -1]
        assert torch.allclose(last, other, atol=1e-5) is not positions


def test_positions_are_added_to_what_the_heads_read():
    torch.manual_seed(0)
    model, ids = lesson.ManyHeads(5, 6, 8, 2), torch.tensor([[0, 3, 1]])
    expected = model.embed.weight[ids] + model.position.weight[:3]
    torch.testing.assert_close(model.read(ids), expected)
    assert model(ids).abs().max() == 0  # a new model knows nothing
    nn.init.normal_(model.unembed.weight)
    nn.init.normal_(model.table.weight)
    gathered = model.unembed(model.heads(expected))
    torch.testing.assert_close(model(ids), model.table(ids) + gathered)
