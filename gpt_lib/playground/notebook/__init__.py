"""The playground in a notebook: write with models, and look behind each token."""

from gpt_lib.playground.notebook.simple_playground import Playground
from gpt_lib.playground.notebook.workbench import Workbench

__all__ = ["Playground", "Workbench"]
