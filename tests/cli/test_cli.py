"""The command line: in this process where it can be, as a process where it must be."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
import typer
from typer.testing import CliRunner

from gpt_lib import catalog, compiled, runs
from gpt_lib.cache import PackedWeightsReader
from gpt_lib.checkpoints import load_checkpoint, parse_card
from gpt_lib.cli import app
from gpt_lib.cli.train_run import (
    begin,
    load_run_corpus,
    plan_new_run,
    resume_run,
    train_new_run,
)
from gpt_lib.device import pick_device
from gpt_lib.generation import stream_text
from gpt_lib.prepare import prepare_text
from gpt_lib.runs import CheckpointWriter
from tests.byte_tokenizer import ByteTokenizer

SMALL = ["--preset", "block", "--context", "16", "--width", "16", "--heads", "2"]
SMALL += ["--batch-size", "4"]
COMMANDS = ["doctor", "train", "models", "generate", "chat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with runs and a text in it, where all commands here are called."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "rhyme.txt").write_text("Row, row, row your boat. " * 80)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(runs, "RUNS", folder / "runs")
        yield folder


def call(*words, given=None):
    """Call a command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], given)


def environment(folder):
    return {**os.environ, "GPT_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1"}


def start_process(folder, *words, **options):
    """Call a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "gpt_lib", *words],
        env=environment(folder),
        cwd=folder,
        text=True,
        **options,
    )


@pytest.fixture(scope="module")
def trained(folder):
    """The result of training on a text of the learner's own."""
    result = call("train", "rhyme.txt", "--name", "mine", *SMALL, "--steps", 60)
    assert result.exit_code == 0, result.output
    return result


# Help


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_reads_well_and_loads_nothing_heavy(command):
    code = (
        "import sys; from gpt_lib.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit: print(*{'torch', 'numpy', 'rich'} & set(sys.modules))"
    )
    words = [sys.executable, "-c", code, *filter(None, [command]), "--help"]
    process = subprocess.run(words, capture_output=True, text=True)
    assert process.stdout.endswith("\n\n"), process
    assert "Usage:" in process.stdout
    assert all(name in process.stdout for name in COMMANDS if not command)


def test_every_option_has_its_help():
    for name, command in typer.main.get_command(app).commands.items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), (name, parameter.name)


def test_the_presets_in_the_help_are_those_of_the_catalog():
    text = " ".join(call("train", "--help").output.split())
    listing = re.search(r"--preset <str> (.*?) \[default", text)[1]
    others = {"many-heads-no-positions", "gpt"}  # stages of the ladder
    assert {*re.findall(r"[\w-]+", listing)} >= catalog.TRAINING_RECIPES.keys() - others


# What the commands do


def test_doctor_lists_every_gpu(folder, monkeypatch):
    class Properties:
        def __init__(self, name, major, minor, total_memory):
            self.name, self.major, self.minor = name, major, minor
            self.total_memory = total_memory

    gpus = [
        Properties("H100", 9, 0, 80 * 1024**3),
        Properties("T4", 7, 5, 16 * 1024**3),
    ]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(gpus))
    monkeypatch.setattr(torch.cuda, "get_device_properties", gpus.__getitem__)
    lines = call("doctor").stdout.splitlines()
    assert "GPU 0         H100, compute capability 9.0, 80 GiB" in lines
    assert "GPU 1         T4, compute capability 7.5, 16 GiB" in lines


def test_doctor_reports_the_machine_and_the_folders(folder):
    result = call("doctor")
    assert result.exit_code == 0
    assert torch.__version__ in result.stdout
    assert re.search(r"^parity +agrees with the CPU$", result.stdout, re.M)
    assert re.search(rf"^runs +{folder}/runs$", result.stdout, re.M)
    wrong = call("doctor", "--device", "abacus")
    assert wrong.exit_code == 1
    assert "abacus" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_text_becomes_a_model_that_is_listed_and_writes(folder, trained):
    assert "mine is trained: validation loss" in trained.stdout
    assert "60/60" in trained.stderr
    assert "loss=" in trained.stderr
    assert f"saving in {folder / 'runs' / 'mine'}" in trained.stderr
    result = call("models")
    assert re.search(
        r"^mine +one-block +[\d,]+ +rhyme +\d+ (of 60)? +\d\.\d+ ", result.stdout, re.M
    )
    assert re.search(r"^shakespeare +gpt +1,276,160 ", result.stdout, re.M)
    assert result.stderr == f"runs are kept in {folder / 'runs'}\n"
    rows = json.loads(call("models", "--json").stdout)
    assert [row["model"] for row in rows] == [*catalog.SHIPPED_MODEL_NAMES, "mine"]
    generators = catalog.load_all_text_generators(folder / "runs")
    assert list(generators) == [*catalog.SHIPPED_MODEL_NAMES, "mine"]
    result = call("generate", "Row", "--model", "mine", "--length", 20)
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"Row(.|\n){20}\n", result.stdout)


