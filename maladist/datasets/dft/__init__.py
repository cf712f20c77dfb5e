"""Snapshots through Quantum ESPRESSO on Dask.

dft        the verb, and the task of one snapshot
setup      what all calculations of a data set have in common, from a YAML file
"""
