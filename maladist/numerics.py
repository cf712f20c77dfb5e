"""How descriptors and network are computed: with which kernel, where, and in which precision."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Final, get_args

import numpy as np
import torch

from maladist.choices import Precision
from maladist.errors import InputError


def choose_device(device: str) -> str:
    """The device that 'auto' means on this machine: the GPU where there is one."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Numerics:
    """How descriptors and network are computed; reductions and energies are always float64.

    Attributes
    ----------
    backend
        Kernel of the descriptors: 'auto', 'cpu', 'torch' or 'lammps'.
    device
        Device: 'cpu', 'cuda', ...; 'auto' is decided by each worker.
    precision
        Floating point of descriptors and network: 'float32' or 'float64'.

    Raises
    ------
    InputError
        The precision is another one; torch knows no device of the name.
    """

    backend: str = "auto"
    device: str = "auto"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise InputError("precision", repr(self.precision), f"one of {', '.join(get_args(Precision))}")
        # Only its name: whether there is such a device is known where the blocks are computed.
        if self.device != "auto":
            try:
                torch.device(self.device)
            except (RuntimeError, TypeError):
                raise InputError("device", repr(self.device), "auto, cpu or cuda, cuda:1 for one of several") from None

    @property
    def dtype(self) -> torch.dtype:
        """The precision as torch names it."""
        return torch.float32 if self.precision == "float32" else torch.float64

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.precision).itemsize

    def here(self) -> Numerics:
        """The same on the device that 'auto' means on this machine."""
        return replace(self, device=choose_device(self.device))


def cores() -> int:
    """Cores that this process may use: a batch system or a container may have given it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


CPU: Final = Numerics(device="cpu")
"""How descriptors are computed that go into files: float32, on a CPU whatever the machine has."""
