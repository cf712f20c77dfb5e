# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7 · Phonons, and how stiff the crystal is
#
# Forces are derivatives of the total free energy A. Their own derivatives are force constants, and those of the stress
# are elastic constants. Both ask more of a model than A itself: they are what is left when everything that does not
# depend on the atoms' places has gone. Here are both for hcp beryllium, beside Quantum ESPRESSO on the very same cells
# (`phonons_dft.py` made its numbers, with the DFT of the model's data).

# It wants phonopy: `pip install phonopy`.

# %%
import itertools
import os

import matplotlib.pyplot as plt
import numpy as np
import phonopy
from ase import Atoms
from phonopy.structure.atoms import PhonopyAtoms

import maladist
from maladist import examples
from maladist.calculator import Maladist

SMALL = os.environ.get("MALADIST_NOTEBOOK_SIZE") == "small"  # seconds for each page: the tests' size
dft = examples.dft_cells()
model = maladist.load_model("be-1000K")
GPA = 160.21766  # of an eV/Å³

# %% [markdown]
# ## Forces on displaced cells
#
# Phonopy finds which displacements the symmetry of the crystal leaves: one of an atom, askew, is enough for hcp. The
# forces of the undisplaced cell are taken off: they are zero by symmetry, and what the grid leaves is no phonon's.


# %%
def phonons(*repeat):
    """Phonopy of a supercell of the crystal, its displacements generated."""
    crystal = examples.beryllium()
    unit = PhonopyAtoms(symbols=["Be", "Be"], cell=crystal.cell, scaled_positions=crystal.get_scaled_positions())
    found = phonopy.Phonopy(unit, np.diag(repeat), primitive_matrix=np.eye(3), log_level=0)
    found.generate_displacements(distance=0.05)  # Å
    return found


def model_forces(found):
    """Forces of each displaced supercell, (n_atoms, 3) eV/Å, less those of the undisplaced one."""
    cells = [found.supercell, *found.supercells_with_displacements]
    atoms = [Atoms(c.symbols, scaled_positions=c.scaled_positions, cell=c.cell, pbc=True) for c in cells]
    with Maladist(model) as calculator:
        rest, *displaced = [calculator.get_property("forces", cell) for cell in atoms]
    return [forces - rest for forces in displaced]


small = phonons(2, 2, 2)
ours = model_forces(small)
theirs = [dft["displaced"].get_forces() - dft["crystal"].get_forces()]
assert np.allclose(small.supercells_with_displacements[0].positions, dft["displaced"].positions, atol=1e-6)
a, b = np.concatenate(ours).ravel(), np.concatenate(theirs).ravel()
print(f"{len(small.supercell)} atoms, one displaced; the DFT's forces to {np.abs(b).max():.3f} eV/Å")
error = np.sqrt(np.mean((a - b) ** 2))
print(f"RMSE {1000 * error:.1f} meV/Å, {error / np.sqrt(np.mean(b**2)):.1%} of RMS")

# %% [markdown]
# ## Bands
#
# The same force constants' symmetries are imposed on both. A supercell of 16 atoms is small: a force reaches itself
# around the corner. For the model a larger one costs seconds, and it has no k-points to choose.


# %%
def bands(found, forces):
    """Frequencies in THz along Γ–M–K–Γ–A, and where on the path each is."""
    found.forces = forces
    found.produce_force_constants()
    found.symmetrize_force_constants()
    corners = [[0, 0, 0], [0.5, 0, 0], [1 / 3, 1 / 3, 0], [0, 0, 0], [0, 0, 0.5]]
    paths = [np.linspace(one, other, 41) for one, other in itertools.pairwise(corners)]
    found.run_band_structure(paths)
    result = found.band_structure
    return np.concatenate(result.distances), np.concatenate(result.frequencies)


runs = [("DFT, 16 atoms", small, theirs, "k-"), ("model, 16 atoms", small, ours, "C1--")]
if not SMALL:
    large = phonons(4, 4, 3)
    runs.append((f"model, {len(large.supercell)} atoms", large, model_forces(large), "C0-"))
figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
found = {}
for name, cell, forces, style in runs:
    path, found[name] = bands(cell, forces)
    ax.plot(path, found[name], style, lw=1.2, label=[name, *[None] * 5])
ax.set_xticks(path[[0, 40, 81, 122, 163]], ["Γ", "M", "K", "Γ", "A"])
ax.axhline(0, c="grey", lw=0.6)
ax.set(ylabel="frequency (THz)", xlim=(path[0], path[-1]))
ax.legend()
plt.show()

# %% [markdown]
# Beryllium's Raman mode is at 13.6 to 13.8 THz (455 to 460 cm⁻¹ at room temperature). It is an optical mode at Γ, the
# second of those below:

# %%
for name, frequencies in found.items():
    optical = frequencies[0, 3:]
    print(
        f"{name:16} optical at Γ: {', '.join(f'{f:.2f}' for f in optical)} THz, lowest anywhere {frequencies.min():.2f}"
    )

# %% [markdown]
# ## Elastic constants
#
# From energies: the second derivative of A per volume under a strain; from the stress: its first derivative. In the
# model the two must agree, since its stress is the derivative of its A on a grid whose points move with the cell. In
# the DFT they agree as far as its plane waves go. Atoms keep their fractions (nothing relaxes within the cell under
# strains of this symmetry).


# %%
STRAINS = (-0.02, -0.01, 0.0, 0.01, 0.02)
MODES = {"along c": np.array([0.0, 0.0, 1.0]), "in the plane": np.array([1.0, 1.0, 0.0])}


def stiffness(energies, stresses, cells, mode):
    """Second derivative of A per volume at rest, GPa: of polynomials through the energies, and through the stress."""
    rest = cells[2].get_volume()
    second = 2 * np.polyfit(STRAINS, energies, 4)[-3] / rest
    # The derivative of A along the mode is Ω σ : mode (1 + strain)⁻¹: the strain is measured from the crystal at rest.
    slopes = [
        cell.get_volume() * (stress[:3] * mode / (1 + size * mode)).sum()
        for size, stress, cell in zip(STRAINS, stresses, cells, strict=True)
    ]
    return GPA * second, GPA * np.polyfit(STRAINS, slopes, 3)[-2] / rest


grid = maladist.predict(dft["along c +0%"], model).grid.shape  # one grid for all: its points move with the cell
with Maladist(model, grid=grid) as calculator:
    for name, mode in MODES.items():
        cells = [dft[f"{name} {size:+.0%}"] for size in STRAINS]
        stresses = [calculator.get_property("stress", c) for c in cells]
        energies = [calculator.get_property("free_energy", c) for c in cells]
        of_dft = [c.get_potential_energy(force_consistent=True) for c in cells], [c.get_stress() for c in cells]
        for who, got in (("model", (energies, stresses)), ("DFT", of_dft)):
            by_energy, by_stress = stiffness(*got, cells, mode)
            print(f"{name:13} {who:6} {by_energy:6.0f} GPa from energies, {by_stress:6.0f} from stress")

# %% [markdown]
# The phonons tell the truth, and the elastic constants do not: the optical modes at Γ are within 2 % of the DFT's and
# the lowest branches within 20 %, while the stiffness along c comes out at less than half. The model has learnt forces,
# and no stress; its training's cells were strained by 2 % with every atom displaced by 0.1 Å, whose energies hide what
# a strain alone does. Its card says so of the stress, and `maladist relax --cell` warns.
#
# Where the model's two columns differ it is not the stress that is wrong: beside a cell at rest it is A's derivative to
# four digits. A itself has small steps under a strain, of up to 0.3 meV an atom in 1 %, that no derivative sees.
