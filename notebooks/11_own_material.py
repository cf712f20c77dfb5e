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
# # 11 · A model of your own material
#
# The whole road, as short as it can be: configurations → DFT → checks → training → errors → a prediction. Each step is
# one call, and a command of the same name (`maladist sample`, `dft`, `check`, `train`, `evaluate`, `predict`). With the
# DFT it takes a minute or two.
#
# The DFT wants Quantum ESPRESSO's `pw.x` and `pp.x`. Where they are not, the page goes on with what they gave: the data
# set that comes with maladist was made by the very calls below. To take another material, change the crystal and the
# folder of pseudopotentials (norm-conserving UPF files); what a *good* model wants is at the end.

# %%
import os
import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import maladist
from maladist import examples
from maladist.datasets.dft.espresso import Espresso
from maladist.sampling.crystal import displaced

SMALL = os.environ.get("MALADIST_NOTEBOOK_SIZE") == "small"  # seconds for each page: the tests' size
scratch = Path(tempfile.mkdtemp(prefix="maladist-notebook-", dir=os.environ.get("MALADIST_SCRATCH")))
crystal, pseudopotentials = examples.beryllium(), examples.pseudopotentials()

# %% [markdown]
# ## Configurations
#
# Atoms displaced at random, cells strained a little: of the kind that is to be predicted. For a liquid or a hot solid
# take frames of a trajectory.

# %%
drawn = displaced(crystal, 4, displacement=0.1, strain=0.02, seed=1)
cells = dict(zip(("train-0", "train-1", "train-2", "valid-0"), drawn, strict=True))
for name, atoms in cells.items():
    print(f"{name}: {len(atoms)} atoms, {atoms.get_volume() / len(atoms):.2f} Å³ an atom")

# %% [markdown]
# ## DFT
#
# Coarse, so that it takes seconds. What is left out is proposed (`energies: auto`, k-points of other sizes); what fails
# is named, and the same call does what is missing.

# %%
setup = Espresso(
    temperature=1000.0,  # of the electrons, K
    pseudopotentials=str(pseudopotentials),
    ecutwfc=15.0,  # Ry
    kpoints={2: [10, 10, 6]},  # of a cell of two atoms
    energies={"origin": -6.0, "spacing": 0.3, "levels": 66},  # of the LDOS, eV
    broadening=0.4,  # eV
    bands=8,
)
if shutil.which("pw.x") and shutil.which("pp.x") and not SMALL:
    data = scratch / "own.zarr"
    with maladist.cluster("local", workers=1) as client:
        for outcome in maladist.dft(list(cells.values()), setup, data, names=list(cells), client=client):
            print(f"{outcome.name}: {outcome.reason or 'done'} ({outcome.seconds:.1f} s)")
else:
    data = examples.small_data_set(scratch)
    print("Without pw.x: the data set that comes with maladist.")

# %% [markdown]
# ## Are the data good?
#
# The energies of the LDOS itself, no network, against what pw.x printed. A network cannot be better than that.

# %%
with maladist.cluster("local", workers=1) as client:
    checked = maladist.check(data, pseudopotentials=pseudopotentials, client=client)
for one in checked:
    off = one.figures["on"].terms["total_free_energy"]
    print(f"{one.name}: {'good' if one.good else one.failures}, A off by {off:+.2f} meV/atom")

# %% [markdown]
# ## Training, and its errors on what it has not seen

# %%
settings = {
    "data": {
        "train": [str(data / "snapshots" / "train-*")],
        "validation": [str(data / "snapshots" / "valid-0")],
        "pseudopotentials": str(pseudopotentials),
    },
    "descriptor": {"family": "power_spectrum", "radial": [6, 4, 3], "cutoff": 4.7},
    "network": {"hidden": [32] if SMALL else [100, 100]},
    "loss": {"ldos": 1.0, "mean_density": 0.004, "mean_band": 0.004},
    "optimiser": {"name": "AdamW", "lr": 3e-3},
    "batch": {"snapshots": 3, "points": 256},
    "epochs": 10 if SMALL else 100,
}
with maladist.cluster("local", workers=1) as client:
    model = maladist.train(maladist.TrainConfig.of(settings), scratch / "training", client=client)
    found = maladist.evaluate(model, str(data / "snapshots" / "*"), client=client)
file = maladist.save_model(model, scratch / "own.maladist")
print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")
for one in found:
    print(f"{one.name:<13} A {one.terms['total_free_energy']:+7.1f} meV/atom, |Δn|/n {one.density_relative:.1%}")

# %% [markdown]
# ## A prediction
#
# Sixteen atoms at rest, by the model's file, beside the shipped model.

# %%
result = maladist.predict(crystal * (2, 2, 2), file)
result

# %%
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.plot(result.dos["energy"], result.dos / 16, label="own, from three cells of two atoms")
shipped = maladist.predict(crystal * (2, 2, 2), "be-1000K-2")
ax.plot(shipped.dos["energy"], shipped.dos / 16, "--", label="be-1000K-2, from 195 cells and a finer DFT")
for one, colour in ((result, "C0"), (shipped, "C1")):
    ax.axvline(one.fermi_energy, c=colour, lw=0.8)
ax.set(xlabel="ε (eV); thin lines: μ", ylabel="D(ε) (1/eV/atom)", xlim=(-6, 12))
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# The bands and the gap-like dip are there; μ, which sits in the dip, is half an electronvolt off. That is what three
# cells can teach.
#
# ## What a good model wants
#
# - Converged cutoffs and k-points, and cells of at least two sizes whose k-meshes nest: with too few k-points each size
#   has an LDOS of its own, and there is nothing to learn. `check` says so.
# - A hundred cells and not three: at the temperatures, densities and defects that it is to be asked for.
# - δ below 5 k_BT, and below a third of a gap.
#
# The guide "A model of your own material" takes silicon carbide along the same road, with the figures of each step.

# %%
shutil.rmtree(scratch)
