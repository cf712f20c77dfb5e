"""Arrays of numpy by the numbers that they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
"""What positions, energies and all that is summed are."""

Floats = npt.NDArray[np.floating]
"""In either precision, as descriptors and the LDOS are."""

Indices = npt.NDArray[np.int64]

Numbers = npt.NDArray[np.int16]
"""Atomic numbers."""

Complex = npt.NDArray[np.complex128]

AnyArray = npt.NDArray[Any]
"""Of a dtype that is not known before it is read."""
