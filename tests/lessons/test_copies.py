"""Lesson 17b: near-duplicates, and what a signature says of two texts."""

import numpy as np
import torch

from gpt_lib import copies as lesson


def test_jaccard_and_shingles():
    a, b, none = np.array([1, 2, 3]), np.array([2, 3, 4]), np.array([])
    assert lesson.jaccard(a, b) == 0.5
    assert lesson.jaccard(none, none) == 0
    assert len(lesson.shingles("Two words")) == 0
    one, same = map(
        lesson.shingles, ("one TWO three, four fÜnf", "One two three four fünf!")
    )
    assert len(one) == 1
    assert np.array_equal(one, same)
    words = list("abcdefabcde")
    assert len(lesson.shingles(" ".join(words))) == 6  # a b c d e stands twice
    runs = {tuple(words[n : n + 5]) for n in range(7)}
    assert len(runs) == 6


def test_a_minhash_estimates_the_similarity():
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randperm(10**6, generator=generator).tolist()
    for common in (0, 300, 600, 900):
        a = np.array(numbers[:1000], np.uint64)
        rest = numbers[2000 : 3000 - common]
        b = np.array([*numbers[:common], *rest], np.uint64)
        equal = (lesson.minhash(a) == lesson.minhash(b)).mean()
        # 128 trials: four standard errors are 0.18 at most.
        assert abs(equal - lesson.jaccard(a, b)) < 0.18


def test_near_duplicates_are_found_and_others_are_not():
    sentences = [
        f"on day {n} the {a} of {b} walked to town number {n * 7} and came back"
        for n, (a, b) in enumerate(zip(["king", "queen", "cook"] * 20, ["ale"] * 60))
    ]
    documents = [" ".join(sentences[n : n + 10]) for n in range(0, 50, 10)]
    copy = documents[3].replace("cook", "baker", 1)
    found = lesson.near_duplicates([*documents, copy, documents[0]], 0.7)
    assert [(a, b) for a, b, _ in found] == [(0, 6), (3, 5)]
    assert found[0][2] == 1
    assert 0.7 < found[1][2] < 1
