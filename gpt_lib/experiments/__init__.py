"""What fills data/results: ladder, ablation, race, shipped models, benchmarks."""
