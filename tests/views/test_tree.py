"""The tree: its layout, what it says, what it tells its page and hears from it."""

import re
from itertools import pairwise

import pytest

from gpt_lib.views.picture import WIDGET_VIEW
from gpt_lib.views.tokens.tree import (
    GAP,
    MAX_DRAWN,
    MAX_DRAWN_COLUMNS,
    Node,
    TreeWidget,
    boxes_of,
    part_of,
    tree,
)

BEAMS = [
    Node("the", note="0.00"),
    Node(" king", 0, "−3.21"),
    Node(" <b>", 0, "−4.50", "pruned"),
    Node("\n", 1, "−3.50", "best"),
    Node(".", 1, "−3.60", "ended"),
]


def bundle(view):
    return view._repr_mimebundle_()


def places(nodes):
    return [(box["x"], box["row"]) for box in boxes_of(nodes)]


def beam_search(rounds, width=3, pruned=3):
    """Every round the last kept beam grows the new ones: the worst case for height."""
    nodes, last = [Node("x")], 0
    for _ in range(rounds):
        first = len(nodes)
        nodes += [Node("a", last, "−1.00") for _ in range(width)]
        nodes += [Node("b", last, "−2.00", "pruned") for _ in range(pruned)]
        last = first + width - 1
    return nodes


def test_a_parent_stands_before_and_amid_its_children():
    nodes = [Node("r"), Node("a", 0), Node("b", 0), Node("c", 1), Node("d", 1)]
    boxes = boxes_of(nodes)
    root, a, b, c, d = boxes
    assert root["x"] < a["x"] == b["x"] < c["x"] == d["x"]
    assert a["row"] == (c["row"] + d["row"]) / 2
    assert root["row"] == (a["row"] + b["row"]) / 2
    assert c["row"] < d["row"]
    assert min(box["row"] for box in boxes) == 0
    assert a["row"] < b["row"] <= a["row"] + 1  # as near as its column allows


@pytest.mark.parametrize("rounds", [1, 12, 40])
def test_no_two_nodes_share_a_place_and_siblings_keep_their_order(rounds):
    nodes = beam_search(rounds)
    found = sorted(places(nodes))
    for (x, row), (next_x, next_row) in pairwise(found):
        assert x < next_x or next_row >= row + 1
    rows = [row for _, row in places(nodes)]
    assert all(rows[first] < rows[first + 1] for first in range(1, 6))


def test_a_leaf_moves_up_beside_the_children_of_its_sibling():
    nodes = [Node("r"), Node("a", 0), Node("b", 0), *[Node("c", 1)] * 3]
    assert [row for _, row in places(nodes)] == [1.5, 1, 2, 0, 1, 2]
    nodes.append(Node("d", 2))  # now b must leave room for its own child
    assert [row for _, row in places(nodes)] == [2, 1, 3, 0, 1, 2, 3]


def test_many_children_reach_above_the_leaf_before_their_parent():
    nodes = [Node("r"), Node("a", 0), Node("b", 0), *[Node("c", 2)] * 5]
    assert [row for _, row in places(nodes)] == [1.5, 1, 2, 0, 1, 2, 3, 4]


def test_several_roots_stand_below_each_other():
    assert places([Node("a"), Node("b")]) == [(0, 0), (0, 1)]


def test_a_column_is_as_wide_as_its_widest_box():
    boxes = boxes_of([Node("a", note="−10.25"), Node("b", 0), Node("longer", 0)])
    assert [box["width"] for box in boxes] == [6, 6, 6]
    assert boxes[1]["x"] == boxes[0]["width"] + GAP


