"""Descriptors of the atoms around a point: pure kernels behind one signature, families found by themselves."""

from maladist.descriptors.bispectrum.spec import BispectrumSpec
from maladist.descriptors.dispatch import adjoint, evaluate
from maladist.descriptors.gaussian import GaussianSpec
from maladist.descriptors.power_spectrum.spec import PowerSpectrumSpec
from maladist.descriptors.spec import Adjoint, Spec, find_family, spec_from_dict, told_apart

__all__ = [
    "Adjoint",
    "BispectrumSpec",
    "GaussianSpec",
    "PowerSpectrumSpec",
    "Spec",
    "adjoint",
    "evaluate",
    "find_family",
    "spec_from_dict",
    "told_apart",
]
