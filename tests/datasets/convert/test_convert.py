"""Conversion: what goes in comes out, what does not belong is refused in one line, memory stays bounded."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from distributed import Client, LocalCluster

from maladist import BispectrumSpec, Grid
from maladist.datasets.convert.convert import convert
from maladist.datasets.convert.source import Source, prepare
from maladist.datasets.convert.tasks import peak_of_worker
from maladist.errors import DataFileError, DFTError, InputError, OutputError, PhysicsError, StoreError
from maladist.io.fields import cube, openpmd, xsf
from maladist.io.qe.run import DFTRun
from maladist.io.stores import open_dataset
from maladist.units import LDOS_QE
from tests.conftest import Disk

GRID = Grid([[2.3, 0, 0], [-1.1, 2.0, 0], [0.1, 0, 3.6]], (6, 5, 7))


@pytest.fixture
def crystal() -> Atoms:
    return Atoms("Be2", [[0.1, 0.2, 0.3], [1.0, 0.9, 2.0]], cell=GRID.cell_array, pbc=True)


@pytest.fixture
def ldos() -> np.ndarray:
    return np.random.default_rng(1).random((*GRID.shape, 4)).astype(np.float32)


def write_text(folder: Path, crystal: Atoms, ldos: np.ndarray, kind: str, zipped: bool = False) -> list[Path]:
    """One file a level as a DFT code would write it, in its units."""
    module, paths = {"cube": cube, "xsf": xsf}[kind], []
    for i in range(ldos.shape[-1]):
        path = folder / f"tmp.pp{i + 1:03d}.{kind}{'.gz' if zipped else ''}"
        with gzip.open(path, "wt") if zipped else path.open("w") as stream:
            title = cube.level_title(-1.0 + 0.5 * i, 0.5)
            module.write_header(stream, crystal, GRID, title)
            module.write_slab(stream, ldos[..., i] / LDOS_QE)
            if kind == "xsf":
                extra = np.pad(ldos[:, :, :1, i] / LDOS_QE, ((0, 1), (0, 1), (0, 0)), mode="wrap")
                xsf.write_numbers(stream, extra.transpose(2, 1, 0))
            module.write_end(stream)
        paths.append(path)
    return paths


def run_of(crystal: Atoms) -> DFTRun:
    return DFTRun(Path("made-up"), crystal, GRID.shape)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", ["cube", "xsf"])
def test_text_levels_give_the_ldos_back(
    kind: str, zipped: bool, tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client
) -> None:
    paths = write_text(tmp_path, crystal, ldos, kind, zipped)
    group = convert(
        Source(run_of(crystal), paths[::-1], energies=(-1.0, 0.5)), tmp_path / "d.zarr", name="s", client=client
    )
    data = open_dataset(group)
    assert np.abs(data.ldos.values / ldos - 1).max() < 2e-7  # float32, nine digits
    assert data.energy.values.tolist() == [-1.0, -0.5, 0.0, 0.5]
    assert "work" not in data


def test_npy_with_positions_and_openpmd(tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client) -> None:
    spec = BispectrumSpec(twojmax=2, cutoff=3.0)
    features = np.random.default_rng(2).random((*GRID.shape, spec.n_features)).astype(np.float32)
    places = GRID.points().reshape(*GRID.shape, 3).astype(np.float32)
    np.save(tmp_path / "s.in.npy", np.concatenate([places, features], axis=-1))
    np.save(tmp_path / "s.out.npy", ldos)
    openpmd.write_field(tmp_path / "s.out.h5", ldos, "ldos")
    for file in ("s.out.npy", "s.out.h5"):
        source = Source(
            run_of(crystal), [tmp_path / file], energies=(-1.0, 0.5), descriptors=tmp_path / "s.in.npy", dos=None
        )
        data = open_dataset(convert(source, tmp_path / "d.zarr", name=file, spec=spec, client=client))
        assert np.array_equal(data.ldos.values, ldos)
        assert np.array_equal(data.descriptors.values, features)


def test_adios_files_are_refused_with_the_way_around(tmp_path: Path, crystal: Atoms) -> None:
    (tmp_path / "s.out.bp").mkdir()
    with pytest.raises(DataFileError, match=r"openpmd-pipe --infile IN\.bp"):
        prepare(Source(run_of(crystal), [tmp_path / "s.out.bp"], energies=(-1.0, 0.5)))


def test_openpmd_of_another_program_is_turned_from_si(tmp_path: Path, ldos: np.ndarray) -> None:
    path = tmp_path / "a.h5"
    openpmd.write_field(path, ldos, "ldos")
    with h5py.File(path, "r+") as file:
        file.attrs["is_mala_data"] = 0
        for component in file["data/0/meshes/LDOS"].values():
            component.attrs["unitSI"] *= 2
    assert np.allclose(openpmd.read_region(path, GRID.whole.slices, "ldos"), 2 * ldos, rtol=1e-6)


def test_positions_of_another_cell_are_refused(
    tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client
) -> None:
    spec = BispectrumSpec(twojmax=2, cutoff=3.0)
    places = 1.1 * GRID.points().reshape(*GRID.shape, 3)
    np.save(tmp_path / "in.npy", np.concatenate([places, np.zeros((*GRID.shape, spec.n_features))], axis=-1))
    np.save(tmp_path / "out.npy", ldos)
    source = Source(run_of(crystal), [tmp_path / "out.npy"], energies=(-1, 0.5), descriptors=tmp_path / "in.npy")
    with pytest.raises(DataFileError, match="another snapshot"):
        convert(source, tmp_path / "d.zarr", name="s", spec=spec, client=client)
    assert not (tmp_path / "d.zarr/snapshots/s").exists()


def test_descriptors_on_the_way(tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client) -> None:
    from maladist.descriptors import evaluate
    from maladist.neighbors import CellList

    np.save(tmp_path / "out.npy", ldos)
    spec = BispectrumSpec(twojmax=4, cutoff=3.0)
    group = convert(
        Source(run_of(crystal), [tmp_path / "out.npy"], energies=(-1, 0.5)),
        tmp_path / "d.zarr",
        name="s",
        spec=spec,
        client=client,
    )
    cells = CellList(GRID.cell_array, crystal.positions, crystal.numbers.astype(np.int16), spec.cutoff)
    wanted = evaluate(GRID.points(), cells.near_block(GRID, GRID.whole), spec).numpy()
    found = open_dataset(group).descriptors.values.reshape(wanted.shape)
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_a_truncated_cube_is_refused(tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    text = paths[2].read_text()
    paths[2].write_text(text[: len(text) * 2 // 3])
    with pytest.raises(Exception, match=r"tmp.pp003.cube: is truncated") as caught:
        convert(Source(run_of(crystal), paths), tmp_path / "d.zarr", name="s", client=client)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "d.zarr/snapshots/s").exists()


def test_a_truncated_gzip_is_refused(tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube", zipped=True)
    paths[1].write_bytes(paths[1].read_bytes()[:-200])
    with pytest.raises(Exception, match=r"tmp.pp002.cube.gz: is truncated"):
        convert(Source(run_of(crystal), paths), tmp_path / "d.zarr", name="s", client=client)


def test_a_missing_level_is_named(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    with pytest.raises(DataFileError, match=r"no level between -1.0000 and 0.0000 eV"):
        prepare(Source(run_of(crystal), [paths[0], paths[2], paths[3]]))


def test_parts_that_overlap_are_read_once(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    ready = prepare(Source(run_of(crystal), [*paths[2:], *paths[:3]]))
    assert ready.energies.levels == 4
    assert "1 levels came twice" in ready.notes[0]


def test_a_cube_of_another_cell_or_snapshot_is_refused(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    moved = crystal.copy()
    moved.positions[0] += 0.05
    with pytest.raises(DataFileError, match="another snapshot"):
        prepare(Source(run_of(moved), paths))
    larger = crystal.copy()
    larger.set_cell(1.01 * larger.cell, scale_atoms=True)
    with pytest.raises(DataFileError, match="another calculation"):
        prepare(Source(run_of(larger), paths))


def test_atoms_moved_by_a_lattice_vector_are_the_same(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    moved = crystal.copy()
    moved.positions[0] += GRID.cell_array[1]
    assert prepare(Source(run_of(moved), paths)).energies.levels == 4


def test_a_three_digit_exponent_without_its_letter_is_read(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    (path,) = write_text(tmp_path, crystal, ldos[..., :1], "cube")
    lines = path.read_text().splitlines()
    lines[8] = "0.12345-101 " + " ".join(lines[8].split()[1:])
    path.write_text("\n".join(lines) + "\n")
    _, values = next(cube.read_slabs(path, 1))
    assert values[0, 0, 0] == 0.12345e-101


def test_an_existing_snapshot_is_kept(tmp_path: Path, crystal: Atoms, ldos: np.ndarray, client: Client) -> None:
    np.save(tmp_path / "out.npy", ldos)
    source = Source(run_of(crystal), [tmp_path / "out.npy"], energies=(-1, 0.5))
    convert(source, tmp_path / "d.zarr", name="s", client=client)
    with pytest.raises(StoreError, match="--overwrite"):
        convert(source, tmp_path / "d.zarr", name="s", client=client)
    convert(source, tmp_path / "d.zarr", name="s", client=client, overwrite=True)


def test_unconverged_is_refused(tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    np.save(tmp_path / "out.npy", ldos)
    run = DFTRun(Path("pw.out"), crystal, GRID.shape, converged=False)
    with pytest.raises(DFTError, match=r"pw.out: the self-consistency did not converge"):
        prepare(Source(run, [tmp_path / "out.npy"], energies=(-1, 0.5)))


def test_a_charged_cell_or_another_valence_is_refused(
    tmp_path: Path, crystal: Atoms, ldos: np.ndarray, own_data: Path
) -> None:
    """0.4 electrons too few pass every check of energies at 5000 K."""
    np.save(tmp_path / "out.npy", ldos)
    run = DFTRun(Path("s.info.json"), crystal, GRID.shape, n_electrons=3.6)
    files = own_data / "pseudopotentials"
    with pytest.raises(PhysicsError, match=r"3\.6 electrons where the valences add up to 4.*tot_charge"):
        prepare(Source(run, [tmp_path / "out.npy"], energies=(-1, 0.5), pseudopotentials=files))


def own_source(own_data: Path, folder: Path, **options: object) -> Source:
    """The repository's own Be2 snapshot as a MALA user would have it."""
    case = own_data / "qe/be2_nc_nlcc_1000K"
    facts = json.loads((case / "reference.json").read_text())
    planes = np.load(case / "ldos.npz")["byte_planes"]
    values = np.moveaxis(np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view("<f4")[..., 0], 0, -1)
    np.save(folder / "ldos.npy", values)
    level = facts["ldos"]
    terms = {k: facts[k] for k in ("fermi_energy_eV", "band_energy_eV", "entropy_contribution_eV")}
    run = DFTRun(
        case,
        ase.io.read(case / "atoms.extxyz"),
        tuple(facts["grid"]),
        facts["temperature_K"],
        facts["n_electrons"],
        "pbe",
        terms=terms,
    )
    given = {
        "density": case / "density.npy",
        "energies": (level["energy_origin_eV"], level["energy_spacing_eV"]),
        "kernel": "gaussian",
        "width": level["broadening_delta_eV"],
    }
    return Source(run, [folder / "ldos.npy"], **{**given, **options})


