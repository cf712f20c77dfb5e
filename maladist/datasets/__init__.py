"""Data sets of DFT snapshots: made, held against their DFT, aligned, exported, found.

convert/   from the files of a DFT calculation; dft/: by running it
snapshots  those of a training, held against one another
check      a data set against its DFT; traps: what explains a failure; verify: the integrals that convert looks at too
align      snapshots on one energy axis
export     back out, for other programs
"""
