"""The energies that need the whole density: by slabs they are what they are in one task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ase import Atoms
from distributed import Client

import maladist
from maladist import LDOSModel
from maladist.prediction.fields import TERMS_REALS, terms_of_store
from tests.prediction.common import make_store, make_system

pytestmark = pytest.mark.filterwarnings("ignore:broadening correction")


@pytest.mark.parametrize(("xc", "core"), [("pbe", True), ("pbe", False), ("pw92", True), ("pz", False), (None, True)])
@pytest.mark.parametrize("points", [1, 5 * 14 * 18, 10**6])
def test_slabs_of_any_thickness_give_the_terms_of_one_task(
    xc: str | None, core: bool, points: int, atoms: Atoms, client: Client, tmp_path: Path
) -> None:
    """At the density of either temperature, which is that of the double counting."""
    known = make_system(atoms, xc, core)
    room = 8 * TERMS_REALS * points
    path = make_store(tmp_path / "n.zarr", known)
    hartree = []
    for t0 in known.temperatures:
        system = replace(known, reference_temperature=t0)
        one = terms_of_store(client, path, system, distributed=False, room=2**40, run_key=f"one{t0}{tmp_path}")
        many = terms_of_store(client, path, system, distributed=True, room=room, run_key=f"many{t0}{tmp_path}")
        for (name, value), (_, other) in zip(one, many, strict=True):
            if name.startswith(("hartree", "xc", "ewald")):
                assert (value is None) == (other is None) == (xc is None and name.startswith("xc")), name
            assert value is None or other == pytest.approx(value, rel=1e-12, abs=1e-10), name
        hartree.append(one.hartree)
    assert hartree[0] != hartree[1]


def test_a_worker_too_small_for_one_task_gets_slabs_and_the_same_energies(
    atoms: Atoms, model: LDOSModel, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = maladist.predict(atoms, model, client=client, precision="float64")
    planned = maladist.plan(atoms, model, client=client, calibrate=False)
    assert not planned.distributed_fields
    # Blocks fit this room, the terms in one task do not.
    monkeypatch.setattr("maladist.prediction.plan.one_task_bytes", lambda *_: 2**62)
    assert maladist.plan(atoms, model, client=client, calibrate=False).distributed_fields
    slabs = maladist.predict(atoms, model, client=client, precision="float64")
    assert slabs.energies.total == pytest.approx(whole.energies.total, abs=1e-9)
