"""The bispectrum on points of a grid: LAMMPS' `compute sna/grid`, in three kernels that agree.

spec          `BispectrumSpec`: what is computed, and which kernels there are
su2           the exact quadrature on SU(2), hyperspherical harmonics on its nodes, the components
torch_kernel  moments, matrix products and triple products in torch: any device, differentiable
cpu           the same compiled: su2_moments and su2_nodes (its halves), with `descriptors.compiled`
cpu_adjoint   its adjoint, for forces: su2_moments_adjoint and su2_nodes_adjoint
lammps        LAMMPS itself, the reference
"""

from maladist.descriptors.bispectrum.spec import BispectrumSpec

__all__ = ["BispectrumSpec"]
