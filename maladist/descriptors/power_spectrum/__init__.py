"""The power spectrum of the atoms around a point, two kernels that agree: cheap, and in use more exact than others.

spec           `PowerSpectrumSpec`: what is computed, and which kernels there are
torch_kernel   moments and their products in torch: any device, differentiable
stages         the same as vector code, for a tile of points and some neighbours of it
cpu            the stages in a loop over tiles, compiled
stages_adjoint, cpu_adjoint    its adjoint, for forces
"""

from maladist.descriptors.power_spectrum.spec import PowerSpectrumSpec

__all__ = ["PowerSpectrumSpec"]
