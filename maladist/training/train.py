"""Training: one flat loop over batches, which can be killed at any time and goes on to the same numbers.

In the output folder are ``model.maladist``, ``metrics.csv``, ``checkpoint.pt`` (of the last epoch that was
checkpointed; a run that goes on begins there) and, if asked for, TensorBoard's files under ``tensorboard`` and those of
Weights & Biases under ``wandb``. The random
numbers of an epoch follow from seed and number of the epoch alone, so nothing is different after an interruption.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import torch
from distributed import Client

from maladist.cluster import client_or_local
from maladist.errors import InputError
from maladist.io import ownership
from maladist.io.model_file import save_model
from maladist.io.ownership import Claim
from maladist.io.samples import read_checkpoint, write_checkpoint
from maladist.io.targets import check_folder, explained
from maladist.learning.loss import TERMS
from maladist.learning.model import LDOSModel
from maladist.parallel.progress import Observer, Silent
from maladist.training.config import TrainConfig
from maladist.training.data import TrainingData, find_data
from maladist.training.prepare import Prepared, prepare
from maladist.training.ranks import run_ranks
from maladist.training.state import Rank, TrainingState

MODEL: Final = "model.maladist"
CHECKPOINT: Final = "checkpoint.pt"
MEMBER: Final = "member-{}"


def train(
    config: TrainConfig,
    output: str | Path,
    *,
    client: Client | None = None,
    ranks: int = 1,
    resume: bool = False,
    observer: Observer | None = None,
    data: TrainingData | None = None,
) -> LDOSModel:
    """Train a model.

    Parameters
    ----------
    config
        Configuration of the training.
    output
        Folder to make; holds the model, the metrics and the checkpoint.
    client
        Client whose workers choose and describe the points; a local cluster where None. The network is trained in this
        process, or by so many of the workers as there are ``ranks``.
    ranks
        Number of processes that train one network together, each on its part of every batch: `torch.nn.parallel`'s
        DistributedDataParallel with one rank a worker. They must see ``output``.
    resume
        Whether to go on where an earlier call was interrupted; from the beginning where there is no checkpoint.
    observer
        Observer that is told of the epochs (`EpochReport`), and what the user should know; nobody where None.
    data
        Result of `find_data` for this configuration, where it was called before.

    Returns
    -------
    LDOSModel
        The trained model, on the CPU; the file ``output/model.maladist`` holds the same.

    Raises
    ------
    InputError
        The data cannot be learnt from, the output exists, or its checkpoint is of another configuration.

    Examples
    --------
    >>> config = maladist.TrainConfig(
    ...     data={"train": ["be.zarr/snapshots/train-*"], "points": 50, "pseudopotentials": "upf"},
    ...     descriptor={"family": "power_spectrum", "radial": [3, 2], "cutoff": 4.0},
    ...     network={"hidden": [8]},
    ...     batch={"snapshots": 2, "points": 50},
    ...     epochs=1,
    ... )
    >>> with maladist.cluster("local", workers=1) as client:
    ...     model = maladist.train(config, "training", client=client)
    >>> model.descriptor.n_features
    6
    """
    if config.loss.forces and ranks > 1:
        remedy = "The second derivative does not pass through DistributedDataParallel."
        raise InputError("loss.forces", f"{config.loss.forces} with {ranks} ranks", "one rank, or 0", remedy)
    data, observer = data or find_data(config), observer or Silent()
    output = open_output(output, resume)
    with ownership.take(output) as folder, client_or_local(client) as connected:
        networks = f"{config.members} network{'s' * (config.members > 1)}"
        observer.begin(connected, f"{networks} of {config.epochs} epochs")
        prepared = prepare(config, data, output, connected, observer)
        one = fit if ranks == 1 else partial(fit_by_ranks, connected, ranks)
        train_it = one if config.members == 1 else partial(fit_members, one)
        model = train_it(config, prepared, folder, resume=resume, observer=observer)
        # Somebody may have taken the folder over while this process slept, or hung on a file system.
        folder.check()
        save_model(model, output / MODEL)
        # After the model is written: a run that dies before finds its samples again.
        if config.data.samples is None:
            shutil.rmtree(output / "samples", ignore_errors=True)
    return model


def open_output(output: str | Path, resume: bool) -> Path:
    """The output folder, made; refuses one that an earlier training used, unless it is resumed, or that one uses."""
    output = check_folder(Path(output).resolve())
    ownership.refuse_living(output)
    if not resume and any((output / name).exists() for name in (MODEL, CHECKPOINT, MEMBER.format(0))):
        raise InputError("output", f"{output} holds a training", "a new folder", "Give --resume to go on with it.")
    with explained(output):
        output.mkdir(exist_ok=True)
    return output


def fit_by_ranks(
    client: Client,
    ranks: int,
    config: TrainConfig,
    prepared: Prepared,
    output: Claim,
    *,
    resume: bool = False,
    observer: Observer | None = None,
) -> LDOSModel:
    """`fit` by several processes at once, the workers of a client; the model is that of rank 0.

    Raises
    ------
    ClusterError
        Fewer workers than ranks.
    RankError
        A rank failed or its worker died; the last checkpoint is kept.
    """
    # The same object as on the workers, made here for its checks: the error comes before any rank has started.
    prepared.batches(config, 0, ranks)
    task = partial(fit, config, prepared, output, resume=resume)
    kept = "Finished epochs are kept: --resume (resume=True) goes on"
    model = run_ranks(client, ranks, task, device=config.torch_device.type, observer=observer, kept=kept)
    assert isinstance(model, LDOSModel)
    return model


def fit_members(
    fit_one: Callable[..., LDOSModel],
    config: TrainConfig,
    prepared: Prepared,
    output: Claim,
    *,
    resume: bool = False,
    observer: Observer | None = None,
) -> LDOSModel:
    """Train ``config.members`` networks on the same points, by seeds that follow one another; return their mean.

    ``fit_one`` is `fit` or what does the same; the other parameters are those of `fit`. Each network has its metrics
    and checkpoint in a folder of its own, ``member-0`` and so on.
    """
    observer, models = observer or Silent(), []
    for i in range(config.members):
        observer.note(f"member {i + 1} of {config.members}")
        folder = output.below(MEMBER.format(i))
        Path(folder).mkdir(exist_ok=True)
        # Nothing else differs between members: their spread is that of weights and of the order of batches.
        alone = config.model_copy(update={"seed": config.seed + i, "members": 1})
        models.append(fit_one(alone, prepared, folder, resume=resume, observer=observer))
    # The mean is validated as a model of its own: it is better than its members' mean error.
    model, validation = LDOSModel.mean_of(models), prepared.checked_on(config)
    errors = {} if validation is None else validation(model.to(config.torch_device)).to_dict()
    if errors:
        observer.note("the mean of all members: " + ", ".join(f"{name} {value:.4g}" for name, value in errors.items()))
    settings = {**model.provenance["config"], "members": config.members}
    each = [member.provenance["errors"] for member in models]
    return replace(
        model, provenance={**model.provenance, "config": settings, "errors": errors, "errors of members": each}
    )


def fit(
    config: TrainConfig,
    prepared: Prepared,
    output: Claim,
    *,
    resume: bool = False,
    observer: Observer | None = None,
    rank: Rank | None = None,
) -> LDOSModel:
    """Train one network on data that are ready, as the only process or as one of several.

    Parameters
    ----------
    config, output, resume, observer
        Configuration, folder and observer, as in `train`; only rank 0 writes and tells.
    prepared
        Data of the training, ready to be read.
    rank
        The part of this process: which chunks it reads and how its gradients meet those of the others.

    Returns
    -------
    LDOSModel
        The model, on the CPU; that of rank 0 is the one to keep, others do not know which weights were the best.

    Raises
    ------
    InputError
        The loss is no longer finite, or the checkpoint is of another configuration or of other data.
    """
    rank, observer = rank or Rank(), observer or Silent()
    # Torch's random numbers belong to the process: the caller's own go on afterwards as if nothing had been trained.
    with torch.random.fork_rng():
        batches = prepared.batches(config, rank.index, rank.world)
        folder = Path(output)
        run, checkpoint = TrainingState(config, prepared, folder, rank, steps=batches.steps), folder / CHECKPOINT
        if resume and checkpoint.exists():
            run.load(read_checkpoint(checkpoint))
        loss_of = prepared.loss(config, prepared.data.train, "data.train")
        forces_of = prepared.force_loss(config)
        inputs, device = run.inputs, config.torch_device
        parallel = rank.wrap(run.network)
        observer.stage("epochs", config.epochs, run.epoch)
        for epoch in range(run.epoch, config.epochs):
            # A checkpoint of a training that has stopped early is finished, whatever epochs are left.
            if run.stopped:
                break
            began, terms = time.perf_counter(), torch.zeros(len(TERMS) + 1, device=device)
            # A number for each seed, epoch and rank, so that an epoch after an interruption drops the same units.
            torch.manual_seed((config.seed * 1_000_003 + epoch) * 1009 + rank.index)  # of the dropout
            parallel.train()
            for batch in batches.epoch(epoch):
                batch = batch.to(device)
                with torch.autocast(device.type, run.autocast, enabled=config.amp != "none"):
                    y = parallel(inputs.transform(batch.features))
                weighted = loss_of.terms_of(loss_of.averages(y.float(), batch.targets, batch.snapshots))
                slopes = weighted.new_zeros(1)
                if forces_of is not None:
                    slopes = config.loss.forces * forces_of(run.network, int(batch.snapshots[0]))[None]
                weighted = torch.cat([weighted, slopes])
                portions = torch.tensor(float(len(batch.snapshots)), device=device)
                # Of a ragged last batch a rank may have fewer portions: its gradient then weighs less in the average.
                run.step(weighted.sum() * (portions / rank.mean(portions)))
                terms += weighted.detach()
            terms = rank.mean(terms)
            # Weights too: a step may have spoilt them after the last loss that was still finite.
            if not all(bool(torch.isfinite(values).all()) for values in (terms, *run.network.parameters())):
                came = f"a loss that is not finite in epoch {epoch + 1}"
                raise InputError("optimiser.lr", came, "a smaller one, or optimiser.clip", "The epoch before is kept.")
            report = run.end_epoch(terms / batches.steps, time.perf_counter() - began)
            if rank.index == 0:
                observer.advance(report)
                if run.stopped or run.epoch == config.epochs or run.epoch % config.checkpoint_every == 0:
                    # Before a checkpoint is written: one of another run in the same folder must not be overwritten.
                    output.check()
                    # The checkpoint before the table: epochs that are in the table can be gone on from.
                    write_checkpoint(checkpoint, run.state())
                    run.write_metrics()
        run.close_metrics()
        return run.model()
