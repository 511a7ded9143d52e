"""The playground in a notebook: write with a model, look behind each token."""

from gpt_lib.playground.notebook.playground import Playground
from gpt_lib.playground.notebook.workbench import Workbench

__all__ = ["Playground", "Workbench"]
