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
# # 2 · A cell from end to end
#
# Atoms and a model in; n(r), D(ε) and the total free energy A out, on all cores of this machine, with Dask's dashboard
# to watch it.

# %%
import os
import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import maladist
from maladist import examples
from maladist.report.figures import density_axes, dos_axes

SMALL = os.environ.get("MALADIST_NOTEBOOK_SIZE") == "small"  # seconds for each page: the tests' size
scratch = Path(tempfile.mkdtemp(prefix="maladist-notebook-"))
model = maladist.load_model("be-1000K")
atoms = examples.beryllium(2, 2, 2) if SMALL else examples.beryllium(4, 4, 4)
print(f"{len(atoms)} atoms of beryllium")
model

# %% [markdown]
# ## The cluster and its dashboard
#
# `maladist.cluster("local")` is a Dask cluster of this machine; the name of a YAML file in its place is SLURM, PBS,
# Kubernetes, … and nothing else on this page would change. It gives an ordinary `dask.distributed.Client`.
#
# Open the dashboard in a tab beside this page, or put its panes into JupyterLab with the extension `dask-labextension`:
# *Task stream* shows every block as a bar on the worker that computes it, *Workers* their memory.

# The block `with ... as client` ends with the cluster's workers gone, whatever happens inside of it.
#
# ## What will happen, and the run
#
# `plan` says what a run would do and need, and computes one block to tell how long it would take. It writes nothing.
# `predict` runs it. The result lands in a zarr store block by block. What comes back reads from it only when asked: the
# density of a large cell never has to fit this process, and the cluster may be gone by then.

# %%
with maladist.cluster("local", workers=2) as client:
    print("dashboard:", client.dashboard_link)
    for what, much in maladist.plan(atoms, model, client=client).rows():
        print(f"{what:<30} {much}")
    result = maladist.predict(atoms, model, client=client, store=scratch / "be.zarr")
print(result)

# %% [markdown]
# Each term as the total free energy counts it:
#
# $$ A = E_b - TS - E_H + E_{xc} - \int v_{xc}\, n + E_{ii} $$
#
# `result.energies.per_atom()` is the same an atom, `None` where a term could not be known; `result.to_json()` is what
# the command `maladist predict --json` writes.

# %%
figure, axes = plt.subplots(1, 3, figsize=(15, 4.2), width_ratios=(1.2, 1.25, 1.1), layout="constrained")
dos_axes(axes[0], result)
density_axes(axes[1:], result)
plt.show()

# %% [markdown]
# Left: the density of states with its occupied part and the Fermi level. Middle and right: n(r) in two lattice planes
# in their true geometry; circles are atoms near the plane. The charge sits between the atoms of the close-packed
# layers: these are valence electrons, the cores are in the pseudopotential.
#
# ## It is xarray
#
# Whatever the labels name can be sliced; only the chunks that a slice touches are read.

# %%
density = result.density
density

# %%
profile = density.mean(["x", "y"])
height = np.arange(profile.sizes["z"]) / profile.sizes["z"] * result.grid.cell_array[2, 2]

figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
ax.plot(height, profile)
for z in np.unique(np.round(atoms.positions[:, 2], 6)):
    ax.axvline(z, c="grey", lw=0.8, ls="--")
ax.set(
    xlabel="z (Å)", ylabel="mean n (1/Å³)", title="density along c, averaged over the planes; dashed: layers of atoms"
)
plt.show()

# %% [markdown]
# The Fermi level is where D(ε) holds the right number of electrons; that the density, which came block by block from
# another sum, holds as many, checks the bookkeeping of the whole run:

# %%
electrons = float(density.sum()) * result.grid.voxel_volume
print(f"∫ n = {electrons:.6f} for {len(atoms)} atoms with 2 valence electrons each")
assert abs(electrons - 2 * len(atoms)) < 1e-3 * len(atoms)

# %% [markdown]
# ## Several temperatures from one pass
#
# The electrons' temperature enters only through the weights, not through the network: many temperatures cost about as
# much as one. The network was trained at one of them, though, and does not know how the LDOS itself would change.

# %%
temperatures = [300, 1000, 3000]
with maladist.cluster("local", workers=2) as client:
    several = maladist.predict(atoms, model, temperature=temperatures, client=client, store=scratch / "three.zarr")
for t in temperatures:
    one = several.at(t)
    each = one.energies.per_atom()
    print(f"{t:>5} K: μ = {one.fermi_energy:.4f} eV, -TS = {each.entropy:+.5f}, A = {each.total:.5f} eV/atom")

# %% [markdown]
# ## The LDOS itself, lazily
#
# `predict` never holds the LDOS whole. To look at it, ask `maladist.ldos` for a lazy array: only the blocks that the
# slice touches are computed, now.

# %%
ldos = maladist.ldos(atoms, model)
print(f"the whole LDOS would be {ldos.nbytes / 1e9:.2f} GB in {ldos.data.npartitions} blocks")
energy = float(result.dos.idxmax())  # the highest peak of D(ε)
states = ldos.sel(energy=energy)

figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
states.maladist.plot.slice("c", atoms=atoms, ax=ax)
plt.show()

# %%
shutil.rmtree(scratch)
