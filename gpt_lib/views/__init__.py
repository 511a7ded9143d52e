"""Pictures and widgets. They take numbers and strings and know no lesson."""

from gpt_lib.views.charts import bars, curves, grid
from gpt_lib.views.loss import loss_curve, watch
from gpt_lib.views.picture import Panel, Picture, View, visible
from gpt_lib.views.playground import Playground
from gpt_lib.views.predict import predict
from gpt_lib.views.table import pair_table
from gpt_lib.views.text import questions

__all__ = [
    "Panel",
    "Picture",
    "Playground",
    "View",
    "bars",
    "curves",
    "grid",
    "loss_curve",
    "pair_table",
    "predict",
    "questions",
    "visible",
    "watch",
]
