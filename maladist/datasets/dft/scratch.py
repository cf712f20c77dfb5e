"""A folder for the files of a calculation, and the programs that run in it: both gone when the task is."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from maladist.datasets.dft import keeper
from maladist.errors import DependencyError, DFTError
from maladist.parallel.workers import is_wanted

_LOOK: Final = 0.2  # seconds between two looks whether the task is still wanted
_LAUNCHER: Final = ("PMI_", "PMIX_", "MPI_LOCAL", "OMPI_COMM_", "OMPI_UNIVERSE_")
_ALONE: Final = {
    "OMPI_MCA_ess_singleton_isolated": "1",
    "OMPI_MCA_btl": "^tcp,ofi,usnic,openib",
    "UCX_TLS": "self,posix",
}
"""A program is one process, whose MPI needs no network: Open MPI would start a daemon and listen on all interfaces."""


def environment(threads: int = 1) -> dict[str, str]:
    """Variables that a program of a DFT code is started with: as one process, which listens to nobody."""
    # Variables of the launcher that started the worker would make a program's MPI look for
    # ranks that are not its own.
    own = {k: v for k, v in os.environ.items() if not k.startswith(_LAUNCHER)}
    return {**_ALONE, **own, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}


class Scratch:
    """A folder for a calculation's files; a process of its own keeps it (see `keeper`).

    Parameters
    ----------
    name
        Name of the snapshot; a part of the folder's name.
    where
        Folder to make it in; the system's own for temporary files where None.
    threads
        Number of OpenMP threads of its programs.

    Attributes
    ----------
    folder
        Path of the folder, while the context lasts.

    Raises
    ------
    OSError
        The folder cannot be made.
    """

    def __init__(self, name: str, where: str | None = None, threads: int = 1) -> None:
        self.name, self.where, self.threads = name, where, threads

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix=f"dft-{self.name}-", dir=self.where))
        self._keeper = subprocess.Popen(
            # Isolated and without site-packages: it starts in a hundredth of a second, and no
            # path of the user's can replace it.
            [sys.executable, "-I", "-S", keeper.__file__, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(self.threads),
            start_new_session=True,  # what a terminal or a scheduler sends goes to the worker, whose end is enough
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._keeper.stdin is not None and self._keeper.stdout is not None
        # The end of its input is what tells the keeper that nobody needs it any more.
        self._keeper.stdin.close()
        self._keeper.wait()
        self._keeper.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)  # where the keeper was killed

    def run(self, program: str, stem: str, *arguments: str) -> int:
        """Run a program in the folder, from STEM.in to STEM.out, with arguments where it wants some.

        Returns
        -------
        int
            Status of the program; −n where signal n ended it.

        Raises
        ------
        DependencyError
            There is no such program.
        DFTError
            Nobody waits for the task any more, or its keeper was killed.
        """
        asked, answered = self._keeper.stdin, self._keeper.stdout
        assert asked is not None and answered is not None
        asked.write(json.dumps({"program": [program, *arguments], "stem": stem}).encode() + b"\n")
        asked.flush()
        # Dask cannot interrupt the task: it looks itself whether anybody still waits for it.
        while not select.select([answered], [], [], _LOOK)[0]:
            if not is_wanted():
                raise DFTError(program, "it was ended: nobody waits for it", "a run that goes on")
        line = answered.readline()
        if not line:
            raise DFTError(program, "it was ended from outside", "a calculation that ends")
        answer = json.loads(line)
        if "error" in answer:
            raise DependencyError(
                program, f"not found ({answer['error']})", "the programs of the DFT code on every worker"
            )
        return int(answer["status"])


def ending(status: int) -> str:
    """How a program ended, in words."""
    if status >= 0:
        return f"stopped with status {status}"
    name = signal.Signals(-status).name
    why = {"SIGXFSZ": ", a limit on file sizes", "SIGKILL": ", perhaps for want of memory"}.get(name, "")
    return f"was ended by {name}{why}"
