"""What active learning is told, from a YAML file or from Python: checked before anything is computed.

    model: be-1000K                     # the first one: a file, or the name of a shipped model
    atoms: [be8.extxyz, be16.extxyz]    # cells that MD begins from, one frame each
    md: {temperatures: [300, 1000], steps: 400, every: 20, equilibration: 100}
    count: 12                           # cells a round for the DFT
    dft: dft.yaml                       # what `maladist dft --setup` takes
    train: train.yaml                   # what `maladist train` takes; a round adds its cells to data.train
    held_out: [be.zarr/snapshots/test-*]
    bounds: {total_free_energy_meV_per_atom: 5, forces_relative: 0.1}
    rounds: 4

Paths are relative to the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from maladist.configuration import FilePath, Section
from maladist.errors import InputError
from maladist.io.yaml import Configuration
from maladist.training.config import TrainConfig, with_training
from maladist.training.sections import Patterns

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Figure = Literal[
    "total_free_energy_meV_per_atom",
    "band_energy_meV_per_atom",
    "density_relative",
    "forces_relative",
    "forces_rmse_eV_per_A",
]
"""Errors that can be bounded, by their names in the JSON of `maladist evaluate`."""


class DynamicsConfig(Section):
    """Langevin dynamics from each of the cells at each of the temperatures, anew in each round.

    Attributes
    ----------
    temperatures
        Temperatures of the ions, K.
    steps, timestep, friction, every, stop_novelty
        As in `MDSettings`. An MD that leaves the training by ``stop_novelty`` ends there, its frames count.
    equilibration
        Steps before the first frame that counts.
    """

    temperatures: list[Positive] = Field(min_length=1)
    steps: Count
    timestep: Positive = 1.0
    friction: Positive = 0.02
    every: Count = 10
    equilibration: int = Field(default=0, ge=0)
    stop_novelty: Positive | None = 5.0


class LearnConfig(Configuration):
    """All that active learning is told.

    Attributes
    ----------
    model
        The first model: its file, or the name of a shipped one.
    atoms
        Cells that MD begins from: files that ASE reads, FILE@index for one frame of several.
    md
        Dynamics.
    count
        Cells that a round gives to the DFT.
    points
        Points of a cell that are looked at when it is ranked.
    dft
        Settings of Quantum ESPRESSO or GPAW (dft.yaml); may be absent where another code is given in Python.
    train
        Configuration of the trainings, or its file; each round trains anew, on its ``data.train`` and on the cells of
        all rounds.
    held_out
        Data that each model is evaluated on.
    bounds
        Errors, mean absolute over the held-out cells of each size, at which no further round begins: energies in
        meV/atom, density and forces as shares.
    rounds
        Number of rounds at most.
    seed
        Seed of velocities and thermostats; each MD of each round has one of its own.
    """

    model: str
    atoms: list[FilePath] = Field(min_length=1)
    md: DynamicsConfig
    count: Count
    points: Count = 1000
    dft: FilePath | None = None
    train: TrainConfig
    held_out: Annotated[Patterns, Field(min_length=1)]
    bounds: dict[Figure, Positive] = Field(default={})
    rounds: Count = 5
    seed: int = Field(default=0, ge=0, lt=2**31)

    def training(self, new: list[str]) -> TrainConfig:
        """The configuration of a training that also has these new snapshots, paths or patterns."""
        data = self.train.data
        return self.train.model_copy(update={"data": data.model_copy(update={"train": [*data.train, *new]})})

    @classmethod
    def of(cls, values: object, source: str = "config", folder: str | Path | None = None) -> Self:
        """Check a mapping and the training's configuration that it names or holds.

        Raises
        ------
        InputError
            Naming the first key that is wrong.
        """
        values = with_training(values, source, folder)
        # A shipped model's name is no path; a file of that name goes before it.
        if isinstance(values, dict) and isinstance(model := values.get("model"), str) and folder is not None:
            path = Path(folder).resolve() / model
            values = {**values, "model": str(path) if path.is_file() else model}
        made = super().of(values, source, folder)
        if made.md.equilibration > made.md.steps:
            came = f"{made.md.equilibration} of {made.md.steps} steps"
            raise InputError(f"{source}: md.equilibration", came, "fewer than the MD has")
        return made
