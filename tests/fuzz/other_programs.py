"""What other programs write of matter: an undamaged file of each format, and the function that verbs read it with."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import ase.io
import numpy as np
from ase import Atoms

from maladist import Grid
from maladist.atoms import check_atoms
from maladist.datasets.convert.source import Source, prepare
from maladist.io.calculations import read_dft_run
from maladist.io.fields import openpmd
from maladist.io.fields.formats import check_belongs, field_format
from maladist.io.mala.data import open_field
from maladist.io.qe.run import DFTRun
from maladist.io.qe.upf import read_upf
from maladist.io.structures import read_atoms
from maladist.schema import ENERGY_TERMS
from tests.fuzz.harness import IN_ANY_ORDER, Format, View
from tests.fuzz.mutations import ANY, JSON, TEXT
from tests.io.fields.conftest import write_cube, write_xsf
from tests.io.test_structures import lammps

GRID: Final = Grid([[2.3, 0, 0], [-1.1, 2.0, 0], [0.1, 0, 3.6]], (4, 3, 5))
DATA: Final = Path(__file__).parents[1] / "data"
UPF: Final = DATA / "pseudopotentials" / "Be.own-pbe-nc-nlcc.UPF"


def crystal() -> Atoms:
    return Atoms("Be2", [[0.1, 0.2, 0.3], [1.0, 0.9, 2.0]], cell=GRID.cell_array, pbc=True)


def _cell(number: int = 0) -> Atoms:
    """Eight atoms of two elements, the same for each number."""
    random = np.random.default_rng(number)
    scaled = np.array(np.meshgrid([0, 0.5], [0, 0.5], [0, 0.5])).reshape(3, 8).T + random.uniform(0, 0.1, (8, 3))
    return Atoms("BeAlBe2AlBe2Al", scaled_positions=scaled, cell=[5.1, 5.6, 6.2], pbc=True)


def _views(atoms: Atoms) -> list[View]:
    """Atoms by Cartesian positions, and by fractions of the cell; a file's order of them is of no meaning."""
    check_atoms(atoms)
    common = {"element": sorted(atoms.symbols), "cell": atoms.cell.array}
    places = (atoms.positions, atoms.get_scaled_positions(wrap=False))
    return [{**common, IN_ANY_ORDER: values} for values in places]


def _structure(name: str, kind: str, several: bool, **options: Any) -> Format:
    """A format of ASE's; ``several``: of three frames, of which the last is read."""

    def make(folder: Path) -> Path:
        frames = [_cell(i) for i in range(3 if several else 1)]
        if kind == "lammps-dump-text":
            frames = [frame[frame.symbols == "Be"] for frame in frames]
            (folder / name).write_text(lammps(frames))
        else:
            ase.io.write(folder / name, frames, format=kind, **options)
        return folder / name

    kinds = {"traj": ANY, "json": JSON}.get(kind, TEXT)
    # PDB tells where a frame ends and not how many atoms it has; CIF neither, and not what its symmetry was.
    return Format(
        name,
        make,
        lambda path: _views(read_atoms(str(path))),
        kinds,
        tells_length=kind not in ("cif", "proteindatabank"),
        frames=lambda path: [_views(read_atoms(f"{path}@{i}")) for i in range(2 if several else 0)],
    )


def _field(name: str) -> Format:
    def make(folder: Path) -> Path:
        values = np.random.default_rng(1).standard_normal(GRID.shape)
        write = write_xsf if ".xsf" in name else write_cube
        path = write(folder / name.removesuffix(".gz"), crystal(), values, "Energy = -1.5 eV, broadening = 0.2 eV")
        if name.endswith(".gz"):
            (folder / name).write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path.unlink()
        return folder / name

    def read(path: Path) -> list[View]:
        reader = field_format(path)
        header = reader.read_header(path)
        check_belongs(header, crystal(), GRID)
        parts = list(reader.read_slabs(path, 2))
        values = np.full(header.shape, 0.0)
        for region, part in parts:
            values[region] = part
        level = {"energy": header.energy or 0.0, "broadening": header.broadening or 0.0}
        return [{**level, "values": values, **view} for view in _views(header.atoms)]

    return Format(name, make, read, ANY if name.endswith(".gz") else TEXT)


def finite_field(values: Any) -> list[View]:
    return [{"values": np.array(values)}]  # no map: the file changes below it


def _npy(folder: Path) -> Path:
    np.save(folder / "a.npy", np.random.default_rng(1).random((*GRID.shape, 3)).astype(np.float32))
    return folder / "a.npy"


