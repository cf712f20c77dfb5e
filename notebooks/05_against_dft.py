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
# The repository carries a calculation to hold both against: two Be atoms at 1000 K with Quantum ESPRESSO, PBE, a
# norm-conserving pseudopotential with a core correction; the LDOS on 130 levels 0.1 eV apart.

# %%
import case
import matplotlib.pyplot as plt
import numpy as np

import maladist

cluster = maladist.cluster("local", workers=1)
client = cluster.__enter__()
atoms, dft = case.snapshot(), case.reference()
terms = [name for name in dft if name != "density"]


def compare(result):
    """Print each term beside DFT's; return the differences in meV/atom."""
    ours = {"fermi_energy_eV": result.fermi_energy, **dict(result.energies)}
    found = {}
    print(f"{'':<24}{'here':>12}{'DFT':>12}{'difference':>12}")
    for name in terms:
        each = 1 if name == "fermi_energy_eV" else len(atoms)
        found[name] = 1000 * (ours[name] - dft[name]) / each
        label = name.removesuffix("_eV").replace("_", " ")
        print(f"{label:<24}{ours[name] / each:>12.5f}{dft[name] / each:>12.5f}{found[name]:>+12.3f}")
    print(f"{'':<24}{'eV/atom':>12}{'eV/atom':>12}{'meV/atom':>12}")
    return found


# %% [markdown]
# ## The physics: DFT's own LDOS
#
# `observe` takes any LDOS that says what it is: energies, temperature, broadening. A Gaussian of 0.1 eV on samples
# 0.1 eV apart is corrected for; without that correction the band energy would be off by meV.

# %%
ldos = case.dft_ldos()
exact = maladist.observe(ldos, atoms, pseudopotentials=case.pseudopotentials(), client=client)
off = compare(exact)
assert abs(off["total_free_energy_eV"]) < 0.3  # meV/atom; the window and the broadening leave so much

# %% [markdown]
# Band energy and entropy agree to a fraction of a meV, although they come from a broadened LDOS. Hartree, XC and Ewald
# terms are computed by nothing but this package.
#
# ## The density

# %%
difference = exact.density.values - dft["density"]
print(f"mean |Δn| / mean n from DFT's LDOS: {np.abs(difference).mean() / dft['density'].mean():.1e}")

# %% [markdown]
# ## The network
#
# Now the whole chain: atoms → descriptors → network → LDOS → the same code. The little network has seen this one
# configuration; what is left is what it could not fit.

# %%
model = case.fitted()
predicted = maladist.predict(atoms, model, client=client, grid=ldos.shape[:3])
off = compare(predicted)

# %% [markdown]
# Look at which term is wrong, not only at the total: errors of E_H, E_xc and the band energy have the same origin,
# an LDOS that is a little off, and cancel in part.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4), layout="constrained")
energies = exact.dos["energy"]
left.plot(energies, exact.dos / len(atoms), c="black", lw=2.5, label="DFT")
left.plot(predicted.dos["energy"], predicted.dos / len(atoms), c="#fd8d3c", lw=1.2, label="network")
left.axvline(dft["fermi_energy_eV"], c="grey", ls="--", lw=1, label="μ of DFT")
left.set(xlabel="ε (eV)", ylabel="1/eV/atom", title="density of states")
left.legend()
right.axhline(0, c="grey", lw=0.8)
right.plot(energies, predicted.dos.values / len(atoms) - exact.dos.values / len(atoms), c="#08306b")
right.axvline(dft["fermi_energy_eV"], c="grey", ls="--", lw=1)
right.set(xlabel="ε (eV)", ylabel="1/eV/atom", title="network minus DFT")
plt.show()

# %% [markdown]
# Only what lies below μ, or within some k_BT of it, matters for the energies. Errors that change sign from one level to
# the next cancel in the integral; a difference of one sign does not: it moves μ, and the band energy with it.
#
# ## Where the density is different

# %%
network_off = predicted.density.values - dft["density"]
print(f"mean |Δn| / mean n of the network: {np.abs(network_off).mean() / dft['density'].mean():.2%}")
print(f"∫ Δn = {network_off.sum() * predicted.grid.voxel_volume:+.5f} electrons")

figure, axes = plt.subplots(1, 2, figsize=(13, 4), layout="constrained")
field = predicted.density.copy(data=dft["density"])
case.show_plane(axes[0], field, atoms, axis=1, name="$n(r)$ of DFT")
case.show_plane(axes[1], field.copy(data=network_off), atoms, axis=1, name="network minus DFT", signed=True)
plt.show()

# %% [markdown]
# For your own calculation: `maladist convert` makes a data set of Quantum ESPRESSO's output, or `maladist dft` runs it;
# `maladist check` prints the first of these tables for each snapshot and names the likely reason where it fails.

# %%
cluster.__exit__(None, None, None)
