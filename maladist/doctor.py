"""What this installation can do: versions, the machine, the optional programs, and whether they work."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Final, Literal

import ase
import numpy as np
import psutil
import torch
from packaging.requirements import Requirement

from maladist.cluster import cluster
from maladist.datasets.dft.scratch import environment
from maladist.descriptors import BispectrumSpec, evaluate
from maladist.errors import DependencyError
from maladist.grid import Grid
from maladist.io.model_file import load_model
from maladist.io.shipped import shipped_models
from maladist.neighbors import CellList
from maladist.parallel.workers import wait_for_worker
from maladist.reprs import size

Status = Literal["ok", "absent", "broken"]

_BATCH: Final = {"SLURM": "sbatch", "PBS or SGE": "qsub", "LSF": "bsub", "HTCondor": "condor_submit"}
_AGREE: Final = 1e-9
"""Largest difference of two backends in float64, of the largest descriptor; their rounding is at 1e-12."""


class AbsentError(Exception):
    """What was looked for is not there, and need not be."""


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    Attributes
    ----------
    name
        Name of what was looked at.
    status
        State: 'ok'; 'absent': not there, and only what it is for is lost; 'broken': there and does not work, or needed.
    found
        Version, figure, or what went wrong.
    purpose
        Purpose that it serves.
    """

    name: str
    status: Status
    found: str
    purpose: str


def diagnose(cluster_name: str | None = None) -> Iterator[Finding]:
    """Look at everything, one finding after the other; nothing raises.

    Parameters
    ----------
    cluster_name
        A cluster as for `predict`: it is started (or reached) and computes something.
    """
    checks: list[tuple[str, str, Callable[[], str]]] = [
        ("maladist", "this program", lambda: f"{version('maladist')} on Python {platform.python_version()}"),
        ("packages", "needed by every command", _packages),
        ("processor", "descriptors and networks", _processor),
        ("memory", "decides the size of blocks", _memory),
        ("kernel", "descriptors on a CPU: compiled by numba, held against torch", lambda: _agrees("cpu")),
        ("GPU", "descriptors and networks on a GPU", _gpu),
        ("lammps", "the reference for descriptors (--backend lammps)", lambda: _agrees("lammps")),
        ("pw.x", "maladist dft: training data", lambda: _espresso("pw.x")),
        ("pp.x", "maladist dft with ultrasoft pseudopotentials", lambda: _espresso("pp.x")),
        ("gpaw", "maladist dft with code: gpaw", _gpaw),
        *((p, f"clusters of kind {k}", lambda p=p: _batch(p)) for k, p in _BATCH.items()),
        ("model", "a trained model to begin with, shipped with maladist", _model),
    ]
    if cluster_name is not None:
        checks.append((f"cluster {cluster_name}", "where predict would run", lambda: _cluster(cluster_name)))
    for name, purpose, check in checks:
        # One at a time, so that a user sees what is found while the next is looked at.
        yield _look(name, purpose, check)


