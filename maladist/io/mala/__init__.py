"""MALA's files.

model        a trained model's zip; zip: its members; pickle: its pickles, read without running them
data         snapshots: .npy and .info.json
"""
