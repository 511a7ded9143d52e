"""Lesson 17: entries from files, windows of documents, batches."""

import json
import re
from datetime import date
from itertools import chain, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from gpt_lib import corpus as lesson
from gpt_lib.corpus import Entry
from gpt_lib.data import load_text
from gpt_lib.heads import MultiHeadAttention
from gpt_lib.speed import plain_attention
from gpt_lib.text import CharTokenizer, inputs_and_targets
from gpt_lib.tokens import BytePairTokenizer
from gpt_lib.training import TrainingConfig, random_batches

MAY_1 = date(2024, 5, 1)


# Dates and entries


@pytest.mark.parametrize(
    "line",
    [
        "2024-05-01",
        "2024-5-1",
        "1.5.2024",
        "01/05/2024,",
        "1 May 2024",
        "1st May 2024",
        "1 May 2024" + " " * 100,
        "May 1st, 2024:",
        "# Wednesday, 1 May 2024",
        "2024/05/01",
        "2024-05-01 10:30",
        "**May 1, 2024**",
        "1. May 2024",
        "1. 5. 2024",
        "1st of May 2024",
        "Thur, 1 May 2024",
        "Wed 1 May 2024",
        "  MAY 1 2024  ",
        "1 may. 2024",
    ],
)
def test_a_line_that_is_a_date(line):
    assert lesson.parse_date(line) == MAY_1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "31/02/2024",
        "1/13/2024",
        "On 1 May 2024 it rained",
        "1 Mai 2024",
        "2024-05-01 and after",
        "1.5.24",
        "May 2024",
        "٢٠٢٤-٠٥-٠١x",
        "1 May 2024 " + "and more " * 10,
    ],
)
def test_a_line_that_is_no_date(line):
    assert lesson.parse_date(line) is None


@given(st.dates(date(1000, 1, 1), date(9999, 12, 31)))
def test_every_date_is_read_as_it_was_written(day):
    forms = "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%d %B %Y", "%B %d, %Y", "%A, %d %b %Y"
    for form in forms:
        assert lesson.parse_date(day.strftime(form)) == day


def test_september_has_two_short_names():
    assert lesson.parse_date("5 Sept. 2024") == lesson.parse_date("Sep 5, 2024")
    assert lesson.parse_date("5 Sept. 2024") == date(2024, 9, 5)


def test_a_diary_is_cut_at_its_dates_and_nothing_is_lost():
    text = "Preface\n\n1.5.2024\nRain.\n\nStill.\n2024-05-02\n3.5.2024\nSun"
    assert lesson.split_at_dates(text) == [
        Entry(None, "Preface"),
        Entry(MAY_1, "Rain.\n\nStill."),
        Entry(date(2024, 5, 3), "Sun"),
    ]
    assert lesson.split_at_dates("no date\nat all") == [Entry(None, "no date\nat all")]
    assert lesson.split_at_dates("") == []


