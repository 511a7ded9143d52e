"""The token tree: its layout, its description, and the messages of its page."""

from itertools import pairwise

import pytest

from gpt_lib.views.picture import WIDGET_VIEW
from gpt_lib.views.tokens.token_tree import (
    MAX_DRAWN,
    MAX_DRAWN_COLUMNS,
    TokenTreeWidget,
    drawable_part,
    token_tree,
)
from gpt_lib.views.tokens.token_tree_data import COLUMN_GAP, TreeNode, node_boxes
from tests.views.page_data import bundle

BEAMS = [
    TreeNode("the", note="0.00"),
    TreeNode(" king", 0, "−3.21"),
    TreeNode(" <b>", 0, "−4.50", "pruned"),
    TreeNode("\n", 1, "−3.50", "best"),
    TreeNode(".", 1, "−3.60", "ended"),
]


def positions(nodes):
    return [(box["x"], box["row"]) for box in node_boxes(nodes)]


def beam_search(rounds, width=3, pruned=3):
    """Every round the last kept beam grows the new ones: the worst case for height."""
    nodes, last = [TreeNode("x")], 0
    for _ in range(rounds):
        first = len(nodes)
        nodes += [TreeNode("a", last, "−1.00") for _ in range(width)]
        nodes += [TreeNode("b", last, "−2.00", "pruned") for _ in range(pruned)]
        last = first + width - 1
    return nodes


def test_a_parent_stands_before_and_amid_its_children():
    nodes = [
        TreeNode("r"),
        TreeNode("a", 0),
        TreeNode("b", 0),
        TreeNode("c", 1),
        TreeNode("d", 1),
    ]
    boxes = node_boxes(nodes)
    root, a, b, c, d = boxes
    assert root["x"] < a["x"] == b["x"] < c["x"] == d["x"]
    assert a["row"] == (c["row"] + d["row"]) / 2
    assert root["row"] == (a["row"] + b["row"]) / 2
    assert c["row"] < d["row"]
    assert min(box["row"] for box in boxes) == 0
    assert a["row"] < b["row"] <= a["row"] + 1  # as near as its column allows


@pytest.mark.parametrize("rounds", [1, 12, 40])
def test_no_two_nodes_share_a_position_and_siblings_keep_their_order(rounds):
    nodes = beam_search(rounds)
    ordered = sorted(positions(nodes))
    for (x, row), (next_x, next_row) in pairwise(ordered):
        assert x < next_x or next_row >= row + 1
    rows = [row for _, row in positions(nodes)]
    assert all(rows[first] < rows[first + 1] for first in range(1, 6))


def test_a_leaf_moves_up_beside_the_children_of_its_sibling():
    nodes = [TreeNode("r"), TreeNode("a", 0), TreeNode("b", 0), *[TreeNode("c", 1)] * 3]
    assert [row for _, row in positions(nodes)] == [1.5, 1, 2, 0, 1, 2]
    nodes.append(TreeNode("d", 2))  # now b must leave room for its own child
    assert [row for _, row in positions(nodes)] == [2, 1, 3, 0, 1, 2, 3]


def test_many_children_reach_above_the_leaf_before_their_parent():
    nodes = [TreeNode("r"), TreeNode("a", 0), TreeNode("b", 0), *[TreeNode("c", 2)] * 5]
    assert [row for _, row in positions(nodes)] == [1.5, 1, 2, 0, 1, 2, 3, 4]


def test_several_roots_stand_below_each_other():
    assert positions([TreeNode("a"), TreeNode("b")]) == [(0, 0), (0, 1)]


def test_a_column_is_as_wide_as_its_widest_box():
    boxes = node_boxes(
        [TreeNode("a", note="−10.25"), TreeNode("b", 0), TreeNode("longer", 0)]
    )
    assert [box["width"] for box in boxes] == [6, 6, 6]
    assert boxes[1]["x"] == boxes[0]["width"] + COLUMN_GAP


@pytest.mark.parametrize(
    ("label", "state", "short"),
    [
        (" ", "kept", "␣"),
        ("\n", "pruned", "↵"),
        (" a b  ", "kept", "␣a b␣␣"),
        ("a\n\tb", "ended", "■ a↵⇥b"),
        ("it", "best", "★ it"),
        ("x" * 18, "kept", "x" * 18),
        ("x" * 19, "kept", "x" * 17 + "…"),
        ("", "kept", ""),
    ],
)
def test_a_box_shows_a_short_label_whose_ends_can_be_seen(label, state, short):
    [box] = node_boxes([TreeNode(label, state=state)])
    assert box["short"] == short
    assert box["label"] == label


