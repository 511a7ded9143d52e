"""Attention: maps, a mixer of scores, the computation step by step."""
