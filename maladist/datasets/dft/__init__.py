"""Snapshots through Quantum ESPRESSO on Dask.

dft        the verb, and the task of one snapshot
scratch    a folder and the programs that run in it, both gone when the task is; keeper: the process that sees to it
setup      what all calculations of a data set have in common, from a YAML file
"""
