"""The search for a training's configuration, trials side by side.

tune       the verb
config     the keys to vary, and how
study      the trials in Optuna's file
trial      one trial, on a worker
training_free   measures that rank networks and descriptors without training
"""
