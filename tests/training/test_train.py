"""Training: repeats itself to the bit, learns, and reports what `predict` would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from distributed import Client

import maladist
from maladist import load_model, train
from maladist.datasets.convert.tasks import compute_descriptors
from maladist.datasets.snapshots import Snapshot, find_snapshots
from maladist.descriptors import BispectrumSpec
from maladist.errors import BlockError, InputError, StoreError
from maladist.io import stores
from maladist.io.opening import open_dataset
from maladist.neighbors import CellList
from maladist.testing import Listener
from maladist.training.metrics import EpochReport
from maladist.training.train import CHECKPOINT, MODEL
from tests.conftest import changeable
from tests.training.common import config_of, equal, metrics


def test_the_loss_falls_and_all_is_written_down(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    told = Listener()
    config = config_of(small_data_set, epochs=30, inputs={"kind": "whiten"})
    model = train(config, tmp_path / "out", client=client, observer=told)
    reports = [r for r in told.tasks if isinstance(r, EpochReport)]
    assert [r.epoch for r in reports] == list(range(1, 31))
    assert reports[-1].loss < 0.4 * reports[0].loss  # it begins at the mean LDOS
    last = reports[-1].validation
    assert last is not None and last.loss < 3 * reports[-1].loss
    assert last.mean("density") < 0.5 * reports[1].validation.metric("density")

    again = load_model(tmp_path / "out" / MODEL)
    assert again.content_hash == model.content_hash
    assert again.provenance["trained on"].keys() == {"train-0", "train-1", "train-2"}
    assert again.provenance["errors"]["loss"] == reports[-1].loss
    assert (again.xc, round(again.temperature or 0), set(again.elements)) == ("pbe", 1000, {"Be"})
    assert again.domain is not None and again.domain.cells.temperatures == pytest.approx((1000, 1000))
    assert set(again.domain.cells.distances) == {"Be-Be"} and again.domain.cells.volume[0] < 8.2
    rows = metrics(tmp_path / "out")
    assert len(rows) == 30
    assert float(rows[-1]["total_energy_meV_per_atom"]) == last.mean("total_energy")
    for name in ("band_energy_from_data", "total_energy_from_data", "band_energy_of_data", "total_energy_of_data"):
        assert float(rows[-1][f"{name}_meV_per_atom"]) == last.mean(name)
    for one in last.snapshots:
        assert one.band_energy == pytest.approx(one.band_energy_from_data + one.band_energy_of_data)
        assert one.total_energy == pytest.approx(one.total_energy_from_data + one.total_energy_of_data)
        assert 0 < abs(one.band_energy_of_data) < 1  # meV/atom: these data were checked against the DFT
    assert rows[0]["validation_loss"] == ""
    assert not (tmp_path / "out" / "samples").exists()


def test_the_same_seed_gives_the_same_bits_and_another_does_not(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    settings: dict[str, Any] = {"network": {"hidden": [16], "dropout": 0.1}, "validation": False}
    torch.manual_seed(1)
    one = train(config_of(small_data_set, **settings), tmp_path / "1", client=client)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two = train(config_of(small_data_set, **settings), tmp_path / "2", client=client)
    assert torch.equal(torch.get_rng_state(), before), "the caller's random numbers are his own"
    other = train(config_of(small_data_set, seed=1, **settings), tmp_path / "3", client=client)
    assert equal(one, two) and one.content_hash == two.content_hash
    assert not equal(one, other)


@pytest.mark.filterwarnings("ignore:the density channel holds")  # of a network that has hardly learnt
def test_what_validation_says_is_what_predict_gives(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    told = Listener()
    config = config_of(small_data_set, epochs=12, validate_every=12)
    model = train(config, tmp_path / "out", client=client, observer=told)
    (errors,) = told.tasks[-1].validation.snapshots
    (snapshot,) = find_snapshots([str(small_data_set / "snapshots/valid-0")], "data")
    atoms = maladist.metadata.atoms_of(open_dataset(snapshot.path))
    found = maladist.predict(atoms, model, grid=snapshot.system.grid.shape, client=client)
    n, terms = len(atoms), snapshot.terms
    # Float32 networks in other batches, descriptors in other blocks: 1e-5 of energies of tens of eV.
    assert errors.band_energy == pytest.approx(1e3 * (found.energies.band - terms["band_energy_eV"]) / n, abs=0.5)
    total = 1e3 * (found.energies.total - terms["total_free_energy_eV"]) / n
    assert errors.total_energy == pytest.approx(total, abs=0.5)
    dft = open_dataset(snapshot.path)["density"].values
    assert errors.density == pytest.approx(np.abs(found.density.values - dft).mean() / dft.mean(), rel=1e-3)


def test_some_validation_points_estimate_the_band_energy_of_all(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    found = []
    for share in (1.0, 0.4):
        told = Listener()
        config = config_of(small_data_set, epochs=12, validate_every=12, data={"validation_points": share})
        train(config, tmp_path / str(share), client=client, observer=told)
        found.append(told.tasks[-1].validation.snapshots[0])
    every, some = found
    assert some.total_energy is None and some.density is None
    # The error is that of a mean of differences over 40 % of the points.
    assert some.band_energy == pytest.approx(every.band_energy, abs=0.3 * abs(every.band_energy) + 5)


def test_stored_descriptors_are_read_and_give_the_same_model(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    spec = BispectrumSpec(twojmax=2, cutoff=3.5)
    data = tmp_path / "d.zarr"
    changeable(small_data_set, data)
    for snapshot in find_snapshots([str(data / "snapshots/train-*")], "data"):
        store_descriptors(snapshot, spec)
    computed = config_of(small_data_set, points=200, validation=False, epochs=2)
    stored = computed.model_copy(update={"descriptor": None, "data": config_of(data, 200, validation=False).data})
    one = train(computed, tmp_path / "computed", client=client)
    two = train(stored, tmp_path / "stored", client=client)
    assert equal(one, two)
    assert two.descriptor == spec

    kept = tmp_path / "samples"
    every = config_of(data, 1.0, validation=False, epochs=2, descriptor=None, data={"samples": str(kept)})
    told = Listener()
    train(every, tmp_path / "every", client=client, observer=told)
    assert list(kept.iterdir()) == [], "all is read from the store itself"
    copied = config_of(small_data_set, 1.0, validation=False, epochs=2, data={"samples": str(kept)})
    train(copied, tmp_path / "copied", client=client, observer=told)
    assert len(list(kept.iterdir())) == 12
    assert told.tasks[1].loss == pytest.approx(told.tasks[3].loss, rel=0.1)  # in another order


def store_descriptors(snapshot: Snapshot, spec: BispectrumSpec) -> None:
    """Descriptors beside the LDOS, in its chunks, as `convert` stores them."""
    shape = (*snapshot.system.grid.shape, spec.n_features)
    template = stores.field_template("descriptors", shape, (*snapshot.chunks, spec.n_features))
    stores.add_arrays(snapshot.path, {"descriptors": template})
    cells = CellList(snapshot.system.grid.cell_array, snapshot.system.positions, snapshot.system.numbers, spec.cutoff)
    for block in snapshot.system.grid.blocks(snapshot.chunks):
        near = cells.near_block(snapshot.system.grid, block)
        compute_descriptors(block, snapshot.system.grid, near, spec, snapshot.path)
    stores.set_attributes(snapshot.path, {"descriptor_spec": spec.to_dict()})


def test_kept_samples_are_found_by_the_next_training(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    config = config_of(small_data_set, epochs=1, data={"samples": str(tmp_path / "samples")})
    one = train(config, tmp_path / "1", client=client)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "samples").iterdir()}
    assert times
    two = train(config, tmp_path / "2", client=client)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "samples").iterdir()} == times
    assert equal(one, two)


@pytest.mark.parametrize("metric", ["loss", "band_energy", "total_energy", "total_energy_from_data"])
def test_early_stopping_ends_the_run_and_keeps_the_best(
    metric: str, small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    told = Listener()
    config = config_of(
        small_data_set,
        optimiser={"name": "SGD", "lr": 1e-12},  # nothing changes: the first validation stays the best
        schedule=None,
        epochs=50,
        validate_every=1,
        early_stopping={"metric": metric, "patience": 3},
        restrict="none",
    )
    model = train(config, tmp_path / "out", client=client, observer=told)
    reports = [r for r in told.tasks if isinstance(r, EpochReport)]
    values = [r.validation.metric(metric) for r in reports]
    best = 1 + int(np.argmin(values))
    assert len(reports) == best + 3 < 50
    assert model.provenance["epochs"] == best


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": None},
        {"schedule": {"name": "ReduceLROnPlateau", "options": {"patience": 0}}},
        {"schedule": {"name": "StepLR", "options": {"step_size": 1, "gamma": 0.5}}},
        {"schedule": {"name": "CosineAnnealingLR"}},
        {"amp": "bfloat16"},
        {"optimiser": {"name": "SGD", "lr": 0.1, "options": {"momentum": 0.9}, "clip": 0.5}},
        {"average": 0.5},
        {"network": {"hidden": [16, 16, 16], "residual": True, "activation": ["GELU", "SiLU", "Tanh", "ReLU"]}},
        {"outputs": {"kind": "standard"}, "loss": {"kind": "huber", "huber_delta": 0.1}},
        {"inputs": {"kind": "minmax"}, "outputs": {"kind": "none"}, "loss": {"kind": "mae"}},
        {"outputs": {"kind": "whiten"}, "loss": {"density": 1e-3, "band": 1e-3}},
    ],
    ids=lambda s: "-".join(s),
)
def test_every_option_learns(settings: dict[str, Any], small_data_set: Path, tmp_path: Path, client: Client) -> None:
    told = Listener()
    train(config_of(small_data_set, epochs=8, **settings), tmp_path / "out", client=client, observer=told)
    reports = [r for r in told.tasks if isinstance(r, EpochReport)]
    assert reports[-1].loss < 0.99 * reports[0].loss
    if settings.get("schedule", {}) and settings["schedule"]["name"] == "StepLR":
        assert [r.learning_rate for r in reports[:3]] == pytest.approx([5e-3, 2.5e-3, 1.25e-3])


def test_metrics_go_to_tensorboard(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    pytest.importorskip("tensorboard")
    train(config_of(small_data_set, epochs=1, tensorboard=True), tmp_path / "out", client=client)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    events.Reload()
    assert {"loss", "learning_rate", "validation_loss"} <= set(events.Tags()["scalars"])


@pytest.mark.slow
def test_metrics_go_to_wandb(
    small_data_set: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for epochs in (1, 2):
        config = config_of(small_data_set, epochs=epochs, wandb="be", schedule=None)
        train(config, tmp_path / "out", client=client, resume=epochs == 2)
    runs = list((tmp_path / "out" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert {run.stem for run in runs} == {f"run-{(tmp_path / 'out' / 'wandb-id.txt').read_text()}"}
    assert wandb.run is None  # the caller's own is left alone


def test_what_cannot_be_trained_is_refused_before_work(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    def refused(match: str, **more: Any) -> None:
        with pytest.raises(InputError, match=match):
            train(config_of(small_data_set, **more), tmp_path / "out", client=client)
        assert not (tmp_path / "out" / CHECKPOINT).exists()

    refused(r"batch\.points: 128; wanted at most 100", batch={"snapshots": 1, "points": 128})
    refused(r"data\.train: .*nothing-\* ?, which matches nothing", data={"train": str(small_data_set / "nothing-*")})
    refused(r"descriptor: none, and none is stored with train-0", descriptor=None)
    with pytest.raises(InputError, match=r"output: .* is not a folder"):
        train(config_of(small_data_set), tmp_path / "no" / "out", client=client)


def test_a_loss_that_runs_away_ends_the_run_and_keeps_the_epoch_before(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    config = config_of(
        small_data_set,
        validation=False,
        optimiser={"name": "SGD", "lr": 0.01},
        schedule={"name": "StepLR", "options": {"step_size": 2, "gamma": 1e20}},
    )
    with pytest.raises(InputError, match=r"optimiser\.lr: a loss that is not finite in epoch 3"):
        train(config, tmp_path / "out", client=client)
    state = torch.load(tmp_path / "out" / CHECKPOINT, weights_only=True)
    assert state["epoch"] == 2
    assert all(bool(torch.isfinite(w).all()) for w in state["network"].values())


def test_an_ldos_that_is_not_finite_is_refused_naming_the_snapshot(
    small_data_set: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small one where it is opened, a large one by the chunk in which it is found."""
    data = tmp_path / "d.zarr"
    changeable(small_data_set, data)
    zarr.open_group(str(data / "snapshots" / "train-1"), mode="r+")["ldos"][3, 4, 5, 6] = np.nan
    with pytest.raises(StoreError, match=r"train-1: ldos: numbers that are not finite"):
        train(config_of(data, points=1.0, validation=False), tmp_path / "out", client=client)
    monkeypatch.setattr("maladist.schema.SMALL", 0)
    with pytest.raises(BlockError, match=r"train-1 chunk 0.*LDOS that are not finite"):
        train(config_of(data, points=1.0, validation=False), tmp_path / "out", client=client)


