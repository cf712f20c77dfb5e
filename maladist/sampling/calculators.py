"""Calculators by name. LAMMPS' commands come from files that people exchange, so only those that cannot run code pass.

LAMMPS' scripts are programs: `shell`, `python`, `include`, `variable x python`, `print ... file`, `log` and `dump` run
other programs or write files, `pair_style python` and `pair_style mliap` load Python. So commands and pair styles are
those of two lists, words are made of few characters (no quotes, no `$` of variables, no `&` of continued lines, none
that a shell knows), and tables lie beside the script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import ase
import numpy as np
from ase.calculators.calculator import Calculator
from ase.calculators.eam import EAM
from ase.calculators.emt import EMT
from ase.calculators.lammpslib import LAMMPSlib

from maladist.descriptors.bispectrum.lammps import lammps_library, no_launcher
from maladist.errors import InputError

# Lists of what passes, not of what is refused: LAMMPS gains commands with every release.
_COMMANDS: Final = (
    *("pair_style", "pair_coeff", "pair_modify", "mass", "special_bonds", "neighbor", "neigh_modify", "comm_modify"),
    *("kspace_style", "kspace_modify", "dielectric"),
)
_STYLES: Final = """
    adp agni airebo airebo/morse atm beck bop born born/coul/dsf born/coul/long born/coul/wolf born/gauss buck
    buck/coul/cut buck/coul/long buck/mdf comb comb3 coul/cut coul/debye coul/dsf coul/long coul/streitz coul/wolf
    dispersion/d3 eam eam/alloy eam/cd eam/fs eam/he edip edip/multi eim extep gauss gauss/cut gw gw/zbl hybrid
    hybrid/overlay hybrid/scaled lcbop lj/cubic lj/cut lj/cut/coul/cut lj/cut/coul/debye lj/cut/coul/dsf
    lj/cut/coul/long lj/cut/coul/wolf lj/expand lj/gromacs lj/mdf lj/sf lj/smooth lj/smooth/linear lj96/cut
    local/density meam meam/c meam/ms meam/spline meam/sw/spline mie/cut morse morse/smooth/linear nb3b/harmonic
    nm/cut pace pedone pod polymorphic reaxff rebo rebomos snap soft sw sw/mod table tersoff tersoff/mod
    tersoff/mod/c tersoff/table tersoff/zbl uf3 ufm vashishta vashishta/table wf/cut yukawa zbl zero
