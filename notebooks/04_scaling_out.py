# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4 · Scaling out
#
# The same cell on one worker, on two, on all cores, and on SLURM: plan first, then run, then interrupt a run and go on.

# %%
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import maladist
from maladist import examples
from maladist.cluster import job_script
from maladist.parallel.progress import Silent

SMALL = os.environ.get("MALADIST_NOTEBOOK_SIZE") == "small"  # seconds for each page: the tests' size
scratch = Path(tempfile.mkdtemp(prefix="maladist-notebook-", dir=os.environ.get("MALADIST_SCRATCH")))
os.chdir(scratch)  # logs of batch jobs go there too
model = maladist.load_model("be-1000K")
atoms = examples.beryllium(2, 2, 2) if SMALL else examples.beryllium(5, 5, 4)
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
print(f"{len(atoms)} atoms of beryllium, {cores} cores")

# %% [markdown]
# ## Plan before run
#
# On your laptop a wrong guess costs a minute, on a cluster a day in a queue. `plan` takes the arguments of `predict`,
# checks all of them, says how the cell is cut and what a worker needs, and refuses what cannot fit:

# %%
with maladist.cluster("local", workers=1) as client:
    plan = maladist.plan(atoms, model, client=client)
for what, much in plan.rows():
    print(f"{what:<30} {much}")

# %%
tight = {"kind": "local", "workers": 1, "processes": False, "memory_limit": "450MB"}
try:
    with maladist.cluster(tight) as small:
        maladist.plan(atoms, model, client=small, chunks=plan.grid.shape, calibrate=False)
except maladist.errors.WorkerTooSmallError as error:
    print(error)

# %% [markdown]
# ## One worker, two, all of them
#
# A Dask cluster grows and shrinks while it runs. The blocks are the same each time, so that the work is. Workers are
# warmed up by a first run, which is not counted: compiling the kernel takes each of them a second or two, once.

# %%
chunks = tuple(-(-n // 3) for n in plan.grid.shape)
seconds, results = {}, {}
with maladist.cluster("local", workers=1) as client:
    for workers in sorted({1, 2, cores}):
        client.cluster.scale(workers)
        client.wait_for_workers(workers)
        maladist.predict(examples.beryllium(2, 2, 1), model, client=client, chunks=(15, 15, 12)).close()
        began = time.perf_counter()
        store = scratch / f"{workers}.zarr"
        results[workers] = maladist.predict(atoms, model, client=client, chunks=chunks, store=store)
        seconds[workers] = time.perf_counter() - began
        memory = results[workers].dataset.attrs["peak_memory_bytes"] / 1e6
        print(
            f"{workers} worker{'s' if workers > 1 else ''}: {seconds[workers]:.1f} s, {memory:.0f} MB a worker or less"
        )

# %%
figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
number = np.array(list(seconds))
ax.plot(number, list(seconds.values()), "o-", label="measured")
ax.plot(number, seconds[1] / number, "--", c="grey", label="perfect")
ax.set(xlabel="workers", ylabel="seconds", xticks=number, ylim=(0, None), title=f"{len(atoms)} atoms")
ax.legend()
plt.show()

# %% [markdown]
# However many workers, and in whatever order they finished: the same bits. Sums run in the order of the blocks, not in
# the order of their arrival.

# %%
for result in results.values():
    assert result.energies == results[1].energies
    assert np.array_equal(result.density, results[1].density)
print(f"A = {results[1].energies.per_atom().total:.10f} eV/atom on {', '.join(map(str, results))} workers")

# %% [markdown]
# ## Where the time went
#
# Every store remembers when and on which worker each block ran.

# %%
import xarray as xr

most = max(results)
run = xr.open_zarr(results[most].store, group="run", consolidated=False)
figure, ax = plt.subplots(figsize=(8, 2.5), layout="constrained")
ax.barh(run.worker, run.stop - run.start, left=run.start - float(run.start.min()), edgecolor="white")
ax.set(xlabel="seconds", ylabel="worker", yticks=np.unique(run.worker), title="blocks by worker and time")
plt.show()

# %% [markdown]
# ## Interrupted, and resumed
#
# A run dies: the laptop is closed, the job's time is over, you press ■ above. Here an observer does it, after a few
# blocks. What is finished is in the store; the same call with `resume=True` computes the rest.


# %%
class Watch(Silent):
    """An observer: is told what a run does, and may interrupt it."""

    def __init__(self, stop_after=None):
        self.stop_after, self.blocks, self.name = stop_after, 0, ""

    def stage(self, name, total, done=0):
        self.name = name
        if name == "blocks":
            print(f"{total} blocks, {done} of them done by an earlier run")

    def advance(self, _):
        self.blocks += self.name == "blocks"
        if self.blocks == self.stop_after:
            raise KeyboardInterrupt

    def note(self, text):
        print(text)


with maladist.cluster("local", workers=2) as client:
    arguments = {"client": client, "chunks": chunks, "store": scratch / "resumed.zarr"}
    try:
        maladist.predict(atoms, model, observer=Watch(stop_after=5), **arguments)
    except KeyboardInterrupt:
        print("interrupted")
    resumed = maladist.predict(atoms, model, observer=Watch(), resume=True, **arguments)

assert resumed.energies == results[1].energies and np.array_equal(resumed.density, results[1].density)
print("resumed: the same bits as the runs that were not interrupted")

# %% [markdown]
# From the command line it is `maladist predict ... --resume`. A worker that dies is not even an interruption: its
# blocks go to others.
#
# ## SLURM
#
# A cluster is a YAML file. This one is for the Slurm of one machine that `deploy/slurm/one-machine.sh` of the
# repository sets up for trying. Change it to your own queue and interface, or set MALADIST_SLURM to the path of a file
# (a template is `deploy/slurm/slurm.yaml`), on a machine where `sbatch` works, and put MALADIST_SCRATCH on a file
# system that the nodes share.

# %%
one_machine = """\
kind: slurm
workers: 2
queue: all
cores: 1
processes: 1
memory: 1GB
walltime: "00:30:00"
interface: lo  # the node is this machine
log_directory: slurm-logs
"""
(scratch / "slurm.yaml").write_text(one_machine)
description = Path(os.environ.get("MALADIST_SLURM", scratch / "slurm.yaml"))
print(description.read_text())

# %% [markdown]
# What would be submitted for each job:

# %%
print(job_script(description))

# %%
slurm = shutil.which("sbatch") and subprocess.run(["sinfo"], capture_output=True, check=False).returncode == 0
if slurm:
    with maladist.cluster(description) as jobs:
        on_slurm = maladist.predict(atoms, model, client=jobs, chunks=chunks, store=scratch / "slurm.zarr")
        print(f"{on_slurm.dataset.attrs['workers']} workers on SLURM, {on_slurm.to_dict()['seconds']['wall']:.1f} s")
    assert on_slurm.energies == results[1].energies
    print("the same energies as on this machine")
else:
    print("There is no Slurm here that answers, so this cell ran nothing.")

# %%
shutil.rmtree(scratch)
