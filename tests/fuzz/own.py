"""What the program writes itself, and MALA's models: an undamaged file of each, and the function that reads it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from maladist import metadata
from maladist.active.config import LearnConfig
from maladist.cluster.description import describe
from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.snapshots import Snapshot
from maladist.energy_grid import EnergyGrid
from maladist.io import datasets, stores
from maladist.io.model_file import load_model, save_model
from maladist.io.opening import open_dataset
from maladist.io.qe.run import DFTRun
from maladist.io.samples import read_checkpoint, read_rows, write_checkpoint, write_rows
from maladist.testing import tiny_model
from maladist.training.config import TrainConfig
from maladist.tuning.config import TuneConfig
from tests.fuzz.harness import Format, View
from tests.fuzz.mutations import ANY, JSON, PICKLE, TEXT, Damage, Random, tree
from tests.fuzz.other_programs import DATA, GRID, UPF, copy_upf, crystal, finite_field


def _read_model(path: Path) -> list[View]:
    model = load_model(path)
    ldos = model.ldos(torch.ones((1, model.descriptor.n_features)) * 20)
    grid = model.energy_grid
    told = {
        "temperature": model.temperature or 0.0,
        "cutoff": model.density_cutoff or 0.0,
        "spacing": model.spacing or (),
    }
    energies = {"kernel": grid.kernel, "width": grid.width, "grid": np.ravel(grid.windows)}
    elements = {"elements": " ".join(sorted(model.elements))}
    elements |= {"valence": sum(e.valence or 0.0 for e in model.elements.values())}
    return [{**told, **elements, "ldos": ldos.numpy(), **energies}]


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # with no date, so that a seed's damage is the same
    return buffer.getvalue()


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _mala(folder: Path) -> Path:
    (folder / "Be.zip").write_bytes((DATA / "mala_small.zip").read_bytes())
    return folder / "Be.zip"


def _in_member(content: bytes, random: Random) -> Damage:
    """Damage within a member, packed again so that the archive's checksums hold."""
    members = _members(content)
    name = sorted(members)[random.integers(len(members))]
    if name.endswith(".json"):
        damage = tree(members[name], random)
    elif random.random() < 0.2:
        damage = Damage("member replaced by a pickle", PICKLE, 0)
    else:
        damage = ANY[random.integers(len(ANY))](members[name], random)
    # A weight stands in the LDOS of all three levels.
    return Damage(f"{damage.kind}, within the archive", _zip({**members, name: damage.content}), damage.touched + 3)


def _model_file(folder: Path) -> Path:
    return save_model(tiny_model(), folder / "a.maladist")


def _wrong_header(content: bytes, random: Random) -> Damage:
    """Damage to the JSON of a model file's header, whose length is kept true; its checksum cannot be."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    inner = tree(header["__metadata__"]["maladist"].encode(), random)
    header["__metadata__"]["maladist"] = inner.content.decode()
    text = json.dumps(header).encode()
    return Damage(inner.kind, len(text).to_bytes(8, "little") + text + content[8 + size :], 2)


def _checkpoint(folder: Path) -> Path:
    state = {"epoch": 3, "loss": 0.5, "weights": {"a": torch.arange(12.0).reshape(3, 4)}, "history": [{"train": 1.0}]}
    write_checkpoint(folder / "checkpoint.pt", state)
    return folder / "checkpoint.pt"


def _read_checkpoint(path: Path) -> list[View]:
    state = read_checkpoint(path)
    return [{"keys": sorted(map(str, state)), "weights": state.get("weights", {}).get("a", torch.zeros(0)).numpy()}]


def _rows(folder: Path) -> Path:
    write_rows(folder / "rows.npy", np.random.default_rng(1).random((50, 7), np.float32))
    return folder / "rows.npy"


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Numbers and words of nested mappings and lists by their place."""
    if isinstance(value, Mapping):
        return {k: v for key, part in value.items() for k, v in _leaves(part, f"{name}.{key}").items()}
    if isinstance(value, list | tuple):
        return {k: v for i, part in enumerate(value) for k, v in _leaves(part, f"{name}[{i}]").items()}
    return {name: value if isinstance(value, int | float) else str(value)}


def _yaml(name: str, text: str, read: Callable[[Path], Any]) -> Format:
    def make(folder: Path) -> Path:
        copy_upf(folder)
        (folder / name).write_text(text)
        return folder / name

    # A configuration is what its author says: a line that is left out has its default, so lengths tell nothing.
    return Format(name, make, lambda path: [_leaves(read(path))], (*TEXT, _code), tells_length=False)


def _code(content: bytes, random: Random) -> Damage:
    """A value with a tag that makes YAML loaders run code."""
    lines = content.splitlines(keepends=True)
    i = int(random.integers(len(lines)))
    key = lines[i].partition(b":")[0]
    tag = (b"!!python/object/apply:os.system ['touch code-was-run']", b"!!python/name:os.system", b"*loop", b"&a [*a]")
    lines[i] = key + b": " + tag[random.integers(len(tag))] + b"\n"
    return Damage("code in YAML", b"".join(lines), 2)


