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

# %%
import itertools
import json

import case
import matplotlib.pyplot as plt
import numpy as np
from phonons_dft import CRYSTAL, DISPLACEMENT, FILE, MODES, STRAINS, displaced, phonons, strained

from maladist.calculator import Maladist

dft = json.loads(FILE.read_text())
calculator = Maladist(case.model())
GPA = 160.21766  # of an eV/Å³

# %% [markdown]
# ## Forces on displaced cells
#
# Phonopy finds which displacements the symmetry of the crystal leaves: one of an atom, askew, is enough for hcp. The
# forces of the undisplaced cell are taken off: they are zero by symmetry, and what the grid leaves is no phonon's.


# %%
def model_forces(found):
    """Forces of each displaced supercell, (n_atoms, 3) eV/Å, less those of the undisplaced one."""
    forces = [calculator.get_property("forces", cell) for cell in displaced(found)]
    return [f - forces[0] for f in forces[1:]]


small = phonons(2, 2, 2)
ours = model_forces(small)
theirs = [np.array(dft[f"displaced-{i + 1}"]["forces"]) - dft["displaced-0"]["forces"] for i in range(len(ours))]
a, b = np.concatenate(ours).ravel(), np.concatenate(theirs).ravel()
print(f"{len(small.supercell)} atoms, one moved by {DISPLACEMENT} Å; the DFT's forces to {np.abs(b).max():.3f} eV/Å")
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
if not case.SMALL:
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
def stiffness(energies, stress, mode):
    """Second derivative of A per volume at rest, GPa: of polynomials through the energies, and through the stress."""
    volume = (CRYSTAL * (2, 2, 1)).get_volume()
    second = 2 * np.polyfit(STRAINS, energies, 4)[-3] / volume
    # The derivative of A along the mode is Ω σ : mode (1 + strain)⁻¹: the strain is measured from the crystal at rest.
    slope = [v * (s[:3] * np.diag(mode) / (1 + e * np.diag(mode))).sum() for e, s, v in stress]
    return GPA * second, GPA * np.polyfit(STRAINS, slope, 3)[-2] / volume


at_rest = Maladist(case.model())
at_rest.get_property("free_energy", strained("along c", 0.0))
fixed = Maladist(case.model(), grid=at_rest.prediction.grid.shape)
for m, (name, mode) in enumerate(MODES.items()):
    cells = [strained(name, size) for size in STRAINS]
    stress = [(e, fixed.get_property("stress", c), c.get_volume()) for e, c in zip(STRAINS, cells, strict=True)]
    energies = [fixed.get_property("free_energy", c) for c in cells]
    there = [dft[f"strained-{m}-{i}"] for i in range(len(cells))]
    of_dft = [(e, np.array(t["stress"]), c.get_volume()) for e, t, c in zip(STRAINS, there, cells, strict=True)]
    for who, got in (("model", (energies, stress)), ("DFT", ([t["total_free_energy_eV"] for t in there], of_dft))):
        by_energy, by_stress = stiffness(*got, mode)
        print(f"{name:13} {who:6} {by_energy:6.0f} GPa from energies, {by_stress:6.0f} from stress")

# %% [markdown]
# The phonons tell the truth, and the elastic constants do not: the optical modes at Γ are within 2 % of the DFT's and
# the lowest branches within 20 %, while the stiffness along c comes out at less than half. The model has learnt forces,
# and no stress; its training's cells were strained by 2 % with every atom displaced by 0.1 Å, whose energies hide what
# a strain alone does. Its card says so of the stress, and `maladist relax --cell` warns.
#
# Where the model's two columns differ it is not the stress that is wrong: beside a cell at rest it is A's derivative to
# four digits. A itself has small steps under a strain, of up to 0.3 meV an atom in 1 %, that no derivative sees.

# %%
for each in (calculator, at_rest, fixed):
    each.close()