def _look(name: str, purpose: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", check(), purpose)
    except (AbsentError, DependencyError) as error:
        return Finding(name, "absent", str(error), purpose)
    except Exception as error:  # whatever it is, it is what the user must hear of
        return Finding(name, "broken", " ".join(f"{type(error).__name__}: {error}".split()), purpose)


def _packages() -> str:
    """Versions of what maladist requires, held against what it requires."""
    installed, wrong = [], []
    for text in distribution("maladist").requires or []:
        need = Requirement(text)
        # Requirements of the extras are optional: what lacks there is told where it is needed.
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            have = version(need.name)
        except PackageNotFoundError:
            wrong.append(f"{need.name} is not installed")
            continue
        installed.append(f"{need.name} {have}")
        if not need.specifier.contains(have, prereleases=True):
            wrong.append(f"{need.name} is {have}, wanted {need.specifier}")
    if wrong:
        raise RuntimeError("; ".join(wrong))
    return ", ".join(installed)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else []
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    features = torch.backends.cpu.get_cpu_capability()
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {mine} of {os.cpu_count()} threads for this process, {features}, OMP_NUM_THREADS {threads}"


def _memory() -> str:
    m = psutil.virtual_memory()
    return f"{size(m.total)}, {size(m.available)} of it free"


def _gpu() -> str:
    if not torch.cuda.is_available():
        raise AbsentError(f"torch {torch.__version__} sees no CUDA device")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    difference = _difference("torch", "cuda")
    if difference > _AGREE:
        raise RuntimeError(f"{', '.join(names)} differs from the CPU by {difference:.1e}")
    return f"{', '.join(names)}, CUDA {torch.version.cuda}, differs from the CPU by {difference:.1e}"


def _agrees(backend: str) -> str:
    """Compute a few descriptors with a backend and with torch."""
    difference = _difference(backend, "cpu")
    if not difference <= _AGREE:
        raise RuntimeError(f"differs from torch by {difference:.1e} of the largest descriptor")
    release = f"{version('lammps')}, " if backend == "lammps" else ""
    return f"{release}differs from torch by {difference:.1e} of the largest descriptor"


def _difference(backend: str, device: str) -> float:
    atoms = ase.Atoms("Be2", scaled_positions=[[0.3, 0.7, 0.2], [0.7, 0.3, 0.8]], cell=[2.3, 2.2, 3.6], pbc=True)
    grid, spec = Grid(atoms.cell.array.tolist(), (3, 3, 4)), BispectrumSpec(twojmax=4, cutoff=3.5)
    numbers = atoms.numbers.astype(np.int16)
    seen = CellList(grid.cell_array, atoms.positions, numbers, spec.cutoff).near_block(grid, grid.whole)
    # The reference first, on the CPU and by torch, which every installation has.
    made = [
        evaluate(grid.points(), seen, spec, backend=b, device=d, dtype=torch.float64).cpu()
        for b, d in (("torch", "cpu"), (backend, device))
    ]
    return float((made[1] - made[0]).abs().max() / made[0].abs().max())


def _gpaw() -> str:
    """Version of GPAW, under its own Python."""
    path = shutil.which("gpaw")
    if path is None:
        raise AbsentError("not on PATH")
    command = [path, "--version"]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode or not ran.stdout.strip():
        said = " ".join((ran.stderr or ran.stdout).split())[-120:]
        raise RuntimeError(f"{path} does not start (status {ran.returncode}): {said}")
    return f"{ran.stdout.split()[-1].removeprefix('gpaw-')} at {path}"


def _espresso(program: str) -> str:
    """Version of a program of Quantum ESPRESSO, from what it says before it finds no input."""
    path = shutil.which(program)
    if path is None:
        raise AbsentError("not on PATH")
    # Programs of Quantum ESPRESSO leave files where they run.
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [path],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    banner = re.search(r"Program \S+ v\.?(\S+)", ran.stdout)
    if banner is None:
        said = " ".join((ran.stderr or ran.stdout).split())[-120:]
        raise RuntimeError(f"{path} does not start (status {ran.returncode}): {said}")
    return f"{banner[1]} at {path}"


def _batch(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise AbsentError("not on PATH")
    if program != "sbatch":  # the others do not agree on how to be asked
        return path
    ran = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    if "configuration source" in ran.stderr:
        raise AbsentError(f"{path} finds no slurm.conf: this machine belongs to no Slurm cluster")
    if ran.returncode:
        raise RuntimeError(f"{path} does not start: {' '.join(ran.stderr.split())[-160:]}")
    return f"{ran.stdout.strip()} at {path}"


def _model() -> str:
    models = shipped_models()
    if not models:
        raise AbsentError("none in this installation: train one, or import MALA's (maladist import-mala)")
    return ", ".join(f"{name}, {one.card.summary} ({load_model(one.file)})" for name, one in models.items())


def _cluster(name: str) -> str:
    with cluster(name) as client:
        wait_for_worker(client, 120)
        known = client.get_versions(check=True)["workers"]
        # A real computation: a worker that answers may still lack what a block needs.
        got = client.submit(_difference, "cpu", "cpu", pure=False).result(timeout=120)
        if not got <= _AGREE:
            raise RuntimeError(f"a worker's descriptors differ by {got:.1e}")
        memory = sum(w["memory_limit"] for w in client.scheduler_info(n_workers=-1)["workers"].values())
        return (
            f"{len(known)} workers, {sum(client.nthreads().values())} threads, {size(memory)}; one computed descriptors"
        )
