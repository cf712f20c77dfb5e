"""Any code that is a `DFTCode` makes a data set; what it left open is proposed once and holds for all of the set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from distributed import Client

from maladist.datasets.dft.code import Calculated, DFTCode
from maladist.datasets.dft.dft import dft
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.scratch import Scratch
from maladist.datasets.dft.setup import DFTSetup
from maladist.errors import DFTError, InputError
from maladist.io.datasets import snapshot_path
from maladist.io.opening import open_dataset
from maladist.io.qe.run import DFTRun
from maladist.physics.broadening import broadened_dos
from maladist.testing import Listener


def of_every_code(setup: Espresso) -> dict[str, Any]:
    """Settings without those that only Quantum ESPRESSO has."""
    return {k: v for k, v in setup.to_dict().items() if k in DFTSetup.model_fields}


class MadeUp(DFTSetup):
    """A code that needs no program: an LDOS that is the same everywhere, from eigenvalues that are given."""

    @property
    def program(self) -> str:
        return "true"

    def check(self, atoms: Atoms) -> None:
        if len(atoms) > 2:
            raise InputError("atoms", f"{len(atoms)}", "at most two")

    def calculate(self, atoms: Atoms, scratch: Scratch) -> Calculated:
        (scratch.folder / "in").touch()
        if atoms.info.get("fails"):
            raise DFTError("true", "it failed", "that it does not")
        eigenvalues, weights, shape = np.array([[-1.0, 2.0, 8.0]]), np.array([2.0]), (3, 4, 5)
        dos = broadened_dos(torch.from_numpy(eigenvalues), torch.from_numpy(weights), self.energy_grid).numpy()
        ldos = np.broadcast_to(dos / atoms.get_volume(), (*shape, len(dos))).astype(np.float32)
        density = np.full(shape, 4.0 / atoms.get_volume())
        run = DFTRun(Path("made-up"), atoms, shape, 1000.0, 4.0, "pbe", eigenvalues=eigenvalues, weights=weights)
        run = replace(run, notes=tuple(atoms.info.get("notes", ())))
        return Calculated(run, density, ldos)


def test_what_a_calculation_notes_reaches_the_user_and_the_store(
    tmp_path: Path, be2: Atoms, setup: Espresso, client: Client
) -> None:
    """A total that is not the sum of its terms, no stress at a fixed cutoff: nobody was told."""
    cells, told, output = [be2.copy() for _ in range(5)], Listener(), tmp_path / "d.zarr"
    for i, cell in enumerate(cells[1:]):
        cell.info["notes"] = [f"the total differs by {0.5 + i:.4g} eV"]
    cells[2].info["notes"].append("no stress at a fixed cutoff")
    dft(cells, MadeUp.of(of_every_code(setup)), output, client=client, scratch=tmp_path, observer=told)
    assert told.notes[-2:] == [
        "4 snapshots, such as s0001: the total differs by 0.5 eV",
        "s0002: no stress at a fixed cutoff",
    ]
    kept = open_dataset(snapshot_path(output, "s0002")).attrs["notes"]
    assert kept == ["the total differs by 1.5 eV", "no stress at a fixed cutoff"]


def test_any_code_will_do(tmp_path: Path, be2: Atoms, setup: Espresso, client: Client) -> None:
    code: DFTCode = MadeUp.of(of_every_code(setup))  # the type holds it against the protocol
    bad = be2.copy()
    bad.info["fails"] = True
    done = dft([be2, bad], code, tmp_path / "d.zarr", names=["a", "b"], client=client, scratch=tmp_path)
    assert [o.reason for o in done] == ["", "true: it failed; wanted that it does not."]
    data = open_dataset(snapshot_path(tmp_path / "d.zarr", "a"))
    assert data.attrs["source"] == "true" and data.ldos.shape == (3, 4, 5, 39)
    assert [p.name for p in tmp_path.iterdir()] == ["d.zarr"]
    with pytest.raises(InputError, match="at most two"):
        dft([be2.repeat((2, 1, 1))], code, tmp_path / "d.zarr", client=client)


class Proposing(MadeUp):
    """The same with energies of its own, by the volume of what it was asked for."""

    def survey(self, atoms: Atoms, scratch: Scratch) -> dict[str, Any]:
        assert scratch.folder.is_dir()
        window = {"origin": -6.0, "spacing": 0.3, "levels": 20 + int(atoms.get_volume())}
        return {"energies": {**window, "broadening": self.broadening, "temperature": self.temperature}}


def test_energies_are_proposed_once_and_kept_for_all_that_comes_later(
    tmp_path: Path, be2: Atoms, setup: Espresso, client: Client
) -> None:
    output, heard, larger = tmp_path / "d.zarr", Listener(), be2.copy()
    larger.set_cell(be2.cell * 1.1, scale_atoms=True)
    values = of_every_code(setup) | {"energies": "auto"}
    with pytest.raises(DFTError, match="This code proposes none"):
        dft([be2], MadeUp.of(values), output, client=client)
    code = Proposing.of(values)
    (done,) = dft([be2], code, output, names=["a"], client=client, observer=heard)
    (later,) = dft([larger], code, output, names=["b"], client=client, observer=heard)
    assert (done.reason, later.reason) == ("", "")
    levels = 20 + int(be2.get_volume())
    assert [open_dataset(snapshot_path(output, n)).sizes["energy"] for n in "ab"] == [levels, levels]
    first, second = (text for text in heard.notes if text.startswith("energies"))
    assert first.startswith("energies from a calculation of a: -6 to") and f"{levels} levels" in first
    assert second.startswith("energies as the data set has them") and f"{levels} levels" in second
    assert sum("δ of 0.5 eV is 6 k_BT" in text for text in heard.notes) == 2  # once a run
    with pytest.raises(InputError, match=r"energies: auto, for δ 0\.6 eV"):
        dft([be2], Proposing.of(values | {"broadening": 0.6}), output, names=["c"], client=client)


def test_proposed_energies_are_those_of_the_snapshots_that_are_there(
    tmp_path: Path, be2: Atoms, setup: Espresso, client: Client
) -> None:
    values = of_every_code(setup)
    for name, code in (("a", Proposing.of(values)), ("b", Proposing.of(values | {"energies": "auto"}))):
        (done,) = dft([be2], code, tmp_path / "d.zarr", names=[name], client=client)
        assert done.reason == ""
        assert open_dataset(snapshot_path(tmp_path / "d.zarr", name)).sizes["energy"] == 39
