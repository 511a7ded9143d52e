"""One notebook with every view on made data: one kernel and one page for all of them.

Each cell is a view of its own, so a test that fails names the view. Lessons show the
same views on trained models; nbval runs those.
"""

from pathlib import Path

from nbformat import v4, write

IMPORTS = """
import numpy as np
import torch

from gpt_lib import views
from gpt_lib.catalog import load
from gpt_lib.generation import SamplingConfig, sampling_probabilities
from gpt_lib.playground.notebook import Playground
from gpt_lib.playground.settings import PRESETS, SAMPLING_SETTINGS

generator = np.random.default_rng(1)

def causal_weights(heads, size):
    # (heads, T, T): each row sums to one, nothing ahead of itself.
    scores = np.tril(np.exp(generator.normal(size=(heads, size, size))))
    return scores / scores.sum(-1, keepdims=True)

def only_letters(text):
    for position, character in enumerate(text):
        if not (character.isalpha() or character in " ,:"):
            raise ValueError(f"{character!r} at position {position} is not a letter")
"""

CELLS = {
    "table": """
labels = ["\\n", " ", "a", "e", "t"]
table = generator.dirichlet(np.ones(5), size=5)
views.bigram_table(table, labels, "Which letter follows which")
""",
    "mixer": """
tokens = ["the", "old", "queen", "wore", "a", "crown"]
values = np.array([[0, 0], [0, 1], [2, 0], [0, 3], [0, 0], [2, 2]])
views.attention_mixer(tokens, values, ["royal", "worn"], "Who is heard?")
""",
    "prediction": """
replies = {
    "the letter e": "A good guess: e is the most frequent letter.",
    "the space": "A space ends every word.",
    "the letter z": "It is rare.",
}
views.prediction("Which character is the most frequent?", replies, "the space")
""",
    "map": """
def get_weights(text):
    only_letters(text)
    return {f"step {n}": causal_weights(2, len(text)) for n in (0, 100, 1600)}

views.attention_map(get_weights, "o romeo", "To what each letter attends")
""",
    "steps": """
def get_steps(text):
    only_letters(text)
    size = len(text)
    layers = {}
    for layer in range(1, 5):
        scores = generator.normal(size=(3, size, size))
        masked = np.where(np.tril(np.ones((size, size), bool)), scores / 2, -np.inf)
        weights = np.exp(masked - masked.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        steps = {"q·k": scores, "÷ √H": scores / 2, "mask": masked, "softmax": weights}
        layers[f"block {layer}"] = steps
    return layers

views.attention_steps(get_steps, "o romeo", "From score to weight", layer="block 1")
""",
    "heatmap": """
passage = "To be, or not to be, that is the question. " * 4
losses = {n: generator.exponential(size=len(passage)) for n in ("unigram", "GPT")}
top = {n: [[("e", 0.3), (" ", 0.2)] for _ in passage] for n in losses}
views.loss_heatmap(passage, losses, top, "A passage, read by two models")
""",
    "explorer": """
logits = torch.tensor([3.0, 2.0, 1.5, 1.0, 0.0, -1.0])
contexts = {
    "after “O Rom”": (list("aeiou "), logits),
    "after “JULIET:↵”": (list("OIWTAM"), logits.flip(0)),
}

def reshape(logits, settings):
    seen = torch.zeros(0, dtype=torch.long)
    return sampling_probabilities(logits, SamplingConfig(**settings), seen)

views.sampling_explorer(
    contexts, reshape, "Where does u land?", SAMPLING_SETTINGS, PRESETS, u=0.7
)
""",
    "text": """
written = list("JULIET: O Romeo, Romeo!")
probabilities = generator.uniform(0.02, 1, size=len(written))
views.generated_text("ROMEO:\\n", written, probabilities, "Shaded by surprisal")
""",
    "tree": """
nodes = [
    views.TreeNode("ROMEO:↵", -1, "", "best"),
    views.TreeNode("I", 0, "−0.4", "best"),
    views.TreeNode("A", 0, "−1.2", "pruned"),
    views.TreeNode("n", 1, "−0.9", "best"),
    views.TreeNode(" ", 1, "−1.5", "pruned"),
]
views.token_tree(nodes, "Two beams, two rounds")
""",
    "merges": """
letters = ["a", "b", "n", " "]
merges = [[1, 0], [2, 0], [5, 5], [4, 6]]  # ba, na, nana, banana

def cut(text):
    only_letters(text)
    return [[letters.index(letter) for letter in word] for word in text.split(",")]

labels = [*letters, "ba", "na", "nana", "banana"]
views.merge_explorer(cut, merges, labels, "banana,ban", "Merges to undo")
""",
    "diff": r"""
import re

rules = {
    "line-ends": "Every line ends with a new line, and no carriage return.",
    "controls": "No control characters, and none of no width.",
    "spaces": "No spaces at the end of a line.",
    "phones": "A telephone number becomes (phone).",
    "lower-case": "No capital letters.",
}
patterns = {
    "line-ends": ("\r\n?", "\n"),
    "controls": ("[\x00\u200b]", ""),
    "spaces": ("(?m) +$", ""),
    "phones": (r"\b\d{3} \d{4}\b", "(phone)"),
    "lower-case": (r"[A-Z]", lambda found: found[0].lower()),
}

def change(text, names):
    if "@" in text:
        raise ValueError(f"there is an @ at position {text.index('@')}")
    counts = {}
    for name in names:
        pattern, new = patterns[name]
        text, counts[name] = re.subn(pattern, new, text)
    return text, counts

note = "Dear Ann, \r\ncall 030 1234\u200b now! 👍🏽\nשלום  עולם \n"
note += "A line as it was.\n" * 12 + "<b>The end</b>\t\x00\n"
views.diff_explorer(note, change, rules, ["line-ends", "controls", "spaces"])
""",
    "columns": """
def by_letter(text):
    only_letters(text)
    return [letter.encode() for letter in text]

tokenizers = {
    "letters": by_letter,
    "halves": lambda text: [text[:4].encode(), text[4:].encode()],
    "words": lambda text: [text.encode()],
}
views.token_columns(tokenizers, "to be or", "One text, three tokenizers")
""",
    "scrubber": """
steps = [0, 100, 200, 300, 400, 600]
fall = [3.2, 2.6, 2.3, 2.1, 2.0, 1.9]
passage = "the queen wore a crown"
views.training_scrubber(
    steps,
    {"batch": (steps, fall)},
    [f"sample {n}: " + "lorem ipsum " * n for n in range(1, 7)],
    passage,
    np.array(fall)[:, None] + generator.normal(0, 0.1, size=(6, len(passage))),
    [[[("e", 0.3)] for _ in passage] for _ in steps],
    np.stack([causal_weights(2, len(passage)) for _ in steps]),
    "A run, checkpoint by checkpoint",
)
""",
}


def write_gallery(path: Path) -> None:
    """Write the notebook, not executed."""
    sources = [IMPORTS, *CELLS.values()]
    cells = [v4.new_code_cell(source.strip()) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    write(notebook, path)
