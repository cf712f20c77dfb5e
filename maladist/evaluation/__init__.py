"""A model held against DFT on snapshots.

evaluate    the verb: predicts each snapshot on its own grid and compares on the workers
statistics  errors, their statistics, baselines, and what an ensemble's spread says
"""
