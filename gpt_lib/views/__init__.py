"""Pictures and widgets. They take numbers and strings and know no lesson."""

from gpt_lib.views.attention import attention_map
from gpt_lib.views.chances import chances, picture_of_chances
from gpt_lib.views.charts import bars, curves, grid
from gpt_lib.views.heat import heat_text
from gpt_lib.views.ladder import ladder
from gpt_lib.views.loss import loss_curve, watch
from gpt_lib.views.mixer import mixer
from gpt_lib.views.picture import Panel, Picture, View, visible
from gpt_lib.views.playground import Playground
from gpt_lib.views.predict import predict
from gpt_lib.views.roof import roofline
from gpt_lib.views.scrubber import scrubber
from gpt_lib.views.shaper import shaper
from gpt_lib.views.steps import attention_steps
from gpt_lib.views.table import pair_table
from gpt_lib.views.text import questions
from gpt_lib.views.tokens import tokens_text
from gpt_lib.views.tree import Node, tree
from gpt_lib.views.workbench import Workbench

__all__ = [
    "Node",
    "Panel",
    "Picture",
    "Playground",
    "View",
    "Workbench",
    "attention_map",
    "attention_steps",
    "bars",
    "chances",
    "curves",
    "grid",
    "heat_text",
    "ladder",
    "loss_curve",
    "mixer",
    "pair_table",
    "picture_of_chances",
    "predict",
    "questions",
    "roofline",
    "scrubber",
    "shaper",
    "tokens_text",
    "tree",
    "visible",
    "watch",
]