def test_own_dft_data_pass_and_wrong_units_do_not(tmp_path: Path, own_data: Path, client: Client) -> None:
    data = open_dataset(convert(own_source(own_data, tmp_path), tmp_path / "d.zarr", name="s", client=client))
    assert data.attrs["broadening_kernel"] == "gaussian"
    bad = own_source(own_data, tmp_path, ldos_units="1/(Ry bohr3)")
    with pytest.raises(DataFileError, match=r"0.49.* times .*\n?.*--ldos-units"):
        convert(bad, tmp_path / "d.zarr", name="t", client=client)
    bad = own_source(own_data, tmp_path, density_units="1/bohr3")
    with pytest.raises(DataFileError, match=r"a density of 26.* --density-units"):
        convert(bad, tmp_path / "d.zarr", name="t", client=client)


def test_the_cubes_of_the_reference_data(tmp_path: Path, shared_data: Path, client: Client) -> None:
    folder = shared_data / "be2"
    source = Source(
        folder / "Be_snapshot0.out",
        sorted((folder / "cubes").iterdir()),
        density=folder / "Be_snapshot0.dens.npy",
        descriptors=folder / "Be_snapshot0.in.npy",
    )
    data = open_dataset(convert(source, tmp_path / "d.zarr", name="s", spec=BispectrumSpec(), client=client))
    wanted = np.load(folder / "Be_snapshot0.out.npy")
    assert np.abs(data.ldos.values / wanted - 1).max() < 1e-6
    # pp.x was not asked for a Gaussian: the eigenvalues betray what it took.
    assert data.attrs["broadening_kernel"] == "fermi-derivative"
    assert data.attrs["broadening_width_eV"] == 5.0


