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
# # 3 · Train a network and read its errors
#
# From DFT snapshots to a model, and from the model's errors to what to do next. The data set that comes with
# maladist is tiny and coarse: three snapshots of two Be atoms at 1000 K to learn from, displaced at random by 0.1 Å
# and strained by up to 2 %, one to validate with, and one of four atoms to test with. It trains in seconds and it is
# far from enough. That is the point: the errors show it.

# %%
import os
import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import maladist
from maladist import examples
from maladist.io.yaml import yaml_text
from maladist.parallel.progress import Silent

SMALL = os.environ.get("MALADIST_NOTEBOOK_SIZE") == "small"  # seconds for each page: the tests' size
scratch = Path(tempfile.mkdtemp(prefix="maladist-notebook-", dir=os.environ.get("MALADIST_SCRATCH")))
data = examples.small_data_set(scratch)
snapshots = sorted(p.name for p in (data / "snapshots").iterdir() if p.is_dir())
print(snapshots)

# %% [markdown]
# ## What is in a snapshot
#
# The atoms, the LDOS on grid and energies, DFT's density and density of states, and in the group `reference` every
# energy that the DFT printed. Whoever makes data of their own (`maladist dft`, `maladist convert`) should look at them
# before they train: `maladist check DATA` holds the LDOS against the energies.

# %%
for checked in maladist.check(data, pseudopotentials=examples.pseudopotentials())[:2]:
    figures = checked.figures["on"]
    print(f"{checked.name}: A of the LDOS minus DFT's {figures.terms['total_free_energy']:+.2f} meV/atom")
xr.open_zarr(data / "snapshots" / "train-0", consolidated=False)

# %% [markdown]
# So the data themselves are good to some tenths of a meV. No network can be better than that.
#
# ## What the training is told
#
# A YAML file, the same that the command `maladist train` reads. Every key but `data` has a default. The loss has two
# parts here: the LDOS itself, and its integrals up to the Fermi level averaged over a snapshot, which is what the
# energies feel.

# %%
settings = {
    "data": {
        "train": [str(data / "snapshots" / "train-*")],
        "validation": [str(data / "snapshots" / "valid-0")],
        "pseudopotentials": str(examples.pseudopotentials()),
    },
    "descriptor": {"family": "bispectrum", "twojmax": 4 if SMALL else 8, "cutoff": 4.67637},
    "network": {"hidden": [64, 64] if SMALL else [128, 128]},
    "loss": {"ldos": 1.0, "mean_density": 0.004, "mean_band": 0.004},
    "optimiser": {"name": "AdamW", "lr": 3e-3},
    "batch": {"snapshots": 3, "points": 256},
    "epochs": 10 if SMALL else 150,
    "validate_every": 5,
}
print(yaml_text(settings))
config = maladist.TrainConfig.of(settings)

# %% [markdown]
# A key that is misspelt is an error before anything is computed, with the key's name:

# %%
try:
    maladist.TrainConfig.of({**settings, "optimizer": {"lr": 1e-3}})
except maladist.errors.InputError as error:
    print(error)

# %% [markdown]
# ## The training
#
# Dask's workers compute the descriptors of the training's points once; the network is trained here. Whoever listens is
# told of every epoch. A training that dies goes on with `resume=True` and ends in the same weights.

# %%
reports = []


class Listener(Silent):
    def advance(self, report):
        reports.append(report)

    def note(self, text):
        print(text)


with maladist.cluster("local", workers=1) as client:
    model = maladist.train(config, scratch / "training", client=client, observer=Listener())
print(model)
print(f"{len(reports)} epochs, {sum(r.seconds for r in reports):.1f} s of steps; loss {reports[-1].loss:.2e}")

# %% [markdown]
# ## The curves
#
# Left the loss on the points that are learnt from, and on the snapshot that is not. Right what one wants the network
# for: errors of energies and density on the latter.

# %%
validated = [r for r in reports if r.validation is not None]
epochs = [r.epoch for r in validated]
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4), layout="constrained")
left.semilogy([r.epoch for r in reports], [r.loss for r in reports], label="training")
left.semilogy(epochs, [r.validation.loss for r in validated], "o-", ms=3, label="validation")
left.set(xlabel="epoch", ylabel="loss")
left.legend()
rows = [r.validation.to_dict() for r in validated]
for name in rows[-1]:
    values = np.array([np.nan if row[name] is None else abs(row[name]) for row in rows], float)
    if name != "validation_loss" and np.isfinite(values).any():
        right.semilogy(epochs, values, label=name.removeprefix("validation_").replace("_", " "))
right.set(xlabel="epoch", ylabel="absolute value", title="errors on the validation snapshot")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Every snapshot, held against DFT
#
# Predict each with the model, and compare with the group `reference`. The three kinds answer three questions. Is the
# network large enough and trained for long enough: *train*. Does it know configurations of the same kind: *valid*. Does
# it know another cell: *test*.

# %%
found = {}
for name in snapshots:
    group = data / "snapshots" / name
    dataset = xr.open_zarr(group, consolidated=False)
    dft = xr.open_zarr(group, group="reference", consolidated=False)
    atoms = maladist.metadata.atoms_of(dataset)
    result = maladist.predict(atoms, model, grid=dataset["density"].shape)
    terms = {n: 1000 * (v - float(dft[n])) / len(atoms) for n, v in result.energies if v is not None and n in dft}
    off = np.abs(result.density.values - dataset["density"].values).mean() / float(dataset["density"].mean())
    found[name] = terms
    print(f"{name:<14} mean |Δn| / n {off:7.2%}   " + "  ".join(f"{n[:-3]} {v:+.1f}" for n, v in terms.items()))
print("energies: model minus DFT, meV/atom")

# %%
names = list(next(iter(found.values())))
figure, ax = plt.subplots(figsize=(11, 3.8), layout="constrained")
hatches = {"train": "", "valid": "//", "test": "xx"}
for i, (snapshot, terms) in enumerate(found.items()):
    at = np.arange(len(names)) + 0.15 * (i - len(found) / 2)
    ax.bar(at, [terms[n] for n in names], 0.13, label=snapshot, hatch=hatches[snapshot.split("-")[0]])
ax.axhline(0, c="black", lw=0.8)
ax.set_yscale("symlog", linthresh=1)
ax.set_xticks(range(len(names)), [n.removesuffix("_eV").replace("_", " ") for n in names], fontsize=8)
ax.set(ylabel="model minus DFT (meV/atom)")
ax.legend(fontsize=8, ncols=5)
plt.show()

# %% [markdown]
# How to read this picture:
#
# - **Ewald is zero** everywhere: it depends on the atoms alone. If it is not, the model has a wrong valence.
# - **Large already for *train*:** a larger network, more epochs, more descriptors (`twojmax`).
# - **Small for *train*, large for *valid*:** too few configurations. Three are; a useful model has seen a hundred.
# - **Small for *valid*, large for *test*:** the test is of a kind that training lacks: other cell, strain, temperature.
# - **Hartree and XC follow the density, band energy follows D(ε)** near μ. When the density is good and the band energy
#   is not, weigh `mean_band` more.
#
# From here: more snapshots (`maladist sample`, `maladist dft`), then the same file again. `maladist evaluate` holds a
# model against whole data sets so.

# %%
shutil.rmtree(scratch)
