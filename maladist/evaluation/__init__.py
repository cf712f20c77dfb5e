"""A model held against DFT on snapshots.

evaluate    the verb: predicts each snapshot on its own grid and compares on the workers
coverage    a model's σ: fitted to errors, and what it is worth on others
statistics  errors, their statistics, baselines, and what an ensemble's spread says
"""
