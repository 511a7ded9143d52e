"""A column of the workbench: its settings, its text, and what is behind each token."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ipywidgets import Box, HBox, VBox

from gpt_lib.generation import TextGenerator
from gpt_lib.playground.branches import common_prefix_length, merge_branches
from gpt_lib.playground.messages import error_text
from gpt_lib.playground.notebook.base import TextColumn
from gpt_lib.playground.session import GeneratedText, Run
from gpt_lib.playground.settings import PRESETS, SAMPLING_SETTINGS
from gpt_lib.views.controls import SamplingControls
from gpt_lib.views.tokens.generated_text import GeneratedTextWidget
from gpt_lib.views.tokens.next_token import NextTokenWidget
from gpt_lib.views.tokens.token_tree import TokenTreeWidget, TreeNode
from gpt_lib.views.visible_text import visible_character

if TYPE_CHECKING:
    from gpt_lib.playground.notebook.workbench import Workbench

TITLE_CONTEXT_CHARACTERS = 16  # of the text before a position, in its title


class WorkbenchColumn(TextColumn):
    """A text, its settings, the tokens that could stand at a position, its branches.

    Args:
        workbench: whose session writes.
        text_generators: name -> text generator, in the order of the picker.
        model: the name of the one that is picked first.
    """

    def __init__(
        self,
        workbench: "Workbench",
        text_generators: Mapping[str, TextGenerator],
        model: str,
    ) -> None:
        options = [
            (f"{name} ({each.text_name})" if each.text_name else name, name)
            for name, each in text_generators.items()
        ]
        super().__init__(options, model, label_width="60px")
        self.workbench = workbench
        self.text_generators = text_generators
        self.nodes: list[list[int]] = []  # of each node of the tree: its branches
        self.controls = SamplingControls(
            SAMPLING_SETTINGS, PRESETS, len(text_generators[model].labels)
        )
        self.generated_text = GeneratedTextWidget(label="Text")
        self.next_token = NextTokenWidget(pick_label="go on with")
        self.next_token.clear(
            "Generate, or move a slider, to see the next token's probabilities."
        )
        self.tree = TokenTreeWidget(
            title="Branches, each with the sum of its log-probabilities so far"
        )
        self.connect()
        self.box = self.build_box()

    def connect(self) -> None:
        """What happens on a click, a key, or a moved slider."""
        self.picker.observe(lambda _: self.change_model(), "value")
        self.controls.on_change(self.explain)
        self.generated_text.observe(lambda _: self.explain(), "selected")
        self.next_token.on_pick(self.replace_token)
        self.tree.on_pick(self.show_branch)

    def build_box(self) -> VBox:
        """The column; its parts wrap where it is narrow."""
        self.next_token.layout = {"flex": "1 1 380px", "min_width": "0"}
        self.tree.layout.display = "none"
        both = Box(
            [self.controls.box, self.next_token],
            layout={"flex_flow": "row wrap", "grid_gap": "8px 20px"},
        )
        head = HBox([self.picker, self.status])
        for part in (head, both, self.tree):
            part.add_class("gpt-ask")  # switched off when the kernel is gone
        box = VBox([head, self.generated_text, both, self.tree])
        box.layout = {"flex": "1 1 400px", "min_width": "0"}
        box.add_class("gpt-column")
        return box

    @property
    def settings(self) -> dict[str, float]:
        """How the next token is chosen, as it stands on the page."""
        return self.controls.settings

    # The text

    def begin(self, run: Run, model: str) -> None:
        """Tokens of a run are about to come."""
        super().begin(run, model)
        self.generated_text.writing, self.generated_text.selected = True, -1

    def show(self, text: GeneratedText | None) -> None:
        """Put a text on the page as it is now."""
        if text is None:
            return
        is_new = text is not self.text
        self.text = text
        pieces = list(text.branch.pieces)  # another thread may add to it
        probabilities = text.branch.probabilities[: len(pieces)]
        self.generated_text.show(text.prompt, pieces, probabilities)
        if is_new:
            self.generated_text.label = f"Text by {text.model}"
            self.show_tree()

    def finish(self, message: str) -> None:
        """No more tokens come for now; the next one is ready to be looked at."""
        text, widget = self.text, self.generated_text
        with widget.hold_sync():  # one message: a text at rest lacks no token
            if text:
                name = re.sub(r"\W+", "-", text.model).strip("-")
                self.show(text)
                widget.record = f"{json.dumps(text.record())}\n\n{text.text}\n"
                widget.filename = f"{name}-seed-{text.seed}.txt"
            widget.writing = False
        self.say(message)
        if text:
            self.show_tree()
            if widget.selected < 0:
                widget.selected = len(text.branch.ids)

    def change_model(self) -> None:
        """Another model was picked: the text that stands there stays as it is."""
        vocab_size = len(self.text_generators[self.picker.value].labels)
        self.controls.set_vocab_size(vocab_size)
        if self.text and self.picker.value != self.text.model:
            self.say(
                f"{self.text.model} wrote this; {self.picker.value} writes from the"
                " next Generate or Continue on"
            )

    # Behind a token

    def explain(self) -> None:
        """Show what can stand at the selected position, without and with settings."""
        if self.generated_text.writing and self.generated_text.selected < 0:
            return
        with self.workbench.page_lock:
            try:
                if self.text is None:
                    self.show_empty_text()
                elif self.generated_text.selected >= 0:
                    last = self.text.count_generated_tokens()
                    self.show_next_token(min(self.generated_text.selected, last))
                else:
                    self.next_token.clear(
                        "Select a token: what else could stand there?"
                    )
            except Exception as error:
                self.say(error_text(error))

    def show_empty_text(self) -> None:
        """Begin a text of no tokens, and select the one that would come first."""
        model = self.picker.value
        self.workbench.copy_controls_to_plan([model], [self])
        prompt, plan = self.workbench.prompt.value, self.workbench.session.plan
        text = self.workbench.session.new_text(model, prompt, plan.seed, plan.stop)
        self.show(text)
        self.generated_text.selected = 0  # which calls `explain` again

    def show_next_token(self, position: int) -> None:
        """Show what can stand at a position of the current text."""
        with self.text.lock:
            probabilities, reshaped, u = self.text.next_token(position, self.settings)
        labels, title = self.text.text_generator.labels, self.title_of(position)
        self.next_token.show(labels, probabilities, reshaped, u, title)

    def title_of(self, position: int) -> str:
        """Which token, after which text, and what stands there."""
        text, branch = self.text, self.text.branch
        before = text.prompt + "".join(branch.pieces[:position])
        past = one_line(before[-TITLE_CONTEXT_CHARACTERS:])
        title = f"Token {position + 1}, after “{past}”"
        if position == len(branch.ids):
            return f"{title}: the next one"
        label = text.text_generator.labels[branch.ids[position]]
        return f"{title}: “{one_line(label)}” was written"

    # Branches

    def replace_token(self, id: int) -> None:
        """Put another token at the selected position; what follows is written anew."""
        if self.text is None:
            return
        with self.workbench.page_lock, self.text.lock:
            remaining = self.text.pick(self.generated_text.selected, id)
            if remaining is not None:  # before the lock is free, the run is stopped
                models = [self.text.model]
                self.workbench.start_run([self], models, None, remaining)

    def show_branch(self, index: int) -> None:
        """Put a branch that runs through a node of the tree on the page."""
        with self.workbench.page_lock, self.text.lock:
            if self.generated_text.writing:
                self.say("Stop first, then walk to another branch")
                return
            if self.text.current not in self.nodes[index]:
                self.text.select_branch(self.nodes[index][0])
            self.generated_text.selected = -1
            count = len(self.text.branches)
            self.finish(f"text {self.text.current + 1} of {count}")

    def show_tree(self) -> None:
        """The branches as a tree that forks where they do; one branch is no tree."""
        text, nodes = self.text, []
        if len(text.branches) > 1:
            labels = text.text_generator.labels
            nodes = merge_branches(text.branches, labels, text.prompt)
        self.nodes = [node.branches for node in nodes]
        boxes = [
            TreeNode(one_line(node.text), node.parent, f"{node.log_probability:.1f}")
            for node in nodes
        ]
        current = [at for at, each in enumerate(self.nodes) if text.current in each]
        self.tree.show(boxes, current[-1] if current else None)
        self.tree.layout.display = "" if nodes else "none"
        others = (branch for branch in text.branches if branch is not text.branch)
        forks = {common_prefix_length(text.branch.ids, other.ids) for other in others}
        self.generated_text.forks = sorted(forks)


def one_line(text: str) -> str:
    """A text on one line; a space alone would not be seen."""
    return visible_character(text) if len(text) == 1 else text.replace("\n", "↵")
