"""Questions to answer before running: a prediction, and what comes next."""
