"""What is wanted of an MD for configurations, checked where it enters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maladist.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """Langevin dynamics: thermostat, steps and frames.

    Parameters
    ----------
    temperature
        Temperature of the thermostat, K.
    steps
        Number of steps.
    timestep
        Length of a step, fs.
    friction
        Friction of the thermostat, 1/fs.
    every
        Steps from one frame to the next.
    seed
        Seed of the velocities and of the thermostat's noise.

    Raises
    ------
    InputError
        A number that is not positive, a negative seed, or fewer steps than one frame takes.
    """

    temperature: float
    steps: int
    timestep: float = 1.0
    friction: float = 0.02
    every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("temperature", "timestep", "friction"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(name, str(value), "a positive number")
        if not 1 <= self.every <= self.steps:
            raise InputError("steps", f"{self.steps} steps, a frame every {self.every}", "one frame or more")
        if self.seed < 0:
            raise InputError("seed", str(self.seed), "zero or a positive whole number")
