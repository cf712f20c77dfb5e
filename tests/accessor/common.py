"""What the tests of the accessors compare by."""

from __future__ import annotations

from typing import Any

import numpy as np


def off(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max())
