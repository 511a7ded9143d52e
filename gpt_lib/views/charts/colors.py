"""Colours that differ for every kind of colour vision (Okabe and Ito), and dashes."""

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
# They tell curves apart without any colour.
LINE_DASHES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1))]
