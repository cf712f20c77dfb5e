"""Words of choices, the same in Python, YAML and on the command line, which reads them before torch is imported."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float32", "float64"]
"""Floating point of descriptors and network."""

Functional = Literal["pbe", "pw92", "pz"]
"""The exchange-correlation functionals that this program has."""

CorrectionMode = Literal["auto", "on", "off"]
"""Whether energies are corrected for the broadening of the LDOS."""

DoubleCounting = Literal["dft", "channel", "ldos"]
"""Where the density of the double counting comes from: the DFT, the model's density channel, or the LDOS."""

DoubleCountingChoice = DoubleCounting | Literal["auto"]
"""Density of the double counting; 'auto' is the DFT's where it is there."""

Partitioning = Literal["bader", "voronoi"]
"""How space is divided among the atoms."""