@pytest.mark.slow
def test_an_ldos_of_four_times_the_memory_of_a_worker(tmp_path: Path, crystal: Atoms) -> None:
    """The LDOS is made up by repetition: 4 GiB through a worker with a limit of 1 GiB."""
    limit, shape, levels = 2**30, (128, 128, 128), 512
    grid = Grid(GRID.cell, shape)
    path = tmp_path / "big.npy"
    plane = np.random.default_rng(0).random((*shape[1:], levels), dtype=np.float32)
    header = {"descr": "<f4", "fortran_order": False, "shape": (*shape, levels)}
    with path.open("wb") as stream:  # not mapped: a worker's ru_maxrss begins with that of its parent
        np.lib.format.write_array_header_1_0(stream, header)
        for _ in range(shape[0]):
            stream.write(plane.tobytes())
    assert path.stat().st_size > 4 * limit
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=limit, dashboard_address="127.0.0.1:0") as c,
        Client(c) as small,
    ):
        run = DFTRun(Path("made-up"), crystal, grid.shape)
        group = convert(Source(run, [path], energies=(-1, 0.1)), tmp_path / "d.zarr", name="s", client=small)
        peak = max(small.run(peak_of_worker).values())
    assert peak < limit
    data = open_dataset(group)
    assert np.array_equal(data.ldos[37].values, plane)


