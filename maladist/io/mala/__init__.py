"""MALA's files.

model        a trained model's zip; zip: its members; pickle: its pickles, read without running them
model_zip    such a zip made of a model
parameters   params.json: descriptors and energy grid, of models and of data
data         snapshots: .npy and .info.json; folder: the files of all snapshots in a folder
"""
