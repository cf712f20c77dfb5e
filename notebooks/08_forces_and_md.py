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
# # 8 · Forces, and atoms that move
#
# Forces are derivatives of the total free energy A, through the whole chain: energies, n(r), network, descriptors. So
# they are exact for the model, whatever it has learnt, and what moves by them conserves energy. Whether they are those
# of the DFT is another question. Both are looked at here, then atoms move: to rest, and at 300 K.

# %%
import os
import shutil
import tempfile
from pathlib import Path

import ase.io
import matplotlib.pyplot as plt
import numpy as np
from ase.optimize import FIRE

import maladist
from maladist import examples
from maladist.calculator import Maladist

SMALL = os.environ.get("MALADIST_NOTEBOOK_SIZE") == "small"  # seconds for each page: the tests' size
scratch = Path(tempfile.mkdtemp(prefix="maladist-notebook-", dir=os.environ.get("MALADIST_SCRATCH")))
model = maladist.load_model("be-1000K-2")
model

# %% [markdown]
# ## Beside DFT
#
# Eight atoms, some 0.1 Å off their sites, that the model has never seen:

# %%
atoms = examples.held_out("be-1000K-2")
result = maladist.predict(atoms, model, forces=True)
ours, dft = result.forces, atoms.arrays["dft_forces"]
error = np.sqrt(np.mean((ours - dft) ** 2))
print(f"RMSE {1000 * error:.0f} meV/Å, {error / np.sqrt(np.mean(dft**2)):.1%} of the DFT's RMS")
print(f"σ of a component, by the model itself: {1000 * result.sigmas['forces_sigma_eV_per_A']:.0f} meV/Å")
print(f"their sum: {np.abs(ours.sum(0)).max():.1e} eV/Å")

figure, ax = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
ax.plot(dft.ravel(), ours.ravel(), "o", ms=5)
ax.axline((0, 0), slope=1, c="grey", lw=0.8)
ax.set(aspect="equal", xlabel="force by DFT (eV/Å)", ylabel="force by the model (eV/Å)")
plt.show()

# %% [markdown]
# σ is what to expect of many such cells, and half of what this one shows. The sum of the forces would be zero in a grid
# without end; what is left is A's own, which a shift of the crystal against the grid moves a little.
#
# ## Derivatives of A, and of nothing else
#
# Move one atom by ±h, predict A anew, and divide. The grid must stay, since A on another grid is a little another
# function. In float64 only h² is left between the two, and rounding where h is small:

# %%
exact = maladist.predict(atoms, model, forces=True, precision="float64", grid=result.grid.shape).forces[0, 0]
steps = (0.1, 0.05) if SMALL else (0.1, 0.05, 0.025)
for h in steps:
    sides = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[0, 0] += sign * h
        there = maladist.predict(moved, model, precision="float64", grid=result.grid.shape)
        sides.append(there.energies.total)
    difference = -(sides[0] - sides[1]) / (2 * h)
    print(f"h = {h:6.4f} Å: −ΔA/2h = {difference:+.6f} eV/Å, {difference - exact:+.1e} from the force")

# %% [markdown]
# ## To rest
#
# `Maladist` is a calculator of ASE, and whatever ASE does with one works: here an optimiser. From the command line it
# is `maladist relax`.

# %%
resting = atoms.copy()
with Maladist(model, grid=result.grid.shape) as calculator:
    resting.calc = calculator
    relaxation = FIRE(resting, logfile=None)
    found = []
    for _ in relaxation.irun(fmax=0.05, steps=5 if SMALL else 25):
        found.append((resting.get_potential_energy(), np.linalg.norm(resting.get_forces(), axis=1).max()))
energy, largest = np.array(found).T

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
left.plot((energy - energy[-1]) / len(resting) * 1000, "o-", ms=3)
left.set(xlabel="step", ylabel="A above the last (meV/atom)")
right.semilogy(largest, "o-", ms=3, c="#d94801")
right.set(xlabel="step", ylabel="largest force (eV/Å)")
plt.show()

# %% [markdown]
# ## Molecular dynamics
#
# `maladist.md` keeps every frame in a folder, and goes on from the last one where it is called again. The ions get
# velocities of 300 K; the electrons stay at the model's 1000 K. NVE: what the ions gain A must lose.

# %%
settings = maladist.MDSettings(steps=6 if SMALL else 32, timestep=1.0, ion_temperature=300.0)
summary = maladist.md(examples.beryllium(2, 2, 1), model, scratch / "md", settings)
print(summary)

frames = ase.io.read(scratch / "md" / "trajectory.traj", ":")
time = np.array([f.info["time_fs"] for f in frames])
potential = np.array([f.get_potential_energy() for f in frames]) / len(frames[0])
kinetic = np.array([f.get_kinetic_energy() for f in frames]) / len(frames[0])

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
left.plot(time, 1000 * (potential - potential[0]), label="A")
left.plot(time, 1000 * kinetic, label="kinetic")
left.plot(time, 1000 * (potential + kinetic - potential[0]), "k", lw=1, label="sum")
left.set(xlabel="time (fs)", ylabel="meV/atom", title="energies, A from its first value")
left.legend()
right.plot(time, 1000 * (potential + kinetic - potential[0] - kinetic[0]), "k", lw=1)
right.set(xlabel="time (fs)", ylabel="meV/atom", title="the sum's deviation")
plt.show()

# %% [markdown]
# The sum stays within some hundredths of a meV an atom of its first value, which is what a step of 1 fs leaves: forces
# are derivatives of the same A that is summed. It says nothing of whether the model's A is the DFT's. That is for the
# novelty of every frame, which the run has kept: 1 is where the training ends.

# %%
novelty = [f.info["largest_novelty"] for f in frames]
print(f"largest novelty of any point in {len(frames)} frames: {max(novelty):.2f}")
shutil.rmtree(scratch)

# %% [markdown]
# A run at higher temperatures leaves the training sooner or later; `stop_novelty=1.5` ends it there. Thermostats and
# pressure: `MDSettings(ensemble="nvt")`, `"npt"`.
