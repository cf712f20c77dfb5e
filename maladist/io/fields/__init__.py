"""Scalar fields on a grid, slab by slab.

header       what a file says of its field; formats: which reader a file has, whether a field belongs to a calculation
cube, xsf    text formats; numbers: their numbers in pieces
openpmd      HDF5 as MALA writes it
raw          numbers at their place in a .npy or HDF5 file
"""
