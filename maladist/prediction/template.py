"""The store of a run before its blocks write to it: whole, empty, and with what each block will need."""

from __future__ import annotations

from importlib.metadata import version

from maladist import metadata
from maladist.arrays import Array
from maladist.io import stores
from maladist.io.memory import Memory
from maladist.io.ownership import Claim
from maladist.io.stores import ArrayTemplate, field_template
from maladist.prediction.fields import reference_density
from maladist.prediction.novelty import NOVELTY
from maladist.prediction.passes import Run
from maladist.prediction.record import BASIS, MODES, REFERENCE, TALLY
from maladist.prediction.tally import row_length


def make_store(run: Run, basis: Array, overwrite: bool) -> Claim | Memory:
    """Make the template with everything that the blocks write to; it is this run's."""
    setup, plan = run.setup, run.plan
    system, model = setup.system, setup.model
    shape, chunks, nt = system.grid.shape, plan.block_shape, len(system.temperatures)
    # Made before any block runs: a store that could not be made costs no computing.
    arrays = {"density": field_template("density", shape, chunks, nt if nt > 1 else 0)}
    # Only where a novelty can be told: a store of NaN would look damaged.
    if model.domain is not None:
        arrays[NOVELTY] = field_template(NOVELTY, shape, chunks)
    for name, width in (("ldos", model.energy_grid.levels), ("descriptors", model.descriptor.n_features)):
        if name in setup.keep:
            arrays[name] = field_template(name, (*shape, width), (*chunks, width))
    attributes = {
        **metadata.system_attributes(system),
        **(metadata.energy_attributes(model.energy_grid) if model.has_ldos else {}),
        # By how much the levels here lie above those that the model's file tells.
        **({"energy_zero_eV": setup.zero} if setup.zero and model.has_ldos else {}),
        "descriptors": model.descriptor.to_dict(),
        "model_hash": setup.model_hash,
        "source": f"maladist {version('maladist')} predict",
        "work": {**setup.fingerprint(), "block_shape": list(plan.block_shape)},
    }
    claim = stores.create(run.path, arrays | _work_arrays(run, basis), attributes, overwrite)
    _write_basis(claim, basis)
    return claim


def reset_work(run: Run, basis: Array) -> None:
    """Forget the blocks that are done: they are to be computed for another basis."""
    # The record first: a run that dies here must not take projections on the old basis for done.
    stores.clear_work(run.path)
    stores.add_arrays(run.path, _work_arrays(run, basis))
    _write_basis(run.path, basis)


def _work_arrays(run: Run, basis: Array) -> dict[str, ArrayTemplate]:
    shape, chunks = run.setup.system.grid.shape, run.plan.block_shape
    levels, modes = basis.shape
    row, kept = row_length(levels), modes + int(run.setup.model.has_density_channel)
    arrays = {
        MODES: ArrayTemplate((*shape, kept), (*chunks, kept), ("x", "y", "z", "mode")),
        TALLY: ArrayTemplate((len(run.plan.blocks), row), (1, row), ("block", "entry")),
    }
    if reference_density(run.setup.system)[0] == REFERENCE:
        arrays[REFERENCE] = field_template("density", shape, chunks)
    return arrays


def _write_basis(store: stores.Where, basis: Array) -> None:
    stores.write_values(store, {BASIS: (("energy", "mode"), basis, "1")})
