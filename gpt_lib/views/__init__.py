"""Pictures and widgets. They take numbers and strings and know no lesson."""

from gpt_lib.views.attention.attention_map import attention_map
from gpt_lib.views.attention.attention_mixer import mixer
from gpt_lib.views.attention.attention_steps import attention_steps
from gpt_lib.views.charts.basic import bars, curves, grid
from gpt_lib.views.charts.ladder import ladder
from gpt_lib.views.charts.loss_curve import loss_curve, watch
from gpt_lib.views.charts.roofline import roofline
from gpt_lib.views.charts.training_scrubber import scrubber
from gpt_lib.views.picture import Panel, Picture, View, visible
from gpt_lib.views.prediction import predict
from gpt_lib.views.tokens.loss_heatmap import heat_text
from gpt_lib.views.tokens.next_token import chances, picture_of_chances
from gpt_lib.views.tokens.pair_table import pair_table
from gpt_lib.views.tokens.questions import questions
from gpt_lib.views.tokens.sampling_explorer import shaper
from gpt_lib.views.tokens.tokens_text import tokens_text
from gpt_lib.views.tokens.tree import Node, tree

__all__ = [
    "Node",
    "Panel",
    "Picture",
    "View",
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
