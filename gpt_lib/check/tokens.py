"""The exercises of lesson 16."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise

from gpt_lib.check.exercise import Exercise

Pair = tuple[int, int]
Words = Mapping[tuple[int, ...], int]  # the ids of a word -> how often it occurs


def reference_merge_pair(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Solution: from the left, and on by two after a pair."""
    merged, i = [], 0
    while i < len(ids):
        is_pair = tuple(ids[i : i + 2]) == pair
        merged.append(new_id if is_pair else ids[i])
        i += 2 if is_pair else 1
    return merged


def mistake_overlapping_pairs_merged(
    ids: list[int], pair: Pair, new_id: int
) -> list[int]:
    """Mistake: each place where a pair begins is merged, even inside another pair."""
    begins = [tuple(ids[i : i + 2]) == pair for i in range(len(ids))]
    return [
        new_id if begins[i] else id
        for i, id in enumerate(ids)
        if begins[i] or not (i and begins[i - 1])
    ]


def mistake_last_id_forgotten(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Mistake: the walk ends before the last id, which no pair begins with."""
    merged, i = [], 0
    while i < len(ids) - 1:
        is_pair = (ids[i], ids[i + 1]) == pair
        merged.append(new_id if is_pair else ids[i])
        i += 2 if is_pair else 1
    return merged


def mistake_second_of_pair_stays(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Mistake: after a pair the walk goes on by one."""
    return [new_id if tuple(ids[i : i + 2]) == pair else id for i, id in enumerate(ids)]


def mistake_only_the_first_pair(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Mistake: one occurrence is merged, the others stay."""
    for i, neighbours in enumerate(pairwise(ids)):
        if neighbours == pair:
            return [*ids[:i], new_id, *ids[i + 2 :]]
    return ids


merge_pair = Exercise(
    solution=reference_merge_pair,
    inputs=lambda: [
        ([1, 2, 3, 1, 2], (1, 2), 256),
        ([5, 5, 5], (5, 5), 256),
        ([2, 1, 1, 2, 4], (1, 2), 300),
        ([7, 7, 7, 7, 8], (7, 7), 256),
        ([9], (9, 9), 256),
        ([], (1, 2), 256),
    ],
    mistakes={
        "overlap": (
            mistake_overlapping_pairs_merged,
            "Of `aaa` you merged two pairs, and the middle one is in both. After a pair"
            " go on by two: each id is in one token only.",
        ),
        "last forgotten": (
            mistake_last_id_forgotten,
            "The last id is lost where it is not part of a pair.",
        ),
        "second kept": (
            mistake_second_of_pair_stays,
            "The new id stands there, but the second of the pair does, too: go on by"
            " two.",
        ),
        "only the first": (
            mistake_only_the_first_pair,
            "Only the first pair is merged. A merge is done wherever the pair stands.",
        ),
        "from the right": (
            lambda ids, pair, new_id: reference_merge_pair(
                ids[::-1], pair[::-1], new_id
            )[::-1],
            "You merged from the right: of `aaa` the *first* two become one token.",
        ),
        "either order": (
            lambda ids, pair, new_id: reference_merge_pair(
                reference_merge_pair(ids, pair, new_id), pair[::-1], new_id
            ),
            "You merged the pair in the other order, too. `th` is not `ht`.",
        ),
        "removed": (
            lambda ids, pair, new_id: [
                id for id in reference_merge_pair(ids, pair, new_id) if id != new_id
            ],
            "The pairs are gone, and no new id stands in their place.",
        ),
    },
    praise="each pair is one token, from the left, and no id is in two.",
    part="merge_pair",
)


def occurrences_of_pairs(
    words: Words,
    pairs_of: Callable[[Sequence[int]], Sequence[Pair]] = lambda word: [
        *pairwise(word)
    ],
    with_occurrences: bool = True,
) -> dict[Pair, int]:
    """How often each pair occurs in words."""
    counts: Counter[Pair] = Counter()
    for word, n in words.items():
        for pair in pairs_of(word):
            counts[pair] += n if with_occurrences else 1
    return dict(counts)


def reference_pair_counts(words: Words) -> dict[Pair, int]:
    """Solution: the neighbours of each word, as often as the word occurs."""
    return occurrences_of_pairs(words)


def pairs_without_overlap(word: Sequence[int]) -> list[Pair]:
    """The neighbours of a word; of `aaa` one pair only."""
    pairs, last = [], -2
    for i, pair in enumerate(pairwise(word)):
        if not (pair[0] == pair[1] and pairs and pairs[-1] == pair and last == i - 1):
            pairs.append(pair)
            last = i
    return pairs


def whole_text(words: Words) -> dict[tuple[int, ...], int]:
    """All words behind each other, as often as they occur: one long word."""
    return {
        tuple(chain.from_iterable(w for w, n in words.items() for _ in range(n))): 1
    }


def pair_counts_inputs() -> list[tuple[Words]]:
    """Words that share pairs, one with `aaa`, one too short to have a pair."""
    return [
        ({(1, 2, 3): 5, (1, 2): 1},),
        ({(4, 4, 4): 2, (4, 5, 4, 5): 3},),
        ({(6,): 9, (7, 8): 1, (8, 7): 2},),
    ]


pair_counts = Exercise(
    solution=reference_pair_counts,
    inputs=pair_counts_inputs,
    observe=lambda counts, _: sorted(dict(counts).items()),
    mistakes={
        "occurrences ignored": (
            lambda words: occurrences_of_pairs(words, with_occurrences=False),
            "You counted each different word once. A word that occurs five times has"
            " each of its pairs five times.",
        ),
        "across words": (
            lambda words: occurrences_of_pairs(whole_text(words)),
            "You counted pairs of the end of a word and the beginning of the next. No"
            " token crosses the border of a word.",
        ),
        "overlap left out": (
            lambda words: occurrences_of_pairs(words, pairs_without_overlap),
            "`aaa` has two pairs of neighbours. They overlap, which matters when they"
            " are merged; all of them are counted.",
        ),
        "once a word": (
            lambda words: occurrences_of_pairs(
                words, lambda word: [*{*pairwise(word)}]
            ),
            "A pair that stands twice in a word is counted twice.",
        ),
        "either order": (
            lambda words: occurrences_of_pairs(
                words, lambda word: [tuple(sorted(pair)) for pair in pairwise(word)]
            ),
            "You count a pair and its reverse as one. `th` is not `ht`.",
        ),
        "single ids": (
            lambda words: occurrences_of_pairs(words, lambda word: word),
            "You counted single ids. A pair is two neighbours.",
        ),
        "gaps": (
            lambda words: occurrences_of_pairs(
                words, lambda word: [*zip(word, word[2:])]
            ),
            "Your pairs have a gap: neighbours are `zip(word, word[1:])`.",
        ),
    },
    praise="every neighbour, as often as its word.",
)

Choose = Callable[[dict[Pair, int]], Pair]


def smallest_most_frequent(counts: dict[Pair, int]) -> Pair:
    """The most frequent pair; of equals the smallest."""
    return min(counts, key=lambda pair: (-counts[pair], pair))


def learn(
    words: Words,
    count: int,
    choose: Choose = smallest_most_frequent,
    pairs: Callable[[Words], dict[Pair, int]] = occurrences_of_pairs,
    merge: Callable[..., list[int]] = reference_merge_pair,
    first_id: int = 256,
) -> list[Pair]:
    """Merge `count` times the pair that `choose` takes from what `pairs` counts."""
    merges = []
    for new_id in range(first_id, first_id + count):
        counts = pairs(words)
        if not counts:
            break
        merges.append(choose(counts))
        merged: Counter[tuple[int, ...]] = Counter()
        for word, n in words.items():
            merged[tuple(merge(list(word), merges[-1], new_id))] += n
        words = merged
    return merges


def reference_learn_merges(words: Words, count: int) -> list[Pair]:
    """Solution: counted anew after each merge."""
    return learn(words, count)


def mistake_counts_not_updated(words: Words, count: int) -> list[Pair]:
    """Mistake: all merges are taken from the counts of the beginning."""
    counts = occurrences_of_pairs(words)
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:count]


def learn_merges_inputs() -> list[tuple[Words, int]]:
    """A text whose tokens grow, one with ties, one with `aaa`, and too many merges."""
    words = ("low", "low", "low", "lower", "lower", "newest", "newest", "widest")
    return [
        (Counter(tuple(word.encode()) for word in words), 6),
        ({(9, 3): 2, (5, 5): 2, (4, 8): 2, (4, 8, 1): 1}, 3),
        ({(1, 1, 1): 4, (1, 1, 2): 1, (3, 1): 2}, 3),
        ({(6, 6): 1, (9, 3): 1, (2, 7): 1}, 5),
        ({(5, 6): 3, (6, 5): 2}, 2),
    ]


learn_merges = Exercise(
    solution=reference_learn_merges,
    inputs=learn_merges_inputs,
    mistakes={
        "not updated": (
            mistake_counts_not_updated,
            "You took all merges from the first counts. After a merge there are new"
            " pairs, and fewer of the old ones: count again.",
        ),
        "first of a dict": (
            lambda words, count: learn(
                words, count, lambda counts: max(counts, key=counts.get)
            ),
            "Of equally frequent pairs you took the one that was counted first. That"
            " depends on the order of the words: take the smallest.",
        ),
        "greatest": (
            lambda words, count: learn(
                words,
                count,
                lambda counts: max(counts, key=lambda pair: (counts[pair], pair)),
            ),
            "Of equally frequent pairs you took the greatest; the smallest is asked"
            " for. Both are rules that programs have.",
        ),
        "rarest": (
            lambda words, count: learn(
                words,
                count,
                lambda counts: min(counts, key=lambda pair: (counts[pair], pair)),
            ),
            "You merged the *least* frequent pair.",
        ),
        "across words": (
            lambda words, count: learn(whole_text(words), count),
            "You counted pairs of the end of a word and the beginning of the next. No"
            " token crosses the border of a word.",
        ),
        "occurrences ignored": (
            lambda words, count: learn(
                words,
                count,
                pairs=lambda words: occurrences_of_pairs(words, with_occurrences=False),
            ),
            "You counted each different word once. A word that occurs five times has"
            " each of its pairs five times.",
        ),
        "from 257": (
            lambda words, count: learn(words, count, first_id=257),
            "Your first merge makes the id 257. The bytes are 0 to 255: 256 is free.",
        ),
        "one too few": (
            lambda words, count: learn(words, count - 1),
            "That is one merge less than was asked for.",
        ),
        "overlap": (
            lambda words, count: learn(
                words, count, merge=mistake_overlapping_pairs_merged
            ),
            "Of `aaa` you merged two pairs, and the middle one is in both.",
        ),
    },
    praise="the most frequent pair, merged, and counted again.",
)

Ranks = Mapping[bytes, int]
Joined = list[tuple[int, int]]  # the rank of two neighbours, and where they stand


def merge_chunk(
    chunk: bytes, ranks: Ranks, choose: Callable[[Joined], tuple[int, int]] = min
) -> list[int]:
    """Ids of a chunk; `choose` says which neighbours are merged next."""
    parts = [bytes([byte]) for byte in chunk]
    while True:
        joined = [
            (ranks[left + right], at)
            for at, (left, right) in enumerate(pairwise(parts))
            if left + right in ranks
        ]
        if not joined:
            return [ranks[part] for part in parts]
        _, at = choose(joined)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def encode_chunks(
    encode_chunk: Callable[[bytes, Ranks], list[int]],
) -> Callable[[str, str, Ranks], list[int]]:
    """An answer that cuts the text, and encodes each chunk by `encode_chunk`."""

    def mistake_in_chunks(text: str, pattern: str, ranks: Ranks) -> list[int]:
        chunks = re.findall(pattern, text)
        return [id for chunk in chunks for id in encode_chunk(chunk.encode(), ranks)]

    return mistake_in_chunks


def reference_encode(text: str, pattern: str, ranks: Ranks) -> list[int]:
    """Solution: cut, then merge by the lowest rank."""
    return encode_chunks(merge_chunk)(text, pattern, ranks)


def longest_match(chunk: bytes, ranks: Ranks) -> list[int]:
    """Mistake: always the longest token with which the rest begins."""
    ids, at = [], 0
    while at < len(chunk):
        end = next(end for end in range(len(chunk), at, -1) if chunk[at:end] in ranks)
        ids.append(ranks[chunk[at:end]])
        at = end
    return ids


def one_merge(chunk: bytes, ranks: Ranks) -> list[int]:
    """Mistake: one merge a chunk, and no further one."""
    parts = [bytes([byte]) for byte in chunk]
    pairs = enumerate(pairwise(parts))
    joined = [(ranks[a + b], at) for at, (a, b) in pairs if a + b in ranks]
    if joined:
        _, at = min(joined)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return [ranks[part] for part in parts]


def ranks_of(*merged: str, byte_order: Sequence[int] = range(256)) -> dict[bytes, int]:
    """A vocabulary: bytes, then what was merged."""
    tokens = [bytes([byte]) for byte in byte_order]
    return {token: id for id, token in enumerate([*tokens, *map(str.encode, merged)])}


def encode_inputs() -> list[tuple[str, str, Ranks]]:
    """Where the leftmost, the longest and the lowest rank differ; two cuts; é."""
    words, spaced = r"\w+|\W", r" ?\w+|\W"
    return [
        ("the other", words, ranks_of("he", "th", "ot", "the", "oth")),
        ("abcab", words, ranks_of("bc", "ab", "abc")),
        ("abcd", words, ranks_of("bc", "bcd", "abcd", "ab")),
        ("see the sea", spaced, ranks_of("se", "e ", " t", "ee", " se", "see", "he")),
        ("née", words, ranks_of("é", "ée", "né", byte_order=range(255, -1, -1))),
        ("aaaa", words, ranks_of("aa", "aaa")),
        ("", words, ranks_of("aa")),
    ]


encode = Exercise(
    solution=reference_encode,
    inputs=encode_inputs,
    mistakes={
        "leftmost": (
            encode_chunks(
                lambda chunk, ranks: merge_chunk(
                    chunk, ranks, lambda joined: min(joined, key=lambda pair: pair[1])
                )
            ),
            "You merged what comes first from the left. First comes the lowest *rank*:"
            " the order in which the merges were learned.",
        ),
        "longest": (
            encode_chunks(longest_match),
            "You took the longest token that fits. The merges were learned in an order,"
            " and are repeated in it: the lowest rank first.",
        ),
        "highest rank": (
            encode_chunks(lambda chunk, ranks: merge_chunk(chunk, ranks, max)),
            "You merged the highest rank first, what was learned *last*.",
        ),
        "one merge": (
            encode_chunks(one_merge),
            "You merged once in each chunk. Go on until no neighbours can be merged.",
        ),
        "not cut": (
            lambda text, pattern, ranks: merge_chunk(text.encode(), ranks),
            "Your tokens cross the cut. Cut the text with the pattern first, and encode"
            " each chunk by itself, as in learning.",
        ),
        "another cut": (
            lambda text, pattern, ranks: reference_encode(text, r"\S+|\s+", ranks),
            "You cut at white space. The same pattern as in learning is needed, or the"
            " model meets tokens that it never saw.",
        ),
        "bytes only": (
            encode_chunks(
                lambda chunk, ranks: [ranks[bytes([byte])] for byte in chunk]
            ),
            "Those are the ids of single bytes: nothing is merged.",
        ),
        "bytes as ids": (
            encode_chunks(
                lambda chunk, ranks: [
                    id if id >= 256 else sorted(ranks, key=ranks.get)[id][0]
                    for id in merge_chunk(chunk, ranks)
                ]
            ),
            "A byte that stays alone has an id, too, which need not be its number:"
            " `ranks[bytes([byte])]`.",
        ),
    },
    praise="cut as in learning, merged as in learning.",
)


def reference_decode(ids: Sequence[int], vocabulary: Sequence[bytes]) -> str:
    """Solution: the bytes of all ids, decoded once."""
    return b"".join(vocabulary[id] for id in ids).decode(errors="replace")


decode = Exercise(
    solution=reference_decode,
    inputs=lambda: [
        ([1, 0, 2], [b"b", b"a", b"nd"]),
        ([0, 1, 2], [b"n\xc3", b"\xa9", b"e"]),
        ([0, 1], [b"\xf0\x9f", b"\x99\x82"]),
        ([1, 0], [b"x", b"\xc3"]),
        ([], [b"a"]),
    ],
    mistakes={
        "one by one": (
            lambda ids, vocabulary: "".join(
                vocabulary[id].decode(errors="replace") for id in ids
            ),
            "You decoded token by token. A character may be cut into two tokens: join"
            " the bytes first.",
        ),
        "ignored": (
            lambda ids, vocabulary: b"".join(vocabulary[id] for id in ids).decode(
                errors="ignore"
            ),
            "Bytes that are no character disappear. A reader should see that something"
            " was there: �.",
        ),
        "latin-1": (
            lambda ids, vocabulary: b"".join(vocabulary[id] for id in ids).decode(
                "latin-1"
            ),
            "You made a character of each byte. The bytes are UTF-8: é has two.",
        ),
        "bytes": (
            lambda ids, vocabulary: b"".join(vocabulary[id] for id in ids),
            "Those are bytes. `.decode(…)` makes a text of them.",
        ),
        "spaces between": (
            lambda ids, vocabulary: " ".join(
                vocabulary[id].decode(errors="replace") for id in ids
            ),
            "You put spaces between the tokens. A space is part of a token where the"
            " text has one.",
        ),
        "repr": (
            lambda ids, vocabulary: "".join(str(vocabulary[id]) for id in ids),
            "`str` of bytes writes them as Python code, b'…'. Decode them.",
        ),
    },
    praise="bytes first, characters after.",
)


def reference_bits_per_byte(
    nats_per_token: float, text: str, ids: Sequence[int]
) -> float:
    """Solution: the bits of all tokens, over the bytes of the text."""
    return nats_per_token * len(ids) / math.log(2) / len(text.encode())


bits_per_byte = Exercise(
    solution=reference_bits_per_byte,
    inputs=lambda: [
        (2.5, "to be or not", [3, 1, 4, 1, 5]),
        (1.25, "née 🙂", [1, 2, 3]),
        (4.0, "ab", [7, 8, 9]),
    ],
    mistakes={
        "per token": (
            lambda nats, text, ids: nats / math.log(2),
            "Those are bits per *token*. A token has several bytes, and in each"
            " vocabulary another number of them.",
        ),
        "nats": (
            lambda nats, text, ids: nats * len(ids) / len(text.encode()),
            "Those are *nats* per byte: one bit is ln 2 nats.",
        ),
        "times ln 2": (
            lambda nats, text, ids: nats * len(ids) * math.log(2) / len(text.encode()),
            "You multiplied by ln 2. A nat is *more* than a bit: divide.",
        ),
        "characters": (
            lambda nats, text, ids: nats * len(ids) / math.log(2) / len(text),
            "You divided by the characters. é has two bytes, an emoji four:"
            " `len(text.encode())`.",
        ),
        "upside down": (
            lambda nats, text, ids: nats * len(text.encode()) / math.log(2) / len(ids),
            "You multiplied by bytes a token. All tokens together cost `nats *"
            " len(ids)`; that is spread over the bytes.",
        ),
        "divided by 8": (
            lambda nats, text, ids: reference_bits_per_byte(nats, text, ids) / 8,
            "You divided by 8 as well, as if bits were bytes. What is asked for is how"
            " many bits the model needs for each byte of the text.",
        ),
        "total": (
            lambda nats, text, ids: nats * len(ids) / math.log(2),
            "Those are the bits of the whole text: divide by its bytes.",
        ),
    },
    praise="the cost of the text, whatever it was cut into.",
)