@pytest.fixture
def folder(tmp_path):
    """Files of every kind; some that must be left alone."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")

    write("a.txt", "\ufeff1.5.2024\r\nRain\r\n2.5.2024\r\nSun 🙂\r\n")
    write("b.md", "---\ntitle: x\ndate: 2024-05-03\n---\n# Walk\n\nTo the mill.")
    write("deep/2024-05-04 walk.md", "Home.")
    write(
        "c.jsonl", '{"text": "شمس", "date": "2024-05-05T10:00:00"}\n\n{"text": " "}\n'
    )
    write("d.csv", 'text,date\n"one, ""two""\nlines",2024-05-06\n')
    write(".hidden/e.md", "secret")
    write("f.py", "code")
    write("empty.md", "")
    (tmp_path / "link.md").symlink_to(tmp_path / "b.md")
    return tmp_path


def test_a_folder_is_read_by_date(folder):
    entries = lesson.read_entries(folder)
    assert [(entry.date.day, entry.text) for entry in entries] == [
        (1, "Rain"),
        (2, "Sun 🙂"),
        (3, "# Walk\n\nTo the mill."),
        (4, "Home."),
        (5, "شمس"),
        (6, 'one, "two"\nlines'),
    ]
    assert lesson.read_entries(str(folder)) == entries


def test_without_all_dates_the_order_is_that_of_the_names(folder):
    (folder / "0.txt").write_text("first")
    assert lesson.read_entries(folder)[0] == Entry(None, "first")
    days = [entry.date and entry.date.day for entry in lesson.read_entries(folder)]
    assert days == [None, 1, 2, 3, 5, 6, 4]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", "{", "x.jsonl, line 1 is no JSON"),
        ("x.jsonl", '{"text": "a"}\n[1]', 'x.jsonl, line 2 has no "text"'),
        ("x.jsonl", '{"text": 3}', 'has no "text" that is a string'),
        ("x.jsonl", '{"text": "a", "date": "soon"}', "'soon' is no date"),
        ("x.csv", "a,b\n1,2\n", "x.csv needs a column \"text\": it has ['a', 'b']"),
        ("x.csv", "date;text\n1;2\n", "needs a column \"text\": it has ['date;text']"),
        ("x.csv", "date,text\n2024-05-01,a, b\n", "line 2 has not 2 cells"),
        ("x.csv", 'text\n"never closed\nrest', "x.csv, line 1: unexpected end"),
        ("x.jsonl", "[" * 200_000, "x.jsonl, line 1 is no JSON object"),
        (
            "x.jsonl",
            '{"text": "\\ud800"}',
            "x.jsonl, line 1 has characters that are none",
        ),
        ("x.jsonl", '{"text": "\\u0000"}', "code 0, or surrogates"),
        ("x.csv", "text,date\na,2024-13-01\n", "'2024-13-01' is no date"),
    ],
)
def test_a_bad_record_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        lesson.read_entries(tmp_path)


def test_the_file_is_named_with_its_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "index.md").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"deep.index\.md: index\.md is not UTF-8"):
        lesson.read_entries(tmp_path)


def test_a_rule_between_chapters_is_no_front_matter(tmp_path):
    text = "---\n\nThe first chapter\n\n---\n\nThe second."
    for name in ("a.md", "a.txt"):
        (tmp_path / name).write_text(text)
        assert lesson.read_entries(tmp_path / name) == [Entry(None, text)]
    (tmp_path / "a.md").write_text("---\nDate: May 1, 2024\ntags:\n- x\n--- \nText")
    assert lesson.read_entries(tmp_path / "a.md") == [Entry(MAY_1, "Text")]


def test_a_day_above_12_shows_that_the_month_comes_first():
    entries = lesson.split_at_dates("5/12/2024\nx\n5/13/2024\ny\n6/1/2024\nw")
    assert [entry.date.isoformat() for entry in entries] == [
        "2024-05-12",
        "2024-05-13",
        "2024-06-01",
    ]
    assert lesson.split_at_dates("5/6/2024\nx")[0].date == date(2024, 6, 5)


def test_separators_within_a_record_are_text(tmp_path):
    records = [{"text": f"a{mark}b"} for mark in "\u2028\x85\x0c"]
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    (tmp_path / "x.jsonl").write_text("\n".join(lines), encoding="utf-8")
    expected = [Entry(None, record["text"]) for record in records]
    assert lesson.read_entries(tmp_path / "x.jsonl") == expected
    rows = ["text", *(record["text"] for record in records)]
    (tmp_path / "x.csv").write_text("\n".join(rows), encoding="utf-8")
    assert lesson.read_entries(tmp_path / "x.csv") == expected


def test_blank_files_are_left_out(folder):
    before = lesson.read_entries(folder)
    (folder / "blank.md").write_text(" \n\n")
    assert lesson.read_entries(folder) == before


def test_a_bad_file_in_a_folder_is_named(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"x\.txt is not UTF-8"):
        lesson.read_entries(tmp_path)


def test_a_folder_without_text_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"has no text: give a folder with files \.md"):
        lesson.read_entries(tmp_path)
    with pytest.raises(FileNotFoundError, match="is not there"):
        lesson.read_entries(tmp_path / "nothing")


def test_the_presidents_have_dates():
    entries = lesson.load_sotu_entries()
    assert len(entries) == 249
    assert entries[0].date == date(1790, 1, 8)
    assert all(a.date <= b.date for a, b in pairwise(entries))
    assert entries[0].text.startswith("Fellow-Citizens")
    size = len(load_text("sotu"))
    assert 0.999 * size < sum(len(entry.text) for entry in entries) < size


# Documents


def bpe_with_end():
    return BytePairTokenizer.from_text("a rose is a rose", 262, (lesson.END_OF_TEXT,))


def test_a_document_ends_with_its_token_or_a_blank_line():
    tokenizer = bpe_with_end()
    end = tokenizer.special[lesson.END_OF_TEXT]
    ids = lesson.join_documents(["a rose", "", lesson.END_OF_TEXT], tokenizer)
    assert ids.tolist().count(end) == 3  # the name in a text is text
    assert tokenizer.decode(ids).startswith("a rose<|endoftext|><|endoftext|><|endof")
    characters = CharTokenizer.from_text("ab\n")
    assert characters.decode(lesson.join_documents(["a", "b"], characters)) == (
        "a\n\nb\n\n"
    )
    assert len(lesson.join_documents([], tokenizer, torch.int16)) == 0


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=40))
def test_a_split_has_every_text_once_and_in_order(documents):
    parts = lesson.split_documents(documents)
    assert "".join(chain.from_iterable(parts)) == "".join(documents)


def test_a_split_ends_with_documents_where_they_end_close_to_it():
    train, validation, test = lesson.split_documents(["x" * 10] * 100)
    assert [len(train), len(validation), len(test)] == [85, 5, 10]
    assert lesson.split_documents([]) == ([], [], [])
    parts = lesson.split_documents(["a" * 88, "b" * 12], "87/2/11")
    assert all(parts)  # two borders are never one
    train, validation, test = lesson.split_documents(["a" * 50, "b" * 50])
    assert (train, validation, test) == (
        ["a" * 50, "b" * 35],
        ["b" * 5],
        ["b" * 10],
    )


def test_parts_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match=r"give 9, 8, 7 ids .* context of 8 needs 9"):
        lesson.check_lengths([torch.zeros(n) for n in (9, 8, 7)], 8)
    lesson.check_lengths([torch.zeros(9)] * 3, 8)


DOCUMENTS = st.lists(
    st.lists(st.integers(1, 50), min_size=1, max_size=30).map(torch.tensor),
    min_size=1,
    max_size=12,
)


def expected_targets(documents):
    """Input and target, for every id but the first of each document."""
    pairs = (pairwise(document.tolist()) for document in documents)
    return sorted(chain.from_iterable(pairs))


@given(DOCUMENTS, st.integers(1, 9))
def test_every_id_is_a_target_once_whether_padded_or_packed(documents, context):
    windows, mask = lesson.pad_documents(documents, context)
    x, y = inputs_and_targets(windows)
    assert windows.shape == (len(windows), context + 1)
    pairs = zip(x[mask].tolist(), y[mask].tolist())
    assert sorted(pairs) == expected_targets(documents)
    windows, numbers = lesson.pack_documents(documents, context)
    x, y = inputs_and_targets(windows)
    mask = lesson.target_mask(numbers)
    pairs = zip(x[mask].tolist(), y[mask].tolist())
    assert sorted(pairs) == expected_targets(documents)


@given(DOCUMENTS, st.integers(1, 9))
def test_packing_never_takes_more_windows_than_padding(documents, context):
    padded, _ = lesson.pad_documents(documents, context)
    packed, _ = lesson.pack_documents(documents, context)
    assert len(packed) <= len(padded)


def test_two_documents_that_fit_share_a_window():
    documents = [torch.tensor([1, 2, 3]), torch.tensor([4, 5])]
    windows, numbers = lesson.pack_documents(documents, 5, pad_id=9)
    assert windows.tolist() == [[1, 2, 3, 4, 5, 9]]
    assert numbers.tolist() == [[1, 1, 1, 2, 2, 0]]
    assert lesson.target_mask(numbers).tolist() == [[True, True, False, True, False]]


def test_a_masked_loss_is_the_loss_without_padding():
    torch.manual_seed(0)
    documents = [torch.randint(1, 7, (n,)) for n in (9, 2, 5, 14)]
    windows, mask = lesson.pad_documents(documents, 6)
    x, y = inputs_and_targets(windows)
    table = torch.randn(7, 7)  # a bigram model: its logits depend on one id
    joined = [cross_entropy(table[d[:-1]], d[1:], reduction="sum") for d in documents]
    expected = sum(joined) / sum(len(d) - 1 for d in documents)
    torch.testing.assert_close(lesson.masked_loss(table[x], y, mask), expected)
    wrong = cross_entropy(table[x].flatten(0, 1), y.flatten())
    assert not torch.isclose(wrong, expected)


def test_packed_documents_do_not_see_each_other():
    torch.manual_seed(0)
    documents = [torch.randint(1, 7, (n,)) for n in (9, 2, 5, 4)]
    _, numbers = lesson.pack_documents(documents, 20)
    mask = lesson.document_mask(numbers)
    alone = MultiHeadAttention(16, 2)

    def within_documents(q, k, v, **_):
        return plain_attention(q, k, v, mask)

    packed = MultiHeadAttention(16, 2, attention=within_documents)
    packed.load_state_dict(alone.state_dict())
    x = torch.randn(*numbers.shape, 16)
    for row, inputs, outputs in zip(numbers, x, packed(x)):
        for number in range(1, int(row.max()) + 1):
            expected = alone(inputs[row == number][None])[0]
            torch.testing.assert_close(outputs[row == number], expected)


# Batches


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_loader_gives_the_random_batches(workers):
    ids = torch.arange(500, dtype=torch.int16)
    config = TrainingConfig(batch_size=3, seed=7)
    theirs = lesson.loader_batches(ids, 10, config, workers)
    for (x, y), (a, b), _ in zip(theirs, random_batches(ids, 10, config), range(40)):
        assert torch.equal(x, a)
        assert torch.equal(y, b)
        assert x.dtype == torch.long


def test_a_dataset_gives_single_windows_too():
    dataset = lesson.WindowDataset(torch.arange(10, dtype=torch.int16), 4)
    x, y = dataset[5]
    assert len(dataset) == 6
    assert (x.tolist(), y.tolist()) == ([5, 6, 7, 8], [6, 7, 8, 9])
    assert len(list(dataset)) == 6
    for start in (-1, 6):
        with pytest.raises(IndexError):
            dataset[start]
    x, _ = dataset.__getitems__([0, 5])  # as a DataLoader with shuffle=True asks
    assert x.tolist() == [[0, 1, 2, 3], [5, 6, 7, 8]]
    with pytest.raises(ValueError, match="4 ids have no window of 4 and a target"):
        lesson.WindowDataset(torch.arange(4), 4)