def test_the_same_seed_writes_the_same_and_json_has_all():
    words = ["generate", r"JULIET:\n", "--length", 30, "--temperature", 0.8]
    words += ["--seed", 5, "--top-k", 9]
    plain = call(*words).stdout
    record = json.loads(call(*words, "--json").stdout)
    assert plain == record["prompt"] + record["text"] + "\n"
    assert record["prompt"] == "JULIET:\n"
    assert record["settings"]["top_k"] == 9
    assert record["tokens"] == len(record["probabilities"]) == 30
    assert all(0 < probability <= 1 for probability in record["probabilities"])
    generator = catalog.load_text_generator("shakespeare")
    generator.model.to(pick_device())
    options = {"seed": 5, "temperature": 0.8, "top_k": 9}
    text = "".join(stream_text(generator, "JULIET:\n", 30, **options))
    assert record["text"] == text


def test_a_prompt_comes_through_standard_input_and_a_stop_ends_it():
    result = call("generate", "--length", 200, "--stop", "e", given="KING")
    assert result.exit_code == 0
    assert re.fullmatch(r"KING[^e]*e\n", result.stdout)


def test_chat_answers_through_a_pipe_and_reports_an_unknown_model():
    result = call("chat", "block", "--length", 10, given="KING\n/set greedy\n")
    assert result.exit_code == 0
    assert re.fullmatch(r"KING(.|\n){10}\n", result.stdout)
    assert "temperature 0, length 10, seed 1, from the next" in result.stderr
    assert call("chat", "hamlet").exit_code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["generate", "café"], "'é' at position 3 is not among the 65"),
        (["generate", ""], "the prompt is empty"),
        (
            ["generate", "x", "--model", "hamlet"],
            "no model 'hamlet': there are shakesp",
        ),
        (["generate", "x", "--top-p", "0"], "top_p=0.0 must be above 0 and at most 1"),
        (["train", "no.txt"], "no.txt"),
        (
            ["train", "rhyme.txt", "--preset", "huge"],
            "no preset 'huge': there are bigr",
        ),
        (["train", "rhyme.txt", "--heads", "3"], "heads=3 does not divide width=128"),
        (["train", "rhyme.txt", "--context", "512"], "a context of 512 needs 513"),
        (["train", "rhyme.txt", "-n", "../x"], "'../x' cannot be the name of a run"),
        (
            ["train", "rhyme.txt", "-n", "shakespeare", "--steps", "1"],
            "comes with the course",
        ),
        (["train", "rhyme.txt", "-p", "bigram", "--depth", "2"], "bigram has no depth"),
        (
            ["train", "rhyme.txt", "-p", "block", "--depth", "2"],
            "it has context, width",
        ),
        (["train", "--resume", "--name", "nobody"], "there is no run 'nobody'"),
        (["chat", "hamlet"], "no model 'hamlet'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(folder, words, message):
    result = call(*words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.startswith("gpt-lib: ")
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["generate", "x", "--temperature", "-1"],
            "'--temperature': Input should be greater than or equal to 0",
        ),
        (
            ["generate", "x", "--min-p", "2"],
            "'--min-p': Input should be less than or equal to 1",
        ),
        (
            ["generate", "x", "--length", "many"],
            "'--length': Input should be a valid integer",
        ),
        (
            ["train", "--dropout", "1"],
            "'--dropout': Input should be less than or equal to 0.9",
        ),
        (
            ["train", "--steps", "0"],
            "'--steps': Input should be greater than or equal to 1",
        ),
        (["train", "--resume", "--steps", "9"], "leave out steps"),
        (["train", "--resume", "-p", "cpu", "--heads", "2"], "leave out heads, preset"),
        (["train", "--resume"], "--resume which run? Give --name too"),
        (["trian"], "No such command 'trian'"),
        (
            ["chat", "--length", "0"],
            "'--length': Input should be greater than or equal to 1",
        ),
    ],
)
def test_a_wrong_value_says_the_range_and_exit_code_2(words, message):
    result = call(*words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_every_training_option_reaches_the_card(folder):
    options = {
        "steps": 40,
        "batch_size": 3,
        "learning_rate": 0.01,
        "warmup_steps": 7,
        "final_lr_fraction": 0.5,
        "weight_decay": 0.2,
        "max_grad_norm": 2.0,
        "evaluate_every": 20,
        "seed": 4,
    }
    shape = {"context": 8, "width": 8, "heads": 2, "depth": 1, "dropout": 0.1}
    words = []
    for name, value in {**options, **shape}.items():
        words += [f"--{name.replace('_', '-')}", value]
    result = call("train", "rhyme.txt", "-n", "options", "-p", "cpu", *words)
    assert result.exit_code == 0, result.output
    card = catalog.load("options", folder / "runs").card
    assert {name: getattr(card.training, name) for name in options} == options
    assert {name: card.shape[name] for name in shape} == shape
    assert card.training.context == 8


def test_a_name_that_exists_is_refused_and_a_finished_run_says_so(folder, trained):
    again = call("train", "rhyme.txt", "--name", "mine", *SMALL)
    assert again.exit_code == 1
    assert "the run 'mine' exists: resume it, or take another name" in again.stderr
    alike = call("train", "rhyme.txt", "--name", "MINE", *SMALL)
    assert "'MINE' is too like the run 'mine': take another name" in alike.stderr
    result = call("train", "--resume", "--name", "mine")
    assert result.exit_code == 0
    assert "mine is trained" in result.stdout


def test_a_changed_text_is_not_trained_on(folder):
    text = folder / "changing.txt"
    text.write_text("one two three " * 60)
    assert call("train", "changing.txt", *SMALL, "--steps", 10).exit_code == 0
    text.write_text("four five six " * 60)
    result = call("train", "--resume", "--name", "changing")
    assert result.exit_code == 1
    assert "began with, or has changed since" in " ".join(result.stderr.split())


# Any tokenizer


def test_a_model_of_bytes_is_trained_resumed_and_writes(folder, monkeypatch):
    monkeypatch.setitem(catalog.TOKENIZER_LOADERS, "bytes", ByteTokenizer.from_card)
    text = folder / "poem.txt"
    text.write_text("Café 😀, naïve café. " * 60, encoding="utf-8")
    shape = {"context": 16, "width": 16, "heads": 2}
    steps, prepared = {"steps": 40}, prepare_text(text)
    card, corpus = plan_new_run(prepared, "block", shape, steps, ByteTokenizer())
    assert card.shape["vocab_size"] == 256
    assert card.tokenizer == {"kind": "bytes"}
    run = CheckpointWriter("bytes", folder / "runs")
    message, finished = train_new_run(run, card, corpus)
    assert finished, message
    assert resume_run(run)[1]
    prompt = "é 😀"
    words = ["generate", prompt, "--model", "bytes", "--length", 50]
    record = json.loads(call(*words, "--json").stdout)
    assert record["prompt"] == prompt
    assert record["tokens"] == len(record["probabilities"]) == 50
    assert call(*words).stdout == prompt + record["text"] + "\n"
    generator = catalog.load_text_generator("bytes", folder / "runs")
    tokens = generator.generate(generator.encode(prompt), 50)
    ids = [token.id for token in tokens]
    assert record["text"] == bytes(ids).decode(errors="replace")
    result = call("chat", "bytes", "--length", 25, given=prompt + "\n\n")
    assert result.exit_code == 0
    assert result.stdout.startswith(prompt)
    written = (prompt + record["text"]).removesuffix("\ufffd")
    assert result.stdout.removesuffix("\n").startswith(written)
    assert "bytes" in call("models").stdout


@pytest.fixture(scope="module")
def poem(folder):
    """A text whose characters have one, two and four bytes."""
    text = folder / "verse.txt"
    text.write_text("Café 😀, naïve café at the café. " * 200, encoding="utf-8")
    return text


@pytest.mark.parametrize(
    ("tokenizer", "vocab_size", "preset"),
    [("word", 261, "block"), ("bpe", 270, "modern"), ("gpt2", None, "block")],
)
def test_any_tokenizer_trains_resumes_and_writes(
    folder, poem, tokenizer, vocab_size, preset
):
    name = f"{tokenizer}-{preset}"
    size = ["--vocab-size", vocab_size] if vocab_size else []
    shape = ["--context", 8, "--width", 8, "--heads", 1, "--batch-size", 4]
    shape += ["--steps", 6]
    if preset == "modern":
        shape += ["--depth", 1]
    words = ["train", poem.name, "-n", name, "-p", preset, "-t", tokenizer, *size]
    result = call(*words, *shape)
    assert result.exit_code == 0, result.output
    assert "bits per byte" in result.stdout
    model, learned, card = catalog.load(name, folder / "runs")
    assert model.vocab_size == learned.vocab_size == (vocab_size or 50257)
    assert card.shape["vocab_size"] == learned.vocab_size
    assert call("train", "--resume", "-n", name).exit_code == 0
    prompt = "é 😀"
    words = ["generate", prompt, "--model", name, "--length", 30]
    record = json.loads(call(*words, "--json").stdout)
    assert record["tokens"] == len(record["probabilities"]) == 30
    assert call(*words).stdout == prompt + record["text"] + "\n"
    result = call("chat", name, "--length", 10, given=prompt + "\n\n")
    assert result.exit_code == 0
    assert result.stdout.startswith(prompt)
    assert name in call("models").stdout


@pytest.mark.parametrize("preset", catalog.TRAINING_RECIPES)
def test_every_preset_trains_on_byte_pairs_or_says_what_it_would_cost(
    folder, poem, preset
):
    small = {"context": 8, "width": 8, "heads": 1, "depth": 1}
    known = catalog.shape_defaults(preset)
    shape = [w for key in small.keys() & known for w in (f"--{key}", small[key])]
    words = ["train", poem.name, "-p", preset, "--steps", 2, "--batch-size", 2, *shape]
    pairs = ["-t", "bpe", "--vocab-size", 275, "-n", f"pairs-{preset}"]
    result = call(*words, *pairs)
    assert result.exit_code == 0, result.output
    model = catalog.load(f"pairs-{preset}", folder / "runs").model
    assert model.vocab_size == 275
    shutil.rmtree(folder / "runs" / f"pairs-{preset}")
    with_bigram_table = "bigram", "averaging", "one-head", "multi-head"
    if catalog.find_recipe(preset).architecture in with_bigram_table:
        result = call(*words, "-t", "gpt2", "-n", "too-large")
        assert result.exit_code == 1
        assert "a table of 50,257 × 50,257 numbers would take 9.4 GiB" in result.stderr
        assert not (folder / "runs" / "too-large").exists()


def test_a_text_with_fewer_tokens_than_asked_for_says_so(poem):
    few = [*SMALL, "--steps", 2, "-t", "bpe", "-n", "few-tokens"]
    result = call("train", poem.name, *few)
    assert result.exit_code == 0
    assert "the text gives 279 tokens, not 2,048" in result.stderr


def test_a_vocabulary_is_learned_from_the_training_part(folder):
    (folder / "parts.txt").write_text("early " * 50 + "late " * 900 + "final " * 80)
    tokenizer = catalog.make_tokenizer("word", folder / "parts.txt", 300)
    assert b" late" in tokenizer.tokens
    assert b" early" in tokenizer.tokens  # some of it is behind the first 5 per cent
    assert b" final" not in tokenizer.tokens


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["-t", "letters"],
            1,
            "no tokenizer 'letters': there are character, word, bpe",
        ),
        (["-t", "bpe", "--vocab-size", 256], 2, "be greater than or equal to 257"),
        (["--vocab-size", 300], 1, "tokenizer character has a vocabulary of its own"),
        (["-t", "gpt2", "--vocab-size", 300], 1, "gpt2 has a vocabulary of its own"),
        (["-t", "gpt2", "-p", "bigram"], 1, "50,257 numbers would take 9.4 GiB"),
        (["--resume", "-n", "mine", "-t", "bpe"], 2, "leave out tokenizer"),
    ],
)
def test_a_tokenizer_that_does_not_fit_is_refused(folder, poem, words, code, message):
    text = [] if "--resume" in words else [poem.name, "-n", "refused"]
    result = call("train", *text, *words)
    assert result.exit_code == code
    assert message in " ".join(result.output.replace("│", " ").split())
    assert not (folder / "runs" / "refused").exists()


