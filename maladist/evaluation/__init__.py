"""A model held against DFT on snapshots.

evaluate    the verb: predicts each snapshot on its own grid and compares on the workers
comparison  of the two LDOS and densities, block by block
statistics  errors and their statistics
baselines   what needs no network, beside them
spread      what an ensemble's spread says of its errors
coverage    a model's σ: fitted to errors, and what it is worth on others
"""
