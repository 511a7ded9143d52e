"""How a text is prepared: by its card, by document, from a data set, or large."""

import json
import sys
from dataclasses import replace
from datetime import date
from itertools import chain

import pytest
import torch

from gpt_lib import prepare
from gpt_lib.cleaning import CLEANING_RULES, DEFAULT_RULES
from gpt_lib.corpus import END_OF_TEXT, Entry, read_entries
from gpt_lib.data import load_corpus, load_text
from gpt_lib.prepare import Preparation, prepare_text
from gpt_lib.text import CharTokenizer
from gpt_lib.tokens import BytePairTokenizer, gpt2_tokenizer

# Preparations and cards


def test_a_preparation_is_read_as_it_was_written():
    for preparation in (
        Preparation(),
        Preparation(("spaces", "lower-case"), by_document=True),
        Preparation(by_document=True),
    ):
        card = json.loads(json.dumps(preparation.to_card()))
        assert Preparation.from_card(card) == preparation
    assert Preparation().to_card() == {}


@pytest.mark.parametrize(
    "card",
    [
        {"rules": ["spaces"], "version": 0},
        {"rules": ["gone"], "version": 1},
        {"rules": [["spaces"]], "version": 1},
        {"rules": 1, "version": 1},
    ],
)
def test_other_rules_than_todays_are_refused(card):
    with pytest.raises(ValueError, match=r"version . of the rules.*has version 1"):
        Preparation.from_card(card)


def test_a_prompt_is_cleaned_as_its_text_but_for_its_end():
    preparation = Preparation(tuple(CLEANING_RULES))
    prompt = "Cafe\u0301 at http://a.b \n\n\n1.5.2024\n "
    assert prepare.prepare_prompt(prompt, preparation) == (
        "café at (website) \n\n\n1.5.2024\n "
    )
    assert prepare.prepare_prompt(prompt, Preparation()) == prompt


# Prepared texts


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "hello there"}'),
        ("a.csv", "date,text\n,hello there\n"),
        ("a.md", "---\ntitle: SECRET\n---\nhello there"),
        ("folder.txt/a.txt", "hello there"),
    ],
)
def test_of_one_document_its_text_is_read(tmp_path, name, content):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    source = path.parent if "/" in name else path
    text = prepare.prepare_new_text(source)
    assert not text.preparation.by_document
    assert text.documents == ["hello there"]
    assert prepare_text(source, text.preparation).documents == text.documents


def test_a_summary_says_what_was_read(notes):
    summary = prepare.prepare_new_text(notes).summary()
    assert "is 28 documents, 28 with a date, of " in summary
    assert "is a text, of " in prepare_text("toy-diary").summary()


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    for day in range(1, 29):
        text = (
            f"{day}.2.2024\nI Walked  \n\n\n\nto www.mill.org and home, {day} times.\n"
        )
        (folder / f"{day:02}.txt").write_text(text)
    return folder


def test_a_text_without_preparation_is_as_lesson_1_loads_it(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("  one line, \n and more\n" * 40)
    prepared = prepare_text(path)
    mine, theirs = (
        prepared.to_corpus(CharTokenizer(prepared.characters())),
        load_corpus(path),
    )
    assert mine.tokenizer == theirs.tokenizer
    assert mine.sha256 == theirs.sha256
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(mine, part), getattr(theirs, part))


def test_a_folder_is_cleaned_dated_and_split_by_document(notes):
    prepared = prepare.prepare_new_text(notes, DEFAULT_RULES)
    assert prepared.preparation == Preparation(DEFAULT_RULES, by_document=True)
    assert prepare_text(notes, prepared.preparation).sha256 == prepared.sha256
    assert len(prepared.documents) == 28
    assert prepared.documents[1] == (
        "2024-02-02\n\nI Walked\n\nto (website) and home, 2 times."
    )
    tokenizer = BytePairTokenizer.from_text(
        prepared.training_text(), 300, prepared.special_tokens
    )
    corpus = prepared.to_corpus(tokenizer)
    end = tokenizer.special[END_OF_TEXT]
    ends = [
        int((part == end).sum())
        for part in (corpus.train, corpus.validation, corpus.test)
    ]
    assert sum(ends) == 28
    assert corpus.test[-1] == end
    assert tokenizer.decode(corpus.train).startswith("2024-02-01")  # the past
    assert "2024-02-28" in tokenizer.decode(corpus.test)  # is asked for the future


def test_other_rules_make_another_text(notes):
    hashes = {
        prepare_text(notes, Preparation(rules, True)).sha256
        for rules in ((), ("spaces",), ("lower-case",), DEFAULT_RULES)
    }
    assert len(hashes) == 4


def test_what_is_nearly_an_earlier_document_is_left_out(tmp_path):
    story = "Once there was a miller who had three sons, a mill, a donkey and a cat. "
    for name, text in {
        "1": story * 3,
        "2": "Another text of more than five words altogether.",
        "3": story * 3 + "The end.",
        "4": "Short.",
        "5": "Short.",
    }.items():
        (tmp_path / f"{name}.txt").write_text(text)
    text = prepare.prepare_new_text(tmp_path, ["copies", "spaces"])
    assert [document[:7] for document in text.documents] == [
        "Once th",
        "Another",
        "Short.",
    ]
    assert "3 documents, 0 with a date, without 2 copies, of" in text.summary()
    assert "without 1 copy, of" in replace(text, copies=1).summary()
    again = prepare_text(tmp_path, Preparation.from_card(text.preparation.to_card()))
    assert again.sha256 == text.sha256
    assert len(prepare.prepare_new_text(tmp_path, ["spaces"]).documents) == 5
    assert prepare.prepare_prompt("a  b", text.preparation) == "a  b"


