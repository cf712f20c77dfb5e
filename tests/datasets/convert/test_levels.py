"""Levels that come one a file, as `prepare` takes them: their order, what lacks or comes twice, two spins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from maladist.datasets.convert.source import Source, prepare
from maladist.errors import DataFileError
from tests.datasets.convert.conftest import run_of, write_text

ASTERISKS = "  Energy = ******** eV, broadening =   0.5000 eV"


def titled(path: Path, title: str) -> None:
    """Give a cube another second line."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], title + "\n", *lines[2:]]))


def test_a_missing_level_is_named(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    with pytest.raises(DataFileError, match=r"no level between -1.0000 and 0.0000 eV"):
        prepare(Source(run_of(crystal), [paths[0], paths[2], paths[3]]))


def test_files_of_two_parts_are_held_to_the_energies_that_were_given(
    tmp_path: Path, crystal: Atoms, ldos: np.ndarray
) -> None:
    paths = write_text(tmp_path, crystal, np.concatenate([ldos, ldos], axis=-1), "cube")  # from −1 eV by 0.5 eV
    some = [*paths[:2], *paths[5:]]
    ready = prepare(Source(run_of(crystal), some[::-1], parts=[(-1.0, 0.5, 2), (1.5, 0.5, 3)]))
    np.testing.assert_allclose(ready.energies.values, [-1.0, -0.5, 1.5, 2.0, 2.5])
    assert [Path(level.path) for level in ready.levels] == some
    with pytest.raises(DataFileError, match=r"an energy of 1\.5 eV for level 2; wanted 1\.0000 eV, by --part"):
        prepare(Source(run_of(crystal), some, parts=[(-1.0, 0.5, 2), (1.0, 0.5, 3)]))


def test_parts_that_overlap_are_read_once(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    ready = prepare(Source(run_of(crystal), [*paths[2:], *paths[:3]]))
    assert ready.energies.levels == 4
    assert "1 levels came twice" in ready.notes[0]


def test_levels_of_parts_that_overlap_are_in_the_order_of_the_parts(
    tmp_path: Path, crystal: Atoms, ldos: np.ndarray
) -> None:
    """A fine part and a coarse one, of which some files are levels of both."""
    paths = write_text(tmp_path, crystal, np.concatenate([ldos] * 5, axis=-1), "cube")  # from −1 eV by 0.5 eV, 20
    some = [path for i, path in enumerate(paths) if i != 1]
    parts = [(-1.0, 1.0, 8), (0.0, 0.5, 18)]
    ready = prepare(Source(run_of(crystal), some[::-1], parts=parts))
    assert [Path(level.path) for level in ready.levels] == [*paths[:15:2], *paths[2:]]
    with pytest.raises(DataFileError, match=r"a level at -0\.5000 eV, which is in none of the parts"):
        prepare(Source(run_of(crystal), paths, parts=parts))
    with pytest.raises(DataFileError, match=r"no file of the level at 3\.5000 eV, and of 0 others"):
        prepare(Source(run_of(crystal), [path for path in some if path != paths[9]], parts=parts))


def test_energies_that_do_not_fit_their_place_are_asked_for(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    titled(paths[0], ASTERISKS)
    with pytest.raises(DataFileError, match=r"no energy that can be read in the header of 1 of 4 files.*--energies"):
        prepare(Source(run_of(crystal), paths))
    ready = prepare(Source(run_of(crystal), paths[::-1], energies=(-1.0, 0.5)))
    assert [Path(level.path) for level in ready.levels] == paths
    assert (ready.energies.origin, ready.energies.spacing, ready.energies.width) == (-1.0, 0.5, 0.5)


def test_given_energies_are_held_to_those_that_files_tell(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    for title in ("", ASTERISKS):
        if title:
            titled(paths[0], title)
        with pytest.raises(DataFileError, match=r"an energy of -?\d.* eV for level \d; wanted .* by --energies"):
            prepare(Source(run_of(crystal), paths, energies=(-1.5, 0.5)))


def test_spin_up_and_spin_down_under_one_pattern(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    for name, factor in (("up", 1.0), ("down", 0.7)):
        (tmp_path / name).mkdir()
        write_text(tmp_path / name, crystal, ldos * factor, "cube")
    both = sorted(tmp_path.glob("*/*.cube"))
    with pytest.raises(DataFileError, match=r"two fields of .* eV; wanted one file a level, of both spins together"):
        prepare(Source(run_of(crystal), both))
    write_text(tmp_path / "down", crystal, ldos, "cube")  # a crystal without a moment: both spins are alike
    with pytest.raises(DataFileError, match=r"each of 4 levels twice.*spin up and spin down"):
        prepare(Source(run_of(crystal), both))


def test_spins_without_energies_are_told_by_their_names(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "xsf")
    for path in paths:
        (tmp_path / f"up_{path.name}").write_bytes(path.read_bytes())
        (tmp_path / f"down_{path.name}").write_bytes(path.read_bytes())
    with pytest.raises(DataFileError, match="names that differ in one number only"):
        prepare(Source(run_of(crystal), sorted(tmp_path.glob("*_*.xsf")), energies=(-1.0, 0.5)))


def test_a_copy_and_a_file_named_twice_are_read_once(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    (tmp_path / "again.cube").write_bytes(paths[2].read_bytes())
    ready = prepare(Source(run_of(crystal), [*paths, tmp_path / "again.cube", paths[1]]))
    assert len(ready.levels) == 4
    assert any("2 levels came twice" in note for note in ready.notes)
