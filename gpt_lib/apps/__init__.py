"""The tools behind `make`: no module of the library imports them, notebooks may."""
