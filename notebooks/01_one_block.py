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
# # 1 · One block by hand
#
# `maladist.predict` turns a few thousand atoms into an electron density and a free energy in a minute. Here we do by
# hand what it does for one small brick of the cell, with its own functions and no Dask, and look at every number on
# the way:
#
# **points → the atoms that they see → descriptors → LDOS → D(ε), n(r)**

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch

import maladist
from maladist import Grid, examples
from maladist.descriptors import evaluate
from maladist.neighbors import CellList
from maladist.physics import fermi, ldos

SMALL = os.environ.get("MALADIST_NOTEBOOK_SIZE") == "small"  # seconds for each page: the tests' size
torch.set_num_threads(1)
model = maladist.load_model("be-1000K")  # it comes with maladist
model

# %% [markdown]
# ## The grid and a block of it
#
# The cell is crystalline beryllium. A real-space grid fills it, with the spacing of the data that the network was
# trained on. The grid is cut into blocks. A block is nothing but six integers, and no
# block ever needs a number from another one; that is why this method spreads over workers so easily.

# %%
atoms = examples.beryllium(2, 2, 2) if SMALL else examples.beryllium(3, 3, 2)
# A DFT code's zero of energy moves with the volume; the model has taken that out and puts it back for this cell.
model = model.placed(atoms.get_chemical_symbols(), atoms.get_volume())
grid = Grid.from_spacing(atoms.cell, model.spacing)
blocks = grid.blocks([-(-n // 2) for n in grid.shape])
block = blocks[0]
points = grid.points(block)
print(f"{len(atoms)} atoms, grid {grid.shape}, spacing {np.round(grid.spacing, 3)} Å, {len(blocks)} blocks")
print(f"block {block.index}: points {block.start} to {block.stop}, {block.n_points} of {grid.n_points}")

# %% [markdown]
# ## What the block can see
#
# A point looks as far as the descriptor's cutoff and no farther. `CellList` sorts the atoms into bins once; what a
# block can see, periodic images written out, is then found without looking at the rest of the cell. These few
# kilobytes are all that travels to the worker that computes the block.

# %%
cutoff = model.descriptor.cutoff
cell_list = CellList(grid.cell_array, atoms.positions, atoms.numbers.astype(np.int16), cutoff)
near = cell_list.near_block(grid, block)
print(f"the block sees {len(near)} atoms and images within {cutoff:.2f} Å; {26 * len(near) / 1000:.1f} kB to send")

figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
ax.scatter(*near.positions[:, :2].T, s=60, c="#bdbdbd", label="seen by the block")
ax.scatter(*atoms.positions[:, :2].T, s=60, c="#08306b", label="the cell's own")
ax.scatter(*points[:, :2].T, s=1, c="#d94801", alpha=0.1)
ax.scatter([], [], s=12, c="#d94801", label="points of the block")
corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) @ grid.cell_array[:2, :2]
ax.plot(*corners.T, c="black", lw=1)
ax.set(aspect="equal", xlabel="x (Å)", ylabel="y (Å)", title="one block, seen along c")
ax.legend(loc="upper left", fontsize=8)
plt.show()

# %% [markdown]
# ## Descriptors: the surroundings of a point, as numbers
#
# The bispectrum lays the neighbours of a point on a 3-sphere and expands them in its harmonics; products of three
# coefficients that do not change when the surroundings are turned are the descriptors. What does not change under
# rotation is also what physics does not change: the network need not learn it.

# %%
descriptors = evaluate(points, near, model.descriptor, dtype=torch.float64)
print(f"{descriptors.shape[0]} points × {descriptors.shape[1]} descriptors")

# Turn the whole scene about an odd axis: the descriptors stay.
turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
turn *= np.sign(np.linalg.det(turn))
turned = type(near)(near.positions @ turn.T, near.numbers, near.indices)
again = evaluate(points @ turn.T, turned, model.descriptor, dtype=torch.float64)
change = float((again - descriptors).abs().max() / descriptors.abs().max())
print(f"largest change after turning everything: {change:.1e} of the largest descriptor")

# %% [markdown]
# Along a line from one atom to its neighbour the descriptors are smooth, and tell how far the next atom is. Each is
# drawn from 0 to 1 of its own range; the dashed lines are the two atoms.

# %%
start, stop = atoms.positions[0], atoms.positions[1]
line = start + np.linspace(-0.5, 1.5, 201)[:, None] * (stop - start)
fractional = line @ np.linalg.inv(grid.cell_array)
on_line = evaluate(line, cell_list.around(fractional.min(0), fractional.max(0)), model.descriptor).numpy()
distance = np.linspace(-0.5, 1.5, 201) * np.linalg.norm(stop - start)

figure, (ax, ax_ldos) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
for i, style in zip((0, 5, 20, 60), ("-", "--", "-.", ":"), strict=True):
    ax.plot(distance, (on_line[:, i] - on_line[:, i].min()) / np.ptp(on_line[:, i]), style, label=f"descriptor {i}")
for ax_i in (ax, ax_ldos):
    for at in (0, np.linalg.norm(stop - start)):
        ax_i.axvline(at, c="grey", lw=0.8, ls="--")
ax.set(xlabel="along the line (Å)", ylabel="of its range", title="descriptors between two atoms")
ax.legend(fontsize=8)

of_line = model.ldos(torch.as_tensor(on_line)).numpy()
mesh = ax_ldos.pcolormesh(distance, model.energy_grid.values, of_line.T, shading="nearest", rasterized=True)
ax_ldos.set(xlabel="along the line (Å)", ylabel="ε (eV)", title="LDOS that the network makes of them")
figure.colorbar(mesh, ax=ax_ldos, label="1/(eV Å³)")
plt.show()

# %% [markdown]
# ## The LDOS
#
# The network takes the 91 numbers of a point to the local density of states there: how many electron states an
# ångström cubed and an electronvolt hold, at each energy. On the right above is the LDOS along the same line. The
# pseudopotential's electrons avoid the cores and crowd between the atoms.
#
# The network sees one point at a time, and all points go through it as one matrix.

# %%
values = model.ldos(descriptors.float())
print(
    f"LDOS of the block: {tuple(values.shape)}, {values.numel() * 4 / 1e6:.1f} MB; a large cell's would be terabytes,"
)
print("so a block keeps its share of D(ε), a few projections, and forgets the rest.")

# %% [markdown]
# ## From the LDOS to an observable
#
# Summed over space the LDOS is the density of states, and sums over blocks are all that the blocks have to do with
# one another:
#
# $$ D(\varepsilon) = \sum_{\text{blocks}} \sum_{r} d(\varepsilon, r)\, \Delta V $$

# %%
shares = []
for b in blocks:
    seen = cell_list.near_block(grid, b)
    of_block = model.ldos(evaluate(grid.points(b), seen, model.descriptor))
    shares.append(ldos.dos(of_block, grid.voxel_volume))
dos = torch.stack(shares).sum(0)

n_electrons = sum(model.elements[s].valence for s in atoms.symbols)
mu = fermi.fermi_level(dos, model.energy_grid, n_electrons, model.temperature, correction=True)
print(f"μ = {mu:.4f} eV, where D(ε) holds {n_electrons:g} electrons at {model.temperature:g} K")

# %% [markdown]
# With μ, every energy gets a weight: how much of it is occupied. The density is the LDOS summed with these weights,
# point by point, and so again a matter of each block alone.

# %%
weights = fermi.fermi_weights(model.energy_grid, mu, model.temperature, correction=True)
density = ldos.density(values, weights.number).reshape(block.shape).numpy()
energies = model.energy_grid.values

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
for share in shares:
    left.plot(energies, share, lw=0.8)
left.plot(energies, dos, c="black", lw=1.5, label="D(ε), the sum")
left.axvline(mu, c="#d94801", ls="--", label=f"μ = {mu:.2f} eV")
left.set(xlabel="ε (eV)", ylabel="1/eV", title="shares of the blocks in D(ε)")
left.legend()
picture = right.imshow(density[:, :, density.shape[2] // 2].T, origin="lower", cmap="viridis")
right.set(xlabel="point along a", ylabel="point along b", title="n(r) in the middle plane of the block")
figure.colorbar(picture, ax=right, label="1/Å³")
plt.show()
print(f"electrons in this block: {density.sum() * grid.voxel_volume:.3f} of {float(weights.number @ dos):.3f}")

# %% [markdown]
# That is all of `maladist.predict` but the total energy, which needs n(r) of the whole cell once, and the bookkeeping.
# It gives the same numbers; the next notebook lets Dask do it.
#
# This model has one more output, its density channel: n(r) as the DFT had it, where the LDOS carries the broadening of
# its energies. `predict` takes that one, scaled to the number of electrons; here it stands beside ours.

# %%
with maladist.cluster("local", workers=1) as client:
    result = maladist.predict(atoms, model, client=client)
difference = result.fermi_energy - mu
print(f"predict: μ = {result.fermi_energy:.4f} eV, {1000 * difference:+.4f} meV from ours")
channel = model.fields(descriptors.float())[1].numpy().reshape(block.shape)
scaled = result.density.values[block.slices]
share = scaled.sum() / channel.sum()
off = np.abs(scaled - share * channel).max() / scaled.max()
print(
    f"n(r) is the channel times {share:.5f}; that of the LDOS is up to {np.abs(scaled - density).max():.4f} 1/Å³ away"
)
assert abs(difference) < 1e-4 and off < 1e-4  # one is summed in other batches, both in float32
