"""Active learning: a model's own MD finds cells that it knows least, DFT calculates them, the next model learns them.

config  what a run is told, from a YAML file
learn   the rounds
"""
