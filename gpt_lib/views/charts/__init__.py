"""Charts: bars, lines, heatmaps, loss curves, the loss ladder, a roofline."""
