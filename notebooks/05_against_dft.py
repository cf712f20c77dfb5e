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
# # 5 · Against DFT
#
# Two questions that are easily confused. **Is the physics right?** Take the LDOS of a DFT calculation itself, no
# network, and compute the energies from it: they must be those that the DFT code printed. **Is the network right?**
# Then put the network's LDOS in its place.
#
# Maladist comes with calculations to hold both against: two Be atoms at 1000 K with Quantum ESPRESSO, PBE, a
# norm-conserving pseudopotential with a core correction; coarse, so that they are small. The LDOS is on 66 levels
# 0.3 eV apart, with a Gaussian of δ = 0.4 eV in place of each state.

# %%
import os
import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import xarray as xr

import maladist
from maladist import examples, metadata

SMALL = os.environ.get("MALADIST_NOTEBOOK_SIZE") == "small"  # seconds for each page: the tests' size
scratch = Path(tempfile.mkdtemp(prefix="maladist-notebook-", dir=os.environ.get("MALADIST_SCRATCH")))
snapshots = examples.small_data_set(scratch) / "snapshots"
dataset = xr.open_zarr(snapshots / "valid-0", consolidated=False)
dft = xr.open_zarr(snapshots / "valid-0", group="reference", consolidated=False)
atoms = metadata.atoms_of(dataset)
dataset

# %% [markdown]
# What Quantum ESPRESSO printed is in the group `reference`. A table of both:


# %%
def compare(result):
    """Print each term beside DFT's; return the differences in meV/atom."""
    ours = {"fermi_energy_eV": result.fermi_energy, **dict(result.energies)}
    found = {}
    print(f"{'':<24}{'here':>12}{'DFT':>12}{'difference':>12}")
    for name in filter(dft.__contains__, ours):
        each = 1 if name == "fermi_energy_eV" else len(atoms)
        known = float(dft[name])
        found[name] = 1000 * (ours[name] - known) / each
        label = name.removesuffix("_eV").replace("_", " ")
        print(f"{label:<24}{ours[name] / each:>12.5f}{known / each:>12.5f}{found[name]:>+12.3f}")
    print(f"{'':<24}{'eV/atom':>12}{'eV/atom':>12}{'meV/atom':>12}")
    return found


# %% [markdown]
# ## The physics: DFT's own LDOS
#
# `observe` takes any LDOS that says what it is: energies, temperature, broadening. A Gaussian that is wider than the
# levels are apart is corrected for; without that correction the band energy would be off by far more.

# %%
files = examples.pseudopotentials()
with maladist.cluster("local", workers=1) as client:
    given = {"pseudopotentials": files, "client": client}
    exact = maladist.observe(snapshots / "valid-0", **given)
    rough = maladist.observe(snapshots / "valid-0", broadening_correction="off", **given)
    alone = maladist.observe(snapshots / "valid-0", double_counting="ldos", **given)
off = compare(exact)
assert abs(off["total_free_energy_eV"]) < 0.5  # meV/atom; the window and the broadening leave so much
without = 1000 * (rough.energies.band - float(dft["band_energy_eV"])) / len(atoms)
print(f"band energy without the correction: {without:+.1f} meV/atom")

# %% [markdown]
# Band energy and entropy agree to a fraction of a meV, although they come from a broadened LDOS. Hartree, XC and Ewald
# terms are computed by nothing but this package, of the density that the data keep beside the LDOS.
#
# ## The density
#
# `alone` was computed without that density: its n(r) is the LDOS summed up to μ, broadening and all.

# %%
density = dataset["density"]
off_density = float(abs(alone.density.values - density).mean() / density.mean())
print(f"mean |Δn| / mean n from DFT's LDOS: {off_density:.1e}")
print(f"A with it: {1000 * (alone.energies.total - exact.energies.total) / len(atoms):+.2f} meV/atom")

# %% [markdown]
# ## The network
#
# Now the whole chain: atoms → descriptors → network → LDOS → the same code. The little network learns here, in
# seconds, from the three snapshots `train-*`, and has not seen this one.

# %%
config = maladist.TrainConfig.of(
    {
        "data": {"train": [str(snapshots / "train-*")], "pseudopotentials": str(files)},
        "descriptor": {"family": "bispectrum", "twojmax": 4 if SMALL else 8, "cutoff": 4.67637},
        "network": {"hidden": [64, 64] if SMALL else [128, 128]},
        "loss": {"ldos": 1.0, "mean_density": 0.004, "mean_band": 0.004},
        "optimiser": {"name": "AdamW", "lr": 3e-3},
        "batch": {"snapshots": 3, "points": 256},
        "epochs": 10 if SMALL else 150,
    }
)
with maladist.cluster("local", workers=1) as client:
    model = maladist.train(config, scratch / "training", client=client)
predicted = maladist.predict(atoms, model, grid=density.shape)
off = compare(predicted)

# %% [markdown]
# Look at which term is wrong, not only at the total: errors of E_H, E_xc and the band energy have the same origin,
# an LDOS that is a little off, and cancel in part.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4), layout="constrained")
energies = exact.dos["energy"]
left.plot(energies, exact.dos / len(atoms), c="black", lw=2.5, label="DFT")
left.plot(predicted.dos["energy"], predicted.dos / len(atoms), c="#fd8d3c", lw=1.2, label="network")
left.axvline(float(dft["fermi_energy_eV"]), c="grey", ls="--", lw=1, label="μ of DFT")
left.set(xlabel="ε (eV)", ylabel="1/eV/atom", title="density of states")
left.legend()
right.axhline(0, c="grey", lw=0.8)
right.plot(energies, predicted.dos.values / len(atoms) - exact.dos.values / len(atoms), c="#08306b")
right.axvline(float(dft["fermi_energy_eV"]), c="grey", ls="--", lw=1)
right.set(xlabel="ε (eV)", ylabel="1/eV/atom", title="network minus DFT")
plt.show()

# %% [markdown]
# Only what lies below μ, or within some k_BT of it, matters for the energies. Errors that change sign from one level to
# the next cancel in the integral; a difference of one sign does not: it moves μ, and the band energy with it.
#
# ## Where the density is different

# %%
network_off = predicted.density.copy(data=predicted.density.values - density.values)
print(f"mean |Δn| / mean n of the network: {float(abs(network_off).mean() / density.mean()):.2%}")
print(f"∫ Δn = {float(network_off.sum()) * predicted.grid.voxel_volume:+.5f} electrons")

figure, axes = plt.subplots(1, 2, figsize=(13, 4), layout="constrained")
predicted.density.copy(data=density.values).maladist.plot.slice("b", atoms=atoms, ax=axes[0]).set_title("n(r) of DFT")
network_off.maladist.plot.slice("b", atoms=atoms, ax=axes[1], signed=True).set_title("network minus DFT")
plt.show()

# %% [markdown]
# For your own calculation: `maladist convert` makes a data set of Quantum ESPRESSO's output, or `maladist dft` runs it;
# `maladist check` prints the first of these tables for each snapshot and names the likely reason where it fails.

# %%
shutil.rmtree(scratch)
