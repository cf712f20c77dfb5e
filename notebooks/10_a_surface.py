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
# # 10 · A surface, and what a tunnelling microscope sees of it
#
# The LDOS is what a scanning tunnelling microscope (STM) measures: after Tersoff and Hamann the current at a tip that
# is a point is proportional to the states there that the bias opens,
#
# $$ I(r) \propto \int_{E_F}^{E_F + eV} d(\varepsilon, r)\, d\varepsilon. $$
#
# The models that come with maladist know bulk only, and say so of a surface (notebook 9). So this page takes the LDOS
# of a DFT: four layers of Be(0001) with 10 Å of vacuum, by Quantum ESPRESSO, coarse. With a model that has learnt
# surfaces all calls are the same, on `maladist.ldos(atoms, model)` and on a result's store.

# %%
import os
import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import maladist
from maladist import examples, metadata

scratch = Path(tempfile.mkdtemp(prefix="maladist-notebook-", dir=os.environ.get("MALADIST_SCRATCH")))
store = examples.slab(scratch)
slab = xr.open_zarr(store, consolidated=False)
atoms, mu = metadata.atoms_of(slab), slab.attrs["fermi_energy_eV"]
slab

# %% [markdown]
# ## At constant height, and at constant current
#
# Occupied states at a negative bias. Left the current 2 Å above the outermost atoms; right the height at which the
# current is its mean at 3 Å. The cell has one atom a layer; the pictures are 4 × 4 cells.

# %%
current = slab.maladist.stm(-0.8, height=2.0, mu=mu)
mean = float(slab.maladist.stm(-0.8, height=3.0, mu=mu).mean())
height = slab.maladist.stm(-0.8, current=mean, mu=mu)


def show(image, ax, label):
    """An image of the cell, 4 × 4 times, and the outermost atoms."""
    values = np.tile(image.values, (4, 4))
    fractions = np.stack(np.meshgrid(*(np.arange(n) / n * 4 for n in values.shape), indexing="ij"), axis=-1)
    x, y = np.moveaxis(fractions @ slab_vectors, -1, 0)
    mesh = ax.pcolormesh(x, y, values, cmap="afmhot", shading="gouraud")
    top = atoms.positions[atoms.positions[:, 2].argmax(), :2]
    cells = np.stack(np.meshgrid(range(4), range(4)), axis=-1).reshape(-1, 2) @ slab_vectors
    ax.plot(*(top + cells).T, "o", mfc="none", c="C0", ms=5)
    ax.set(aspect="equal", xlabel="x (Å)", ylabel="y (Å)")
    ax.figure.colorbar(mesh, ax=ax, label=label, shrink=0.8)


slab_vectors = atoms.cell[:2, :2]
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.2), layout="constrained")
show(current, left, "I (1/Å³)")
show(height, right, "height above the outermost atoms (Å)")
left.set_title("2 Å above, −0.8 V; circles: atoms")
right.set_title("constant current")
plt.show()
print(f"corrugation at constant current: {1000 * float(height.max() - height.min()):.0f} mÅ")

# %% [markdown]
# A close-packed metal is flat to the microscope: some hundredths of an ångström, at this height. It is dark over the
# hollows between three atoms, and darker over one of the two kinds, which the second layer tells apart.
#
# ## How fast the current falls
#
# A state at E_F decays into the vacuum as exp(−κz), κ² = 2mΦ/ħ², and the current as its square. So the work function Φ
# can be read off the LDOS; and it can be computed from the potential, V(vacuum) − E_F. Both are here:

# %%
heights = np.arange(1.5, 4.01, 0.25)
mean_current = np.array([float(slab.maladist.stm(-0.8, height=h, mu=mu).mean()) for h in heights])
slope = -np.polyfit(heights[heights >= 2.5], np.log(mean_current[heights >= 2.5]), 1)[0]
HBAR2_2M = 3.80998  # ħ²/2m of an electron, eV Å²

found = maladist.potential(store, pseudopotentials=examples.pseudopotentials())
planar = found.potential.maladist.planar_average("c")
work_function = found.maladist.work_function("c", "top", mu=mu)
z = np.arange(planar.size) / planar.size * atoms.cell[2, 2]

figure, (left, right) = plt.subplots(1, 2, figsize=(13, 3.8), layout="constrained")
left.semilogy(heights, mean_current, "o-")
left.set(xlabel="height above the outermost atoms (Å)", ylabel="mean I (1/Å³)", title="the current at −0.8 V")
right.plot(z, planar, label="V_H + V_loc, mean over the plane")
right.axhline(mu, c="#d94801", ls="--", label="E_F")
for layer in atoms.positions[:, 2]:
    right.axvline(layer, c="grey", lw=0.5)
right.set(xlabel="z (Å); thin lines: layers of atoms", ylabel="eV", title=f"Φ = {work_function:.2f} eV")
right.legend()
plt.show()
print(f"Φ of the potential: {work_function:.2f} eV; of the current's fall: {HBAR2_2M * (slope / 2) ** 2:.2f} eV")

# %% [markdown]
# The fall tells Φ less well: states below E_F fall faster, and so do those with a momentum along the surface.
#
# ## Where the electrons went
#
# n(r) less that of free atoms at the same places: what binding, and the surface, do to the electrons.

# %%
moved = maladist.difference(store, pseudopotentials=examples.pseudopotentials())
print(f"moved: {moved.attrs['moved_electrons']:.2f} of {slab.attrs['n_electrons']:.0f} electrons")
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=(1, 2), layout="constrained")
moved.density_difference.maladist.plot.slice("b", 0.0, atoms=atoms, ax=left, signed=True)
left.set_title("n less that of free atoms")
right.plot(moved.density_difference.maladist.planar_average("c"), z)
for layer in atoms.positions[:, 2]:
    right.axhline(layer, c="grey", lw=0.5)
right.set(xlabel="mean over the plane (1/Å³)", ylabel="z (Å); thin lines: layers of atoms")
plt.show()

# %%
shutil.rmtree(scratch)