# Compiled


@pytest.fixture(scope="module")
def tiny(folder):
    """The words that let a small GPT write."""
    shape = ["--context", 8, "--width", 8, "--heads", 2, "--depth", 1, "--steps", 5]
    result = call("train", "rhyme.txt", "-n", "tiny", "-p", "cpu", *shape)
    assert result.exit_code == 0, result.output
    return ["generate", "Row", "--length", "40", "--model", "tiny"]


def test_a_compiled_step_is_used_and_writes_the_same(tiny, monkeypatch):
    lengths = []

    def compile_step(reader):  # lesson 12b's tests compile; here we see that it is used
        def step(ids, cache):
            lengths.append(cache.length)
            return PackedWeightsReader.step(reader, ids, cache)

        return step

    monkeypatch.setattr(compiled, "compile_decoding_step", compile_step)
    plain, result = call(*tiny), call(*tiny, "--compile")
    assert (result.exit_code, result.stdout) == (0, plain.stdout)
    assert result.stderr == "compiling …\n"
    assert lengths == [3, 4, 5, 6]
    result = call("generate", "x", "--compile", "--model", "bigram")
    assert result.exit_code == 1
    assert "bigram is a Bigram; --compile can do a GPT only" in result.stderr


def test_without_a_compiler_it_says_so_and_writes_the_same(folder, tiny):
    nothing = {"PATH": "", "CXX": "", "TORCHINDUCTOR_CACHE_DIR": str(folder / "none")}
    process = subprocess.run(
        [sys.executable, "-m", "gpt_lib", *tiny, "--compile"],
        env=environment(folder) | nothing,
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stdout) == (0, call(*tiny).stdout)
    assert re.fullmatch(r"compiling …\nnot compiled: .*compiler.*\n", process.stderr)