ASTERISKS = "  Energy = ******** eV, broadening =   0.5000 eV"


def titled(path: Path, title: str) -> None:
    """Give a cube another second line."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], title + "\n", *lines[2:]]))


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


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf")])
def test_temperatures_that_cannot_be(temperature: float, tmp_path: Path, crystal: Atoms, ldos: np.ndarray) -> None:
    paths = write_text(tmp_path, crystal, ldos, "cube")
    with pytest.raises(InputError, match="a positive temperature in K"):
        prepare(Source(run_of(crystal), paths, temperature=temperature))


@pytest.mark.disks
@pytest.mark.parametrize("room", [0, 4096, 60_000, 200_000])
def test_a_conversion_that_found_no_room_can_be_made_again_with_the_same_command(
    own_data: Path, tmp_path: Path, disk: Disk, client: Client, room: int
) -> None:
    """Whether there was none for the data set, for its snapshot, or for some of the blocks."""
    source, output = own_source(own_data, tmp_path), disk.path / "d.zarr"
    disk.leave(room)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        convert(source, output, name="a", client=client)
    assert "\n" not in str(caught.value)
    assert not (output / "snapshots" / "a").exists() and not [p for p in disk.path.rglob(".*") if p.is_dir()]
    disk.free()
    assert open_dataset(convert(source, output, name="a", client=client)).sizes["energy"] > 1


def test_what_a_task_refuses_is_one_line_and_no_workers_traceback(
    tmp_path: Path, crystal: Atoms, ldos: np.ndarray
) -> None:
    """On worker processes, whose own loggers write to the same terminal."""
    ldos[3, 2, 1, 0] = np.nan
    np.save(tmp_path / "out.npy", ldos)
    crystal.write(tmp_path / "be.extxyz")
    files = [str(tmp_path / "be.extxyz"), "--ldos", str(tmp_path / "out.npy"), "--output", str(tmp_path / "d.zarr")]
    command = [sys.executable, "-m", "maladist", "convert", *files, "--name", "s", "--energies", "-1", "0.5"]
    done = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if "not finite" in line] == [
        line for line in done.stderr.splitlines() if line.startswith("maladist: ")
    ]
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "d.zarr" / "snapshots" / "s").exists()
