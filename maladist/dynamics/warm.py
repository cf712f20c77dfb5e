"""What a calculator has when a step begins, given back to it where a run goes on: so the next bits are the same.

That is the results of the frame, which need not be computed again, and the window of the Fermi level that our
calculator keeps from step to step: another window gives other roundings. A window is in the first frame that it
served, and later frames name that frame: it is as large as the frame of a hundred atoms, and rarely changes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from ase.calculators.calculator import Calculator

from maladist.arrays import Array
from maladist.calculator import Maladist
from maladist.dynamics.folder import TRAJECTORY, RunFolder
from maladist.io.trajectory import read_frame

_WINDOW: Final = "window"
_AT: Final = "window_frame"


class Warm:
    """State of a calculator in the frames of a folder.

    Parameters
    ----------
    calculator
        Calculator, which gets what the last frame of the folder has, if there is one.
    folder
        Folder of the run.
    """

    def __init__(self, calculator: Calculator, folder: RunFolder) -> None:
        self._ours = calculator if isinstance(calculator, Maladist) else None
        self._window: Array | None = None
        self._at: int | None = None
        if folder.last is None:
            return
        calculator.atoms = folder.last.copy()
        calculator.results = {name: _array(value) for name, value in folder.last.calc.results.items()}
        if self._ours is not None and (at := folder.last.info.get(_AT)) is not None:
            self._at = int(at)
            self._window = np.array(read_frame(folder.path / TRAJECTORY, self._at).info[_WINDOW], dtype=np.float64)
            self._ours.window = self._window

    def state(self, frame: int) -> dict[str, object]:
        """What the frame of this number, the next one of the folder, has to keep."""
        if self._ours is None:
            return {}
        window = self._ours.window
        if window is None:  # the next step makes one of its own
            self._window = self._at = None
            return {}
        if window is self._window:
            return {_AT: self._at}
        self._window, self._at = window, frame
        return {_AT: frame, _WINDOW: window.tolist()}


def _array(value: object) -> object:
    """Arrays of a frame's results, some of which come as lists."""
    return np.array(value, dtype=np.float64) if isinstance(value, list | tuple) else value
