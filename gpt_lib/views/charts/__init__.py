"""Charts: lines, bars, grids, loss curves, the ladder, a roofline."""