def test_the_fallback_describes_counts_and_the_best_path():
    view = token_tree(BEAMS, "Beam search")
    assert view.fallback.description == (
        "Beam search. Tree of 5 nodes: 4 kept, 1 pruned. Best: “the king↵” · −3.50."
    )
    assert view.fallback.png.startswith(b"\x89PNG")
    assert bundle(view)[WIDGET_VIEW]["model_id"] == view.widget.model_id
    assert view.widget.summary in view.fallback.description


def test_of_several_best_nodes_the_deepest_is_described():
    nodes = [
        TreeNode("a", state="best"),
        TreeNode("b", 0, "", "best"),
        TreeNode("c", 0),
    ]
    assert token_tree(nodes, "T").fallback.description.endswith("Best: “ab”.")


def test_no_best_path_is_invented():
    description = token_tree([TreeNode("a")], "T").fallback.description
    assert description == "T. Tree of 1 node: 1 kept, 0 pruned."


def test_a_fallback_is_escaped_and_takes_mathematics_as_text():
    page = token_tree(
        [TreeNode("$x$ & <b>"), TreeNode("$\\bad$", 0, "$")], '<i> "$y$'
    ).fallback.html
    assert "<i>" not in page
    assert "&lt;i&gt;" in page


def test_a_large_fallback_draws_the_kept_first_and_says_what_it_leaves_out():
    nodes = [
        TreeNode("r"),
        *[TreeNode("p", 0, state="pruned")] * 90,
        *[TreeNode("k", 0)] * 20,
    ]
    part = drawable_part(nodes)
    assert len(part) == MAX_DRAWN
    assert [node.label for node in part].count("k") == 20
    description = token_tree(nodes, "T").fallback.description
    assert "111 nodes: 21 kept, 90 pruned. The picture shows 80 of them." in description


def test_a_deep_fallback_draws_the_first_columns():
    chain = [TreeNode("a", index - 1) for index in range(40)]
    chain.append(TreeNode("b", 0))
    part = drawable_part(chain)
    assert len(part) == MAX_DRAWN_COLUMNS + 1
    assert part[-1] == TreeNode("b", 0)
    assert token_tree(chain, "Deep").fallback.width < 1200


def test_twelve_rounds_fit_into_the_fallback():
    assert (
        "The picture shows"
        not in token_tree(beam_search(12), "Beams").fallback.description
    )


def test_show_replaces_everything_at_once():
    widget = TokenTreeWidget(title="Grows")
    widget.show(BEAMS, 3)
    assert (len(widget.boxes), widget.selected) == (5, 3)
    assert "5 nodes" in widget.summary
    widget.show([TreeNode("a"), TreeNode("b", 0)])
    assert [box["label"] for box in widget.boxes] == ["a", "b"]
    assert widget.selected == -1
    assert widget.summary == "2 nodes: 2 kept, 0 pruned."
    widget.show([])
    assert (widget.boxes, widget.summary) == ([], "No nodes yet.")


def test_a_tree_that_does_not_fit_leaves_the_old_one():
    widget = TokenTreeWidget(title="T")
    widget.show(BEAMS, 1)
    with pytest.raises(ValueError, match=r"node 1 has parent=1; .* 0 to 0, or -1"):
        widget.show([TreeNode("a"), TreeNode("b", 1)])
    assert (len(widget.boxes), widget.selected) == (5, 1)


def test_a_pick_calls_back_and_one_of_an_older_tree_does_not():
    widget, picks = TokenTreeWidget(title="T"), []
    assert not widget.pickable
    widget.on_pick(picks.append)
    assert widget.pickable
    widget.show(BEAMS)
    for index in (4, 5, -1, None, 0):
        widget._handle_custom_msg({"type": "pick", "index": index}, [])
    widget._handle_custom_msg({}, [])
    widget._handle_custom_msg({"type": "other", "index": 1}, [])
    assert picks == [4, 0]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: TreeNode("a", state="lost"), r"state='lost' is not one of \['kept',"),
        (lambda: token_tree([], "T"), "at least one node"),
        (
            lambda: token_tree([TreeNode("a", 1), TreeNode("b")], "T"),
            "node 0 has parent=1",
        ),
        (lambda: token_tree([TreeNode("a", -2)], "T"), "node 0 has parent=-2"),
        (lambda: TokenTreeWidget().show(BEAMS, 5), "selected=5 is not one of 5 nodes"),
        (lambda: TokenTreeWidget().show(BEAMS, -2), "selected=-2"),
    ],
)
def test_a_tree_says_what_does_not_fit(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()