@pytest.mark.parametrize(
    ("label", "state", "shown"),
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
def test_a_box_shows_a_short_label_whose_ends_can_be_seen(label, state, shown):
    [box] = boxes_of([Node(label, state=state)])
    assert box["short"] == shown
    assert box["label"] == label


def test_the_twin_tells_counts_and_the_best_path():
    view = tree(BEAMS, "Beam search")
    assert view.twin.words == (
        "Beam search. Tree of 5 nodes: 4 kept, 1 pruned. Best: “the king↵” · −3.50."
    )
    assert view.twin.png.startswith(b"\x89PNG")
    assert bundle(view)[WIDGET_VIEW]["model_id"] == view.widget.model_id
    assert view.widget.summary in view.twin.words


def test_of_several_best_nodes_the_deepest_is_told():
    nodes = [Node("a", state="best"), Node("b", 0, "", "best"), Node("c", 0)]
    assert tree(nodes, "T").twin.words.endswith("Best: “ab”.")


def test_no_best_path_is_invented():
    words = tree([Node("a")], "T").twin.words
    assert words == "T. Tree of 1 node: 1 kept, 0 pruned."


def test_a_twin_is_escaped_and_takes_mathematics_as_text():
    page = tree([Node("$x$ & <b>"), Node("$\\bad$", 0, "$")], '<i> "$y$').twin.html
    assert "<i>" not in page
    assert "&lt;i&gt;" in page


def test_a_large_twin_draws_the_kept_first_and_says_what_it_leaves_out():
    nodes = [Node("r"), *[Node("p", 0, state="pruned")] * 90, *[Node("k", 0)] * 20]
    part = part_of(nodes)
    assert len(part) == MAX_DRAWN
    assert [node.label for node in part].count("k") == 20
    words = tree(nodes, "T").twin.words
    assert "111 nodes: 21 kept, 90 pruned. The picture shows 80 of them." in words


def test_a_deep_twin_draws_the_first_columns():
    chain = [Node("a", index - 1) for index in range(40)]
    chain.append(Node("b", 0))
    part = part_of(chain)
    assert len(part) == MAX_DRAWN_COLUMNS + 1
    assert part[-1] == Node("b", 0)
    assert tree(chain, "Deep").twin.width < 1200


def test_twelve_rounds_fit_into_the_twin():
    assert "The picture shows" not in tree(beam_search(12), "Beams").twin.words


def test_show_replaces_everything_at_once():
    widget = TreeWidget(title="Grows")
    widget.show(BEAMS, 3)
    assert (len(widget.boxes), widget.selected) == (5, 3)
    assert "5 nodes" in widget.summary
    widget.show([Node("a"), Node("b", 0)])
    assert [box["label"] for box in widget.boxes] == ["a", "b"]
    assert widget.selected == -1
    assert widget.summary == "2 nodes: 2 kept, 0 pruned."
    widget.show([])
    assert (widget.boxes, widget.summary) == ([], "No nodes yet.")


def test_a_tree_that_does_not_fit_leaves_the_old_one():
    widget = TreeWidget(title="T")
    widget.show(BEAMS, 1)
    with pytest.raises(ValueError, match=r"node 1 has parent=1; .* 0 to 0, or -1"):
        widget.show([Node("a"), Node("b", 1)])
    assert (len(widget.boxes), widget.selected) == (5, 1)


def test_a_pick_calls_back_and_one_of_an_older_tree_does_not():
    widget, picked = TreeWidget(title="T"), []
    assert not widget.pickable
    widget.on_pick(picked.append)
    assert widget.pickable
    widget.show(BEAMS)
    for content in ({"pick": 4}, {"pick": 5}, {"pick": -1}, {}, {"pick": 0}):
        widget._handle_custom_msg(content, [])
    assert picked == [4, 0]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Node("a", state="lost"), r"state='lost' is not one of \['kept',"),
        (lambda: tree([], "T"), "at least one node"),
        (lambda: tree([Node("a", 1), Node("b")], "T"), "node 0 has parent=1"),
        (lambda: tree([Node("a", -2)], "T"), "node 0 has parent=-2"),
        (lambda: TreeWidget().show(BEAMS, 5), "selected=5 is not one of 5 nodes"),
        (lambda: TreeWidget().show(BEAMS, -2), "selected=-2"),
    ],
)
def test_a_tree_says_what_does_not_fit(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()


def test_a_page_reads_only_what_the_kernel_sends():
    script = TreeWidget()._esm
    traits = TreeWidget.class_trait_names(sync=True)
    for name in re.findall(r'model\.(?:get|set)\("(\w+)"', str(script)):
        assert name in traits
