"""g(r) and S(q): the shells and Bragg's waves of a crystal, an ideal gas, and the sum over atoms written out."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import maladist
from maladist.errors import InputError
from maladist.sampling import structure as module


def test_a_crystal_has_its_neighbours_and_braggs_waves() -> None:
    a = 4.05
    atoms = bulk("Al", "fcc", a, cubic=True) * (2, 2, 2)
    found = maladist.structure(atoms, cutoff=4.5, width=0.1, largest_q=4.0, q_width=0.1)
    g, r = found["radial_distribution"].sel(pair="Al-Al"), found["r"]
    around = 4 * np.pi * 4 / a**3 * np.cumsum(g * r**2) * 0.1
    assert float(around[-1]) == pytest.approx(12 + 6, rel=0.01)  # at a/√2 and at a; volume of a shell by its middle
    s, waves = found["static_structure_factor"], found["waves"]
    bragg = {int(2 * np.pi / a * np.sqrt(m) / 0.1) for m in (3, 4)}  # (1 1 1) and (2 0 0)
    assert set(np.flatnonzero(s.fillna(0) * waves > 1e-6)) == bragg
    total = float((s * waves)[sorted(bragg)].sum())
    assert total == pytest.approx(32 * (8 + 6), rel=1e-9)


def test_an_ideal_gas_has_no_structure() -> None:
    rng = np.random.default_rng(1)
    gas = [Atoms("H300", scaled_positions=rng.random((300, 3)), cell=[15.0, 16.0, 17.0], pbc=True) for _ in range(4)]
    found = maladist.structure(gas, cutoff=7.0, width=0.5, largest_q=6.0, q_width=1.0)
    np.testing.assert_allclose(found["radial_distribution"][0, 4:], 1.0, atol=0.05)
    np.testing.assert_allclose(found["static_structure_factor"][2:], 1.0, atol=0.06)


def test_waves_in_slabs_give_the_sum_over_atoms_of_a_skewed_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLAB", 60)
    rng = np.random.default_rng(2)
    cell = np.array([[5.0, 0, 0], [1.0, 4.5, 0.3], [-0.7, 0.4, 5.5]])
    atoms = Atoms("SiC3", scaled_positions=3 * rng.random((4, 3)) - 1, cell=cell, pbc=True)
    found = maladist.structure(atoms, largest_q=4.0, q_width=0.5)
    hkl = np.stack(np.meshgrid(*(np.arange(-5, 6),) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    q = 2 * np.pi * hkl @ np.linalg.inv(cell).T
    length = np.linalg.norm(q, axis=1)
    square = np.abs(np.exp(-1j * q @ atoms.positions.T).sum(axis=1)) ** 2 / 4
    for i in range(8):
        here = (length >= 0.5 * i) & (length < 0.5 * (i + 1)) & (length > 0)
        assert int(found["waves"][i]) == here.sum()
        if here.any():
            assert float(found["static_structure_factor"][i]) == pytest.approx(square[here].mean(), rel=1e-9)
        else:
            assert np.isnan(found["static_structure_factor"][i])
    assert found["pair"].values.tolist() == ["C-C", "C-Si", "Si-Si"]


def test_what_is_no_frame_or_no_length_is_refused() -> None:
    atoms = bulk("Al", "fcc", 4.05)
    with pytest.raises(InputError, match="frames"):
        maladist.structure([])
    with pytest.raises(InputError, match="largest_q"):
        maladist.structure(atoms, largest_q=0.01)
    with pytest.raises(InputError, match="cutoff"):
        maladist.structure(atoms, cutoff=-1.0)
    with pytest.raises(InputError, match="frame 1"):
        maladist.structure([atoms, bulk("Be")])


def test_a_cutoff_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(InputError, match=r"800 Å: \S+ images of the atoms .* It is in Å"):
        maladist.structure(bulk("Be", "hcp", a=2.29, c=3.58), cutoff=800.0)
