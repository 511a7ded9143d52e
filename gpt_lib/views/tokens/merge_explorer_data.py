"""What the page of the merge explorer shows: a text, and the merges of a vocabulary."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from gpt_lib.views.page import load_page_files
from gpt_lib.views.visible_text import visible_text

PAGE_SOURCES = load_page_files("text_field", "tokens/pieces", "tokens/merge_explorer")
MAX_SHOWN_BYTES = 4000  # the page merges them anew at each move of the slider


def merge_explorer_data(
    chunks: Sequence[Sequence[int]],
    merges: Sequence[Sequence[int]],
    labels: Sequence[str],
) -> dict[str, Any]:
    """The state of the page; see `merge_explorer` for the arguments."""
    first = len(labels) - len(merges)
    if first < 1:
        raise ValueError(f"{len(labels)} labels are too few for {len(merges)} merges")
    for number, merge in enumerate(merges):
        if len(merge) != 2 or not all(0 <= id < first + number for id in merge):
            raise ValueError(f"merge {number} is {merge}; it must be two earlier ids")
    if wrong := {id for chunk in chunks for id in chunk if not 0 <= id < first}:
        raise ValueError(
            f"a text has id {min(wrong)}; before any merge they are from 0 to"
            f" {first - 1}"
        )
    first_chunks, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_SHOWN_BYTES:
            break
        first_chunks.append(list(chunk))
    return {
        "chunks": first_chunks,
        "merges": [list(merge) for merge in merges],
        "labels": [*map(visible_text, labels)],
    }


def apply_merges(
    chunk: Sequence[int], merges: Sequence[Sequence[int]], first: int
) -> list[int]:
    """A chunk after all `merges`, in their order; the first makes the id `first`."""
    ids = list(chunk)
    ranks = {tuple(merge): first + rank for rank, merge in enumerate(merges)}
    while new_ids := [ranks[pair] for pair in pairwise(ids) if pair in ranks]:
        merged, at = [], 0
        while at < len(ids):
            is_next = ranks.get(tuple(ids[at : at + 2])) == min(new_ids)
            merged.append(min(new_ids) if is_next else ids[at])
            at += 2 if is_next else 1
        ids = merged
    return ids
