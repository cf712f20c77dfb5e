"""A model for MALA: what MALA has no place for is refused, or left out where that is asked for.

The LDOS d(ε, r) is the same function of the descriptors. MALA has one network, an LDOS alone, and energies that do not
move with the cell; the zip's are those of the cell that it is made with.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from maladist.atoms import AtomsLike, ase_atoms, check_atoms
from maladist.errors import AtomsError, ModelError, OutputError
from maladist.grid import Grid
from maladist.io.mala.model_zip import model_zip
from maladist.io.model_file import load_model
from maladist.io.targets import check_file, write_whole
from maladist.learning.model import LDOSModel
from maladist.learning.network import FeedForward
from maladist.prediction.setup import choose_grid, known_elements


def export_mala(
    model: LDOSModel | str | Path,
    atoms: AtomsLike,
    path: str | Path,
    *,
    member: int | None = None,
    without_density: bool = False,
    grid: Grid | Sequence[int] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model as the zip that MALA 1.4 loads, with the same LDOS from the same descriptors, in float32.

    MALA does not get what it has no place for and the LDOS does not need: the model's domain, its calibrated σ, the
    broadening of its data.

    Parameters
    ----------
    model
        Model, its file, or the name of one that comes with the package.
    atoms
        A cell with all elements of the model. MALA keeps it for its elements, electrons and grid. Where the energies
        of the model move with the cell (``energy_zero``) they become those of this cell, and of any that has its mean
        potential, as its supercells have.
    path
        Zip to write. MALA finds its members by its name, so it must not be renamed.
    member
        Number of the network to take, from 0, of an ensemble, of which MALA has none.
    without_density
        Whether to leave out the density channel, which MALA does not have: it takes n(r) from the LDOS.
    grid
        Grid of the cell, or its numbers of points; where None one of the model's spacing.
    overwrite
        Whether a file that exists is replaced.

    Returns
    -------
    Path
        The zip.

    Raises
    ------
    ModelError
        What MALA does not have: an ensemble or a density channel that nothing is said of, other descriptors than
        bispectrum and Gaussian density, energies in parts, residual layers, outputs that are whitened.
    AtomsError
        A cell without an element of the model, or with others.
    OutputError
        A file that exists or cannot be written, or has another ending.

    Examples
    --------
    >>> maladist.export_mala("be-1000K", be, "Be.zip", member=0, without_density=True).name
    'Be.zip'
    """
    path = check_file(path, overwrite=overwrite)
    if path.suffix != ".zip":
        raise OutputError("output", path.name, "a name that ends in .zip", "MALA looks for no other.")
    model = model if isinstance(model, LDOSModel) else load_model(model)
    model.need_ldos("LDOS for MALA")
    atoms, known = ase_atoms(atoms), known_elements(model)
    check_atoms(atoms, known)
    if missing := sorted((known or set()) - set(atoms.get_chemical_symbols())):
        raise AtomsError("atoms", f"none of {', '.join(missing)}", "a cell with all elements of the model")
    one = _without_density(_one_network(model, member), without_density)
    placed = one.placed(atoms.get_chemical_symbols(), atoms.get_volume())
    return write_whole(path, model_zip(placed, atoms, choose_grid(atoms, placed, grid), path.stem))


def _one_network(model: LDOSModel, member: int | None) -> LDOSModel:
    if member is None:
        # One that stands for an ensemble gives what the model gives.
        if len(model.network.evaluated) > 1:
            came, remedy = f"an ensemble of {len(model.network.evaluated)} networks", "Give --member 0 (member=0)"
            raise ModelError("model", came, "one network: MALA has no ensembles", f"{remedy}, or distil it.")
        return replace(model, network=model.network.evaluated[0], uncertainty=None)
    members = model.members()
    if not 0 <= member < len(members):
        raise ModelError("member", f"{member}", f"a number from 0 to {len(members) - 1}")
    return members[member]


def _without_density(model: LDOSModel, asked: bool) -> LDOSModel:
    """The model without the last output of its network, where that is a density channel."""
    if not model.has_density_channel:
        return model
    if not asked:
        remedy = "Give --without-density (without_density=True); the LDOS is the same without it."
        raise ModelError("model", "one with a density channel", "an LDOS alone: MALA has no such channel", remedy)
    network = model.network
    assert isinstance(network, FeedForward)
    config, last = network.config(), len(network.linear) - 1
    if config["activations"][-1] is not None:
        raise ModelError("model", "a density channel behind an activation function", "a last layer that is linear")
    config["layer_sizes"][-1] -= 1
    weights: dict[str, torch.Tensor] = dict(copy.deepcopy(network.state_dict()))
    for part in ("weight", "bias"):
        weights[f"linear.{last}.{part}"] = weights[f"linear.{last}.{part}"][:-1]
    return replace(model, network=FeedForward.from_config(config, weights).eval(), density_scaler=None)
