"""The whole road with a two-element, gapped crystal: every command of notebooks/own_material.md, on fewer cells."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from distributed import Client

from maladist import TrainConfig
from maladist.cli.app import main
from maladist.io.opening import open_dataset
from maladist.io.yaml import parse_yaml

PAGE = (Path(__file__).parent.parent / "notebooks" / "own_material.md").read_text()
SETUP, TRAIN = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^\$ maladist (.*)$", PAGE, re.MULTILINE)
DEBIAN = Path("/usr/share/espresso/pseudo")
FILES = ("Si.pz-vbc.UPF", "C.UPF")  # norm-conserving, LDA
FEWER = {
    "--count 8 ": "--count 6 ",
    "--count 20 ": "--count 12 ",
    "[8, 8, 8]": "[6, 6, 6]",
    "eight-000[0-4]": "eight-000[0-3]",
    "eight-0005": "eight-0004",
    "eight-000[67]": "eight-0005",
}
"""What is taken here in place of the page's, to be done in half of the time: fewer cells and k-points."""


def fewer(text: str) -> str:
    """The page's words with this test's numbers."""
    for of_page, here in FEWER.items():
        text = text.replace(of_page, here)
    return text


def test_the_pages_training_is_accepted_and_its_commands_are_in_order() -> None:
    assert TrainConfig.of(parse_yaml(TRAIN)).epochs == 200
    assert all(words in PAGE for words in FEWER)
    assert [c.split()[0] for c in COMMANDS] == [
        *("sample", "sample", "dft", "dft", "check", "train", "evaluate", "predict")
    ]


@pytest.mark.slow
@pytest.mark.qe
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="no pw.x on this machine")
@pytest.mark.skipif(not (DEBIAN / FILES[0]).exists(), reason="no pseudopotentials of quantum-espresso-data")
def test_from_a_crystal_of_two_elements_to_the_free_energy_of_64_atoms(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pseudopotentials").mkdir()
    for name in FILES:
        shutil.copy(DEBIAN / name, "pseudopotentials")
    cubic = bulk("SiC", "zincblende", a=4.36, cubic=True)
    bulk("SiC", "zincblende", a=4.36).write("sic.cif")
    cubic.write("sic8.cif")
    cubic.repeat(2).write("sic64.extxyz")
    Path("dft.yaml").write_text(fewer(SETUP))
    Path("train.yaml").write_text(fewer(TRAIN))
    said: dict[str, str] = {}
    for command in COMMANDS:
        words = shlex.split(fewer(command))
        cluster = [] if words[0] == "sample" else ["--cluster", client.scheduler.address]
        status = main([*words, *cluster])
        if status and words[0] == "dft":  # MPI may fail to start on a machine that is too busy: what is missing is done
            status = main([*words, *cluster])
        out = capfd.readouterr()
        said[f"{words[0]} {words[1]}"] = out.out + out.err
        print(out.out + out.err)
        assert status == 0, command

    small, large = said["dft two.extxyz"], said["dft eight.extxyz"]
    assert "energies from a calculation of two-0000" in small and "12 of 12 snapshots" in small
    assert "k-points of 8 atoms: 4×4×4, denser than 6×6×6 of 2 atoms" in large
    assert "energies as the data set has them" in large
    assert "18 of 18 snapshots within the tolerances" in said["check sic.zarr"]
    assert "density channel" in said["train train.yaml"]

    # A held-out cell of eight atoms. Terms of A are tens of eV/atom: a convention that is wrong somewhere on the road
    # shows, and so do too few k-points. Measured: A 0.04 eV/atom, E_b 0.02, n 1.5 %, D(ε) 34 %; the page's: 20 %.
    errors = json.loads(Path("errors.json").read_text())["snapshots"]
    for one in errors:
        assert abs(one["predicted"]["total_free_energy"] - one["reference"]["total_free_energy"]) < 0.3  # eV/atom
        assert abs(one["predicted"]["band_energy"] - one["reference"]["band_energy"]) < 0.2
        assert one["density_relative"] < 0.04
        assert one["dos_relative"] < 0.5

    # Every electron is counted, and S = −∂A/∂T to 1 % by central differences of 10 K.
    found = open_dataset("sic64.zarr")
    voxel = 64 / len(cubic) * cubic.get_volume() / found.density[0].size
    np.testing.assert_allclose(found.density.sum(("x", "y", "z")) * voxel, 256, rtol=1e-9)
    np.testing.assert_allclose(found.n_electrons, 256, rtol=1e-6)
    free = dict(zip(found.temperature.values.tolist(), found.total_free_energy_eV.values.tolist(), strict=True))
    assert free[300] > free[990] > free[1000] > free[1010]
    entropy = -float(found.entropy_contribution_eV.sel(temperature=1000)) / 1000
    assert entropy > 0
    assert (free[990] - free[1010]) / 20 == pytest.approx(entropy, rel=0.01)
