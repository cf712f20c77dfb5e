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
# # 9 · How sure is it?
#
# A network answers whatever it is asked. Two numbers tell what to think of the answer:
#
# - **novelty** of a point: how far its descriptors are from the training's, 1 where the training ends. It needs the
#   model alone, and says where in the cell something is new.
# - **σ** of A, E_b, the forces, n(r): the standard deviation of the error, from novelty and the spread of the model's
#   members, calibrated once against DFT that the model had not seen (`maladist evaluate --calibrate`).
#
# Here both are held against DFT: of a cell like the training's, of strained ones, and of one with a vacancy. Then a
# surface, of which the model knows nothing.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from ase.build import hcp0001

import maladist
from maladist import examples
from maladist.errors import InputError

warnings.filterwarnings("ignore", category=UserWarning)  # they say what this page is about
model = maladist.load_model("be-1000K-2")

# %% [markdown]
# ## What comes with every result

# %%
atoms = examples.held_out("be-1000K-2")
result = maladist.predict(atoms, model, forces=True, spread=True)
print(result)
known = atoms.info["dft_total_free_energy_eV"] / len(atoms)
off = 1000 * (result.energies.per_atom().total - known)
print(f"DFT: A = {known:.6f} eV/atom, so the model is off by {off:+.2f} meV/atom")
result.sigmas

# %% [markdown]
# `spread=True` also asks each of the model's networks: the band about D(ε) is the standard deviation between them.

# %%
energies, dos, spread = (result.dataset[n].values for n in ("energy", "dos", "dos_std"))
figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
ax.plot(energies, dos / len(atoms), c="#08306b")
ax.fill_between(
    energies, (dos - 5 * spread) / len(atoms), (dos + 5 * spread) / len(atoms), alpha=0.4, label="± 5 × spread"
)
ax.axvline(result.fermi_energy, c="#d94801", ls="--", label="μ")
ax.set(xlabel="ε (eV)", ylabel="D(ε) (1/eV/atom)")
ax.legend()
plt.show()

# %% [markdown]
# ## Error, σ and novelty of cells that DFT knows

# %%
cells = {"held out": atoms, **examples.dft_cells()}
known = {n: c.get_potential_energy(force_consistent=True) for n, c in cells.items() if n != "held out"}
known["held out"] = atoms.info["dft_total_free_energy_eV"]
rows = {}
for name, cell in cells.items():
    one = maladist.predict(cell, model)
    error = 1000 * (one.energies.total - known[name]) / len(cell)
    sigma = 1000 * one.sigmas["total_free_energy_sigma_eV"] / len(cell)
    rows[name] = error, sigma, float(one.dataset.novelty.max())
    print(f"{name:<18} error of A {error:+7.2f}, σ {sigma:6.2f} meV/atom, largest novelty {rows[name][2]:.2f}")

error, sigma, novelty = np.array(list(rows.values())).T
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4), layout="constrained")
left.bar(np.arange(len(rows)) - 0.2, np.abs(error), 0.4, label="|error|")
left.bar(np.arange(len(rows)) + 0.2, sigma, 0.4, label="σ")
left.set_yscale("log")
left.set_xticks(range(len(rows)), rows, rotation=60, ha="right", fontsize=8)
left.set(ylabel="A (meV/atom)")
left.legend()
vacancy = maladist.predict(cells["vacancy"], model)
vacancy.dataset.novelty.maladist.plot.slice("c", 0.0, atoms=cells["vacancy"], ax=right)
right.set_title("novelty in the plane of the vacancy (at the corners)")
plt.show()

# %% [markdown]
# What to read of it:
#
# - The held-out cell is of the training's kind. Its error is some twice σ; of 32 such cells the errors' root mean
#   square is 1.1 σ, by the model's card. σ is a promise for many cells, not for one.
# - Strained crystals with every atom on its site are *inside* of the training by novelty, and yet no cell of it was
#   like them: all atoms of those were displaced. σ promises ten times too much at 2 %. **Novelty is no proof.** It
#   finds what is far, and not what was asked too seldom; the stiffness of notebook 7 is the same story.
# - The vacancy is far outside, most in the hole, and above 1 wherever a point sees it. σ is large, and the error much
#   smaller, since there were some vacancies in the training.
#
# ## A surface
#
# Four layers of Be(0001): bulk in the middle, and points without neighbours on one side.

# %%
slab = hcp0001("Be", (1, 1, 4), a=2.2866, c=3.5833, vacuum=4.0, periodic=True)
surface = maladist.predict(slab, model)
novelty = surface.dataset.novelty
height = np.arange(novelty.sizes["z"]) / novelty.sizes["z"] * slab.cell[2, 2]

figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
ax.plot(height, novelty.max(["x", "y"]), label="largest in a plane")
ax.plot(height, novelty.mean(["x", "y"]), label="mean")
ax.axhline(1, c="grey", ls="--", lw=0.8, label="where the training ends")
for z in slab.positions[:, 2]:
    ax.axvline(z, c="grey", lw=0.5)
ax.set(xlabel="z (Å); thin lines: layers of atoms", ylabel="novelty")
ax.legend(fontsize=8)
plt.show()
sigma = surface.sigmas["total_free_energy_sigma_eV"] / len(slab)
print(f"A ± σ: {surface.energies.per_atom().total:.2f} ± {sigma:.2f} eV/atom")

# %% [markdown]
# Whoever wants no such result says so: `strict=True` (`--strict`) refuses it. In MD it is `stop_novelty`; and
# `maladist rank` sorts cells by it, to find those that are worth a DFT.

# %%
try:
    maladist.predict(slab, model, strict=True)
except InputError as refused:
    print(refused)