def test_members_are_networks_of_their_seeds_and_the_model_is_their_mean(
    small_data_set: Path, tmp_path: Path, client: Client
) -> None:
    told = Listener()
    config = config_of(small_data_set, members=2, epochs=2, seed=5)
    model = train(config, tmp_path / "out", client=client, observer=told)
    alone = train(config_of(small_data_set, epochs=2, seed=5), tmp_path / "alone", client=client)
    first, second = model.members()
    assert equal(first, alone) and not equal(first, second)
    x = torch.rand(7, model.descriptor.n_features) * 50
    mean = (first.network(x) + second.network(x)) / 2
    torch.testing.assert_close(model.network(x), mean)
    assert load_model(tmp_path / "out" / MODEL).content_hash == model.content_hash
    assert len(model.provenance["errors of members"]) == 2
    assert model.provenance["errors"]["validation_loss"] < 1.01 * np.mean(
        [member["validation_loss"] for member in model.provenance["errors of members"]]
    ), "the error of a mean is at most the mean error"
    again = train(config, tmp_path / "out", client=client, resume=True)
    assert again.content_hash == model.content_hash
    with pytest.raises(InputError, match=r"output: .* holds a training"):
        train(config, tmp_path / "out", client=client)


def test_data_sets_may_have_names_in_common(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    data = tmp_path / "d.zarr"
    changeable(small_data_set, data)
    both = [str(small_data_set / "snapshots/train-*"), str(data / "snapshots/train-*")]
    told = Listener()
    config = config_of(small_data_set, validation=False, epochs=1, data={"train": both})
    model = train(config, tmp_path / "out", client=client, observer=told)
    assert len(model.provenance["trained on"]) == 6


def test_snapshots_with_other_energies_are_refused(small_data_set: Path, tmp_path: Path, client: Client) -> None:
    data = tmp_path / "d.zarr"
    changeable(small_data_set, data)
    other = zarr.open_group(str(data / "snapshots" / "train-1"), mode="r+")
    other["energy"][...] = np.asarray(other["energy"]) + 0.1
    with pytest.raises(InputError, match=r"data\.train: train-1 with an energy grid .* as train-0 has"):
        train(config_of(data), tmp_path / "out", client=client)