def _snapshot(folder: Path) -> Path:
    """A finished snapshot of two atoms, with all that `convert` writes."""
    random, atoms, energies = np.random.default_rng(1), crystal(), EnergyGrid(-5.0, 0.5, 6, "gaussian", 0.2)
    attributes = {
        **metadata.grid_attributes(GRID), **metadata.energy_attributes(energies), "temperature_K": 1000.0,
        "n_electrons": 4.0, "xc": "pbe", "density_cutoff_eV": 400.0, "source": "made up",
    }  # fmt: skip
    chunks = (2, *GRID.shape[1:])
    arrays = {
        "ldos": stores.field_template("ldos", (*GRID.shape, 6), (*chunks, 6)),
        "density": stores.field_template("density", GRID.shape, chunks),
    }
    store = stores.create(folder / "s.zarr", arrays, attributes)
    stores.write_region(store, "ldos", (), random.random((*GRID.shape, 6)).astype(np.float32))
    stores.write_region(store, "density", (), random.random(GRID.shape))
    values = {
        "dos": (("energy",), random.random(6), "1/eV"),
        "energy": (("energy",), energies.values, "eV"),
        "number": (("atom",), atoms.numbers.astype(np.int16), "1"),
        "position": (("atom", "xyz"), atoms.positions, "Å"),
    }
    stores.write_values(store, values)
    run = DFTRun(Path("made-up"), atoms, terms={"fermi_energy_eV": 8.0, "total_free_energy_eV": -70.0})
    datasets.write_reference(store, run)
    stores.finish(store)
    return folder / "s.zarr"


def _read_snapshot(group: Path) -> list[View]:
    """All that training, observing and evaluating take of a snapshot."""
    snapshot = Snapshot.read(group)
    dataset = open_dataset(group)
    fields = {name: np.asarray(values) for name, values in dataset.variables.items()}
    terms = {f"terms.{name}": value for name, value in snapshot.terms.items()}
    return [{**{str(k): v for k, v in fields.items()}, **terms, "temperature": snapshot.temperature or 0.0}]


def _stored(file: str, kinds: Sequence[Any]) -> Format:
    """A file of a snapshot; stores have checksums, so that any other number is told."""
    up = file.count("/") + 1

    def make(folder: Path) -> Path:
        path = _snapshot(folder) / file
        assert path.is_file(), f"no file {file} in a snapshot"
        return path

    return Format(f"zarr {file}", make, lambda path: _read_snapshot(path.parents[up - 1]), kinds)


TRAIN: Final = """data:
  train: ["be.zarr/snapshots/train-*"]
  validation: ["be.zarr/snapshots/valid-*"]
  points: 1500
descriptor: {family: bispectrum, twojmax: 10, cutoff: 4.67637}
energy_zero: {Be: 70.0}
network: {hidden: [200, 200]}
loss: {ldos: 1.0, density: 4.0}
optimiser: {name: AdamW, lr: 2.0e-3, options: {weight_decay: 1.0e-4}}
batch: {snapshots: 4, points: 256}
epochs: 60
"""
LEARN: Final = """model: be-1000K
atoms: [be8.extxyz, be16.extxyz@0]
md: {temperatures: [300, 1000], steps: 400, every: 20, equilibration: 100}
count: 12
dft: dft.yaml
train:
  data: {train: "be.zarr/snapshots/train-*", points: 1000}
  epochs: 5
held_out: ["be.zarr/snapshots/test-*"]
bounds: {total_free_energy_meV_per_atom: 5, forces_relative: 0.1}
rounds: 4
"""

TUNE: Final = f"""train:
{"".join(f"  {line}" + chr(10) for line in TRAIN.splitlines())}search:
  optimiser.lr: {{low: 1.0e-4, high: 1.0e-2, log: true}}
  network.hidden: {{choices: [[100], [200, 200]]}}
objective: band_energy
trials: 30
sampler: {{name: TPESampler}}
"""
DFT: Final = f"""temperature: 1000
pseudopotentials: {UPF.name}
ecutwfc: 25
ecutrho: 100
kpoints: {{8: [4, 4, 6], 16: [4, 4, 3]}}
energies: {{origin: -6.0, spacing: 0.2, levels: 95}}
broadening: 0.4
bands: 2.0
"""
SLURM: Final = """kind: slurm
workers: 64
queue: standard
account: my-project
cores: 16
processes: 16
memory: 64GB
walltime: "04:00:00"
interface: ib0
log_directory: slurm-logs
job_extra_directives: ["--exclusive"]
"""


OWN: Final = (
    Format("a.maladist", _model_file, _read_model, (*ANY, _wrong_header, _wrong_header)),
    Format("Be.zip", _mala, _read_model, (*ANY, *[_in_member] * 8)),
    Format("checkpoint.pt", _checkpoint, _read_checkpoint, ANY),
    Format("rows.npy", _rows, lambda path: finite_field(read_rows(path)), ANY),
    _yaml("train.yaml", TRAIN, lambda path: TrainConfig.read(path).to_dict()),
    _yaml("tune.yaml", TUNE, lambda path: TuneConfig.read(path).model_dump()),
    _yaml("learn.yaml", LEARN, lambda path: LearnConfig.read(path).to_dict()),
    _yaml("dft.yaml", DFT, lambda path: Espresso.read(path).model_dump()),
    _yaml("slurm.yaml", SLURM, describe),
    _stored("zarr.json", JSON),
    _stored("ldos/zarr.json", JSON),
    _stored("number/zarr.json", JSON),
    _stored("ldos/c/0/0/0/0", ANY),
    _stored("energy/c/0", ANY),
    _stored("reference/zarr.json", JSON),
)
