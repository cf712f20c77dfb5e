"""Snapshots through a DFT code on Dask.

dft        the verb, and the task of one snapshot
code       what a DFT code must give; espresso: Quantum ESPRESSO
setup      settings that every code has, from a YAML file
scratch    a folder and the programs that run in it, both gone when the task is; keeper: the process that sees to it
"""
