"""A DFT calculation from whichever file tells of it."""

from __future__ import annotations

import re
from pathlib import Path

from maladist.errors import DataFileError
from maladist.io.mala.data import read_info
from maladist.io.qe.beside import with_scf
from maladist.io.qe.output import is_qe_output, read_qe_output
from maladist.io.qe.run import DFTRun
from maladist.io.qe.xml import read_qe_xml
from maladist.io.structures import read_atoms


def read_dft_run(path: str | Path) -> DFTRun:
    """Read a calculation: data-file-schema.xml, the output of pw.x, MALA's .info.json, or atoms that ASE reads.

    Raises
    ------
    DataFileError
        The file cannot be understood.
    PhysicsError
        Physics that this program does not have.
    """
    path = Path(path)
    # A folder PREFIX.save is as good a name of a calculation as its file.
    if path.is_dir() and (path / "data-file-schema.xml").is_file():
        path = path / "data-file-schema.xml"
    if not path.is_file():
        raise DataFileError(
            "source", f"{path} is not a file", "data-file-schema.xml, pw.x's output, MALA's .info.json or atoms"
        )
    if path.suffix == ".xml":
        return with_scf(read_qe_xml(path))
    if path.suffix == ".json":
        return read_info(path)
    # By its content: nobody agrees on what an output is called.
    if is_qe_output(path):
        return with_scf(read_qe_output(path))
    if _is_qe_input(path):
        # ASE reads its atoms; temperature, functional and electrons would be lost without a word.
        remedy = "They lie in PREFIX.save and where pw.x's standard output went."
        raise DataFileError(str(path), "an input of pw.x", "data-file-schema.xml or the output of the run", remedy)
    return DFTRun(path, read_atoms(str(path)))


def _is_qe_input(path: Path) -> bool:
    with path.open("rb") as file:
        return re.search(rb"^\s*&(control|system)\b", file.read(65536), re.IGNORECASE | re.MULTILINE) is not None