def test_an_unknown_rule_lists_the_known(tmp_path):
    with pytest.raises(ValueError, match=r"no cleaning rule 'shout': .* copies"):
        prepare.prepare_new_text(tmp_path, ["shout"])


def test_a_text_of_which_nothing_is_left_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text('"\n"\n')
    with pytest.raises(ValueError, match="nothing is left of"):
        prepare_text(tmp_path / "a.txt", Preparation(DEFAULT_RULES))


def test_a_large_file_is_never_read_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "large.txt"
    text = "One day. " * 500 + END_OF_TEXT + "Another day. " * 500
    path.write_text(text)
    monkeypatch.setattr(prepare, "LARGE_TEXT_BYTES", 5000)
    monkeypatch.setattr(prepare, "READ_CHARACTERS", 1000)
    monkeypatch.setattr(prepare, "DATA", tmp_path / "data")
    prepared = prepare.prepare_new_text(path)
    assert prepared.preparation == Preparation()
    assert isinstance(prepared, prepare.LargeText)
    assert prepared.characters() == "".join(sorted(set(text)))
    assert prepared.training_text() == text[:5000]
    corpus = prepared.to_corpus(gpt2_tokenizer(), context=8)
    ids = torch.cat([corpus.validation, corpus.train, corpus.test])
    expected = gpt2_tokenizer().encode(text, torch.int32, with_special=True)
    assert torch.equal(ids, expected)
    tokens = (tmp_path / "data" / "tokens").iterdir()
    [folder] = [path for path in tokens if path.is_dir()]
    assert [path.name for path in folder.iterdir()] == ["ids.bin"]
    # With rules it is read as a whole: cleaning needs it.
    cleaned = prepare.prepare_new_text(path, ["spaces"])
    assert isinstance(cleaned, prepare.DocumentText)


def test_a_large_file_is_read_as_a_small_one(tmp_path, monkeypatch):
    path = tmp_path / "large.txt"
    path.write_bytes("\ufeffone\r\ntwo 🙂\r".encode() * 500)
    monkeypatch.setattr(prepare, "LARGE_TEXT_BYTES", 5000)
    monkeypatch.setattr(prepare, "DATA", tmp_path / "data")
    text = prepare_text(path)
    tokenizer = CharTokenizer(text.characters())
    corpus = text.to_corpus(tokenizer)
    ids = torch.cat([corpus.validation, corpus.train, corpus.test])
    assert tokenizer.decode(ids) == load_text(path)
    assert "\r" not in text.characters()
    path.write_bytes(b"caf\xe9 " * 2000)
    with pytest.raises(ValueError, match=r"large\.txt is not UTF-8"):
        prepare_text(path).characters()


def test_a_date_stands_at_the_head_of_its_document(notes):
    prepared = prepare_text(notes, Preparation(by_document=True))
    assert prepared.documents[0].startswith(f"{date(2024, 2, 1)}\n\nI Walked")


# Entries by name


def test_a_public_text_is_one_entry():
    assert prepare.load_entries("toy-diary") == [Entry(None, load_text("toy-diary"))]


def test_rows_of_a_local_data_set_are_the_entries_of_the_file(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [{"text": f"note {n}", "date": f"2024-05-0{n}"} for n in range(1, 6)]
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    options = {"split": "train", "cache_dir": str(tmp_path / "cache")}
    theirs = datasets.load_dataset("json", data_files=str(path), **options)
    assert prepare.entries_from_rows(theirs, "notes") == read_entries(path)
    theirs.to_parquet(tmp_path / "notes.parquet")
    table = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "notes.parquet"), streaming=True, **options
    )
    assert prepare.entries_from_rows(table, "notes") == read_entries(path)
    (tmp_path / "lines.txt").write_text("one\ntwo\n")
    lines = datasets.load_dataset(
        "text", data_files=str(tmp_path / "lines.txt"), **options
    )
    assert prepare.entries_from_rows(lines, "x") == [
        Entry(None, "one"),
        Entry(None, "two"),
    ]


def test_of_a_data_set_only_the_beginning_is_read(monkeypatch):
    monkeypatch.setattr(prepare, "MAX_HF_CHARACTERS", 10)
    rows = ({"text": "four"} for _ in chain.from_iterable([range(3), [1 / 1]]))
    assert len(prepare.entries_from_rows(rows, "x")) == 3
    assert next(rows) == {"text": "four"}  # it was not asked for


def test_without_the_library_a_data_set_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"hf:a/b needs .* pip install datasets"):
        prepare.load_entries("hf:a/b")
    with pytest.raises(ValueError, match="hf:roneneldan/TinyStories needs"):
        prepare.load_entries("tinystories")


@pytest.mark.parametrize("name", ["hf:", "hf:notes", "hf:a/b/c", "hf:here/it"])
def test_what_is_no_data_set_of_the_hub_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "it").mkdir(parents=True)
    with pytest.raises(ValueError, match="must be hf:owner/name, and no folder here"):
        prepare.load_entries(name)


def test_an_empty_name_is_refused():
    with pytest.raises(ValueError, match="name of the text is empty"):
        prepare.load_entries("")