def _h5(folder: Path) -> Path:
    openpmd.write_field(folder / "a.h5", np.random.default_rng(1).random((*GRID.shape, 3)).astype(np.float32), "ldos")
    return folder / "a.h5"


def _read_h5(path: Path) -> list[View]:
    x, y, z, _ = openpmd.field_shape(path)
    Grid(GRID.cell, (x, y, z))
    return [{"values": openpmd.read_region(path, (slice(0, x), slice(0, y), slice(0, z)), "ldos")}]


OPTIONAL: Final = frozenset(
    {"temperature", "n_electrons", "cutoff", "xc", "eigenvalues", "weights", "shape", "files"}
    | {f"terms.{name}" for name in ("fermi_energy_eV", "n_electrons", *ENERGY_TERMS)}
)
"""What a calculation may leave untold; what depends on it is then not computed, or asked for."""


def _run_views(run: DFTRun) -> list[View]:
    """What is taken of a calculation: what is not told is not there."""
    told = {
        "temperature": run.temperature, "n_electrons": run.n_electrons, "cutoff": run.density_cutoff, "xc": run.xc,
        "shape": run.shape, "files": sorted(run.pseudopotentials.values()) or None,
        "eigenvalues": run.eigenvalues if run.eigenvalues.size else None,
        "weights": run.weights if run.weights.size else None, "converged": run.converged,
        **{f"terms.{name}": value for name, value in run.terms.items()},
    }  # fmt: skip
    known = {name: value for name, value in told.items() if value is not None}
    return [{**known, **view} for view in _views(run.atoms)]


def _calculation(name: str, make: Callable[[Path], None], kinds: Sequence[Any]) -> Format:
    """A calculation beside an LDOS, as `convert` takes the two."""

    def made(folder: Path) -> Path:
        make(folder / name)
        shape = read_dft_run(folder / name).shape or GRID.shape
        np.save(folder / "ldos.npy", np.ones((*shape, 3), np.float32))
        return folder / name

    def read(path: Path) -> list[View]:
        return _run_views(prepare(Source(path, [path.parent / "ldos.npy"], energies=(-5.0, 0.2))).run)

    return Format(name, made, read, kinds, optional=OPTIONAL)


def _info(path: Path) -> None:
    atoms = crystal()
    content = {
        "temperature": 1000.0, "number_of_electrons_exact": 4.0, "ecutrho": 100.0, "fermi_energy_dft": 8.7,
        "grid_dimensions": list(GRID.shape), "band_energy_dft_calculation": 12.1, "pseudopotentials": {"Be": "Be.UPF"},
        "atoms": {"numbers": atoms.numbers.tolist(), "positions": {"array": atoms.positions.tolist()},
                  "cell": atoms.cell.array.tolist(), "pbc": [True] * 3},
    }  # fmt: skip
    path.write_text(json.dumps(content))


def _unpacked(name: str, kind: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(gzip.decompress((DATA / "qe_files" / f"{name}.{kind}.gz").read_bytes()))

    return make


def _read_upf(path: Path) -> list[View]:
    element = read_upf(path)
    names = ("core_radii", "core_rab", "core_density", "local_radii", "local_rab", "local_potential")
    arrays = {name: getattr(element, name) for name in names}
    found = {name: np.empty(0) if values is None else values for name, values in arrays.items()}
    return [{"symbol": element.symbol, "valence": element.valence, "xc": element.xc or "", **found}]


def copy_upf(folder: Path) -> Path:
    (folder / UPF.name).write_bytes(UPF.read_bytes())
    return folder / UPF.name


OTHER_PROGRAMS: Final = (
    _field("a.cube"),
    _field("a.cube.gz"),
    _field("a.xsf"),
    Format("a.npy", _npy, lambda path: finite_field(open_field(path)), ANY),
    Format("a.h5", _h5, _read_h5, ANY),
    _calculation("a.info.json", _info, JSON),
    _calculation("pw.xml", _unpacked("plain", "xml"), TEXT),
    _calculation("pw.out", _unpacked("plain", "out"), TEXT),
    Format(UPF.name, copy_upf, _read_upf, TEXT),
    _structure("a.xyz", "extxyz", several=True),
    _structure("a.traj", "traj", several=True),
    _structure("POSCAR", "vasp", several=False),
    _structure("XDATCAR", "vasp-xdatcar", several=True),
    _structure("a.cif", "cif", several=False),
    _structure("a.pdb", "proteindatabank", several=True),
    _structure("a.lammpstrj", "lammps-dump-text", several=True),
    _structure("a.lammps-data", "lammps-data", several=False, masses=True),
    _structure("b.xsf", "xsf", several=False),
    _structure("a.json", "json", several=False),
)
