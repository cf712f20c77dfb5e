"""Scalar fields on a grid, slab by slab.

formats      a field's header and values, whatever its format
cube, xsf    text formats; numbers: their numbers in pieces
openpmd      HDF5 as MALA writes it
raw          numbers at their place in a .npy or HDF5 file
"""