"""
"""Pair styles of atoms without bonds whose arguments are numbers and tables; none that runs Python or another code."""
_WORD: Final = re.compile(r"[A-Za-z0-9_.+*/=,:-]+")


@contextmanager
def calculator_of(name: str, atoms: ase.Atoms) -> Iterator[Calculator]:
    """A calculator by its name, for as long as the context lasts.

    Parameters
    ----------
    name
        'emt' (ASE's effective medium theory: Al, Ni, Cu, Pd, Ag, Pt, Au), a table of an EAM potential (ending in .alloy
        or .fs) for ASE's own EAM, or a text file (.lmp) of LAMMPS' commands pair_style and pair_coeff in units
        metal, types numbered as the elements' symbols sort. Tables that it names lie beside it.
    atoms
        Atoms that it is to compute; their energy is tried once, so that a wrong potential is told before a run.

    Raises
    ------
    InputError
        Another name, a file that is not there, a command of LAMMPS that does more than describe a potential, atoms
        that the calculator does not know.
    """
    path = Path(name)
    # A file that is not there would raise deep in ASE or LAMMPS, or be searched for elsewhere.
    if name != "emt" and not path.is_file():
        raise InputError(
            "calculator", name, "emt, a file .eam.alloy or .eam.fs, or a file .lmp of LAMMPS' pair commands"
        )
    with ExitStack() as stack:
        if name == "emt":
            calculator = EMT()
        elif path.suffix in (".alloy", ".fs"):
            calculator = EAM(potential=str(path))
        elif path.suffix == ".lmp":
            calculator = stack.enter_context(_lammps(path, atoms))
        else:
            raise InputError("calculator", name, "a file that ends in .alloy, .fs or .lmp")
        try:
            energy = calculator.get_potential_energy(atoms.copy())
        except Exception as error:  # calculators raise what they like
            came = f"{path.name} fails for {atoms.get_chemical_formula()} ({type(error).__name__}: {error})"
            raise InputError("calculator", came.replace("\n", " "), "one that knows these atoms") from error
        if not np.isfinite(energy):
            raise InputError("calculator", f"an energy of {energy}", "a finite energy of the crystal")
        yield calculator


@contextmanager
def _lammps(path: Path, atoms: ase.Atoms) -> Iterator[Calculator]:
    commands = pair_commands(path)
    lammps_library()
    with no_launcher():
        # The file's numbers of types must not depend on the order of the atoms.
        types = {s: i + 1 for i, s in enumerate(sorted(set(atoms.get_chemical_symbols())))}
        # keep_alive: one LAMMPS for all steps, and not one that is started for each.
        calculator = LAMMPSlib(lmpcmds=commands, atom_types=types, keep_alive=True, log_file=None)
        try:
            yield calculator
        finally:
            # LAMMPS holds memory and MPI of its own, which Python does not see.
            calculator.clean()


def pair_commands(path: Path) -> list[str]:
    """The commands of a script of LAMMPS that describes a potential, without comments, tables by their whole paths.

    Parameters
    ----------
    path
        Text of one command a line.

    Raises
    ------
    InputError
        Not a text; a command, a pair style, a character or a path that is not allowed, with its line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("calculator", f"{path.name} is not a text", "a file of LAMMPS' pair commands") from error
    commands = []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            commands.append(" ".join([words[0], *_arguments(words, path.parent.resolve())]))
        except _Refused as refused:
            problem, wanted = refused.args
            remedy = "A potential's file runs no code and reads what lies beside it."
            raise InputError("calculator", f"{path.name}, line {number}: {problem}", wanted, remedy) from None
    return commands


class _Refused(Exception):
    """What came and what was wanted."""


def _arguments(words: list[str], folder: Path) -> list[str]:
    command, *rest = words
    if command not in _COMMANDS:
        raise _Refused(f"the command {command:.40}", f"one of {', '.join(_COMMANDS)}")
    for word in rest:
        if not _WORD.fullmatch(word):
            raise _Refused(f"{word:.40}", "names, numbers and * without quotes, variables and continued lines")
        # A script that somebody sent must not reach other files of the user.
        if word.startswith("/") or ".." in Path(word).parts:
            raise _Refused(f"the path {word:.80}", f"a file in {folder}")
    if command == "pair_style":
        _check_styles(rest)
    return [_beside(word, folder) for word in rest] if command in ("pair_style", "pair_coeff") else rest


def _check_styles(words: list[str]) -> None:
    """The style itself, and all names in a hybrid one that could be styles: their options are a known few."""
    options = {"linear", "lookup", "spline", "bitmap", "NULL", "product", "recursive", "chunksize", "no", "yes"}
    hybrid = bool(words) and words[0].startswith("hybrid")
    for i, word in enumerate(words):
        # The accelerated forms compute the same.
        style = word.removesuffix("/omp").removesuffix("/opt")
        # A hybrid style lists styles among their options: without a grammar for each, every name
        # that is no known option is taken for a style.
        could_be = i == 0 or (hybrid and re.match("[A-Za-z]", word) and word not in options)
        if could_be and style not in _STYLES.split():
            raise _Refused(f"the pair style {word:.40}", "a pair style of tables and numbers")
    if not words:
        raise _Refused("no pair style", "a pair style of tables and numbers")


def _beside(word: str, folder: Path) -> str:
    """A table by its whole path: LAMMPS would look for it in the folder of this process."""
    path = folder / word
    if not path.is_file():
        # Not a file: a number, an element or a style's option.
        return word
    # A quote would end the quotes below; LAMMPS takes $ for a variable, and & at an end for a line that goes on.
    if any(c in str(path) for c in "\"'$&"):
        raise _Refused(f"the path {path}", "a folder without quotes, $ and & in its name")
    return f'"{path}"'
