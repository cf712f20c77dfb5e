"""What compiled kernels of descriptors share: points in tiles with their neighbours, and vector code for numba."""