# What must be a process


def test_no_command_imports_a_face_that_it_does_not_show(folder):
    program = (
        "import sys, gpt_lib.gpt, gpt_lib.cli.train_run; from gpt_lib.cli import app\n"
        "app(['chat', 'bigram', '--length', '5'], standalone_mode=False)\n"
        "heavy = {'ipywidgets', 'matplotlib', 'textual', 'IPython'}\n"
        "print('loaded:', *heavy & set(sys.modules))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(folder),
        input="KING\n/set\n/compare block\n",
        capture_output=True,
        text=True,
    )
    assert process.stdout.endswith("loaded:\n"), process


def start_training(folder, *words):
    """A training under way that would take long."""
    process = start_process(
        folder, "train", *words, *SMALL, "--steps", "50000", stdout=-1, stderr=-1
    )
    run = CheckpointWriter(words[-1].removesuffix(".txt"), folder / "runs")
    limit = time.monotonic() + 60
    while not run.steps() or run.steps()[-1] < 20:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)
    return process


def interrupt(process):
    """Send Ctrl-C: what the process then writes."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=30)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for others")
def test_ctrl_c_saves_and_resuming_goes_on_from_there(folder):
    process = start_training(folder, "rhyme.txt", "--name", "cut")
    output, _ = interrupt(process)
    assert process.returncode == 130
    [step] = re.findall(r"stopped and saved after (\d+) of 50000 steps", output)
    assert "gpt-lib train --resume --name cut" in output
    run = CheckpointWriter("cut", folder / "runs")
    assert run.steps()[-1] == int(step)
    card = load_checkpoint(run.last()).card
    assert [r.step for r in card.history] == [*range(0, int(step), 10)]

    words = "train", "--resume", "--name", "cut"
    process = start_process(folder, *words, stderr=subprocess.DEVNULL)
    while run.steps()[-1] < int(step) + 10:
        assert process.poll() is None
        time.sleep(0.05)
    refused = call(*words)
    assert refused.exit_code == 1
    assert "'cut' is being trained by another process" in refused.stderr
    process.kill()
    process.wait()
    load_checkpoint(run.last())


def test_a_run_resumes_on_the_split_that_its_card_says(folder):
    """A card without one is of before the test part: 90 % was for training."""
    text, store = str(folder / "rhyme.txt"), folder / "runs"
    training = {"steps": 3, "context": 8}
    card, _ = plan_new_run(prepare_text(text), "bigram", {}, training)
    assert card.split == "85/5/10"
    ids = len((folder / "rhyme.txt").read_text())
    for split, percent in (("85/5/10", 85), ("90/0/10", 90)):
        run = CheckpointWriter(split.replace("/", "-"), store)
        loaded, _ = begin(run, replace(card, split=split))
        assert len(load_run_corpus(loaded).train) == ids * percent // 100
        path = run.last() / "card.json"
        assert parse_card(path.read_bytes(), path).split == split
    unsaid = json.loads(path.read_text())
    del unsaid["split"]
    assert parse_card(json.dumps(unsaid).encode(), path).split == "90/0/10"


@pytest.mark.skipif(os.name != "posix", reason="a shell pipe")
def test_who_reads_may_stop_reading(folder):
    command = (
        f"{sys.executable} -m gpt_lib generate KING --length 5000 -m bigram | head -c 9"
    )
    process = subprocess.run(
        ["bash", "-c", command], env=environment(folder), capture_output=True, text=True
    )
    assert process.stdout.startswith("KING")
    assert process.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for others")
def test_ctrl_c_ends_a_long_text_without_a_traceback(folder):
    words = "generate", "KING", "--length", "1000000"
    process = start_process(folder, *words, stdout=-1, stderr=-1)
    assert process.stdout.read(5).startswith("KING")
    _, errors = interrupt(process)
    assert process.returncode not in (0, None)
    assert "Traceback" not in errors
