"""Physics that this program does not have: how each shows in the files of a calculation, and what is then said.

The total free energy here is that of one LDOS for both spins, of a neutral crystal with Fermi-Dirac occupations, a
local or gradient-corrected functional and norm-conserving or ultrasoft pseudopotentials. What a calculation has beyond
that would make every energy wrong without a word, so each reader asks this one table, and nothing else lists it.

A row tells, source by source, under which name the physics is told and what it is then said to be: a field of a UPF's
header, an element of Quantum ESPRESSO's XML, an entry of pw.x's namelists, each with a pattern that the whole value
matches; lines of pw.x's output; and the pseudopotential's file name, where only that is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NoReturn

from maladist.errors import PhysicsError

_TRUE: Final = r"\.?t(rue)?\.?"
_THERE: Final = r".*"
# Fortran and XML have many ways to say that something is not in use.
_SOME: Final = r"(?!none$|\W*f(alse)?\W*$|\s*$).*"
_ISOLATED_OTHERWISE: Final = r"(?!2d$|none$|\W*f(alse)?\W*$|\s*$).*"
_NOT_ZERO: Final = r"(?![-+]?[0.]+([ed][-+]?\d+)?$).+"

Kind = Literal["upf", "xml", "namelist"]


@dataclass(frozen=True)
class Refused:
    """One kind of physics that is refused.

    Attributes
    ----------
    name
        Name of the physics in the field.
    why
        Reason why the result would be wrong, or what to do.
    upf, xml, namelist
        Patterns by the name under which a source tells it: a field of PP_HEADER, an element's path, an entry of a
        namelist (in lower case, without its index).
    output
        Pattern of what pw.x prints.
    file
        Pattern of a pseudopotential's file name.
    """

    name: str
    why: str
    upf: Mapping[str, str] = field(default_factory=dict)
    xml: Mapping[str, str] = field(default_factory=dict)
    namelist: Mapping[str, str] = field(default_factory=dict)
    output: str = ""
    file: str = ""


_ISOLATED: Final = (
    "The electrostatics here are those of a crystal, or of a slab with assume_isolated = '2D': the Ewald sum would be"
    " off by tens of eV."
)
_OF_DENSITY: Final = r"(ts|tkatchenko|mbd|many).*"
_SPIN: Final = "One LDOS here stands for both spins."
_ENERGY_OF_POSITIONS: Final = (
    "It depends on the positions alone: leave it out, and add its energy to A where it is wanted."
)

REFUSED: Final[tuple[Refused, ...]] = (
    Refused(
        "PAW",
        "Its total energy has one-center terms that no density on a grid holds (45 to 70 eV an atom): use a"
        " norm-conserving or ultrasoft pseudopotential.",
        upf={"is_paw": _TRUE, "pseudo_type": r"PAW"},
        xml={"output/algorithmic_info/paw": _TRUE},
        output=r"Pseudo is Projector augmented-wave|one-center paw contrib",
        file=r"[-_.](kj)?paw[-_.]",
    ),
    Refused(
        "a bare Coulomb potential (1/r, all electrons)",
        "Use a norm-conserving or ultrasoft pseudopotential.",
        upf={"is_coulomb": _TRUE, "pseudo_type": r"1/r"},
        output=r"1/r Coulomb pseudo",
    ),
    Refused(
        "spin-orbit coupling",
        _SPIN,
        upf={"has_so": _TRUE, "relativistic": r"full"},
        xml={"output/magnetization/spinorbit": _TRUE, "output/band_structure/spinorbit": _TRUE},
        namelist={"lspinorb": _TRUE},
        output=r"calculation with spin-orbit",
        file=r"\.rel-",
    ),
    Refused(
        "non-collinear magnetism",
        _SPIN,
        xml={"output/magnetization/noncolin": _TRUE, "output/band_structure/noncolin": _TRUE},
        namelist={"noncolin": _TRUE, "nspin": r"4"},
        output=r"Noncollinear calculation",
    ),
    Refused(
        "spin polarisation",
        _SPIN,
        xml={"output/magnetization/lsda": _TRUE, "output/band_structure/lsda": _TRUE},
        namelist={"nspin": r"2", "tot_magnetization": r"(?!-1(\.0*)?$).+", "starting_magnetization": _NOT_ZERO},
        output=r"------ SPIN UP -|total magnetization +=|Starting magnetic structure",
    ),
    Refused(
        "a Hubbard correction (DFT+U)",
        "Its energy, electronvolts an atom, does not follow from the density.",
        xml={"output/dft/dftU": _THERE, "input/dft/dftU": _THERE},
        namelist={"lda_plus_u": _TRUE, "hubbard_u": _NOT_ZERO, "hubbard_v": _NOT_ZERO, "hubbard_j": _NOT_ZERO},
        output=r"Hubbard energy|(LDA|DFT)\+U (calculation|parameters)|lda_plus_u *= *T|HUBBARD OCCUPATIONS",
    ),
    Refused(
        "a hybrid functional (exact exchange)",
        "Exact exchange does not follow from the density.",
        xml={"output/dft/hybrid": _THERE, "input/dft/hybrid": _THERE},
        namelist={"exx_fraction": _THERE},
        output=r"EXX-fraction",
    ),
    Refused(
        "Tkatchenko-Scheffler or many-body dispersion (TS, MBD)",
        "It depends on the density: its potential is in the eigenvalues, its energy does not follow from them.",
        xml={"output/dft/vdW/vdw_corr": _OF_DENSITY, "input/dft/vdW/vdw_corr": _OF_DENSITY},
        output=r"TS-vdW initialization|Dispersion T-S Correction|\bMBD\b.*Ry$|[Mm]any-[Bb]ody [Dd]ispersion",
    ),
    Refused(
        "a van der Waals functional (vdW-DF, VV10)",
        "Its non-local correlation is not in this program.",
        xml={"output/dft/vdW/non_local_term": _SOME, "input/dft/vdW/non_local_term": _SOME},
        output=r"Carrying out (vdW-DF|rVV10) run|Non-local corr",
    ),
    Refused(
        "a dispersion correction",  # of other sources its energy is taken out: `without_dispersion` of io.qe.run
        _ENERGY_OF_POSITIONS,
        namelist={"vdw_corr": _SOME, "london": _TRUE, "ts_vdw": _TRUE, "xdm": _TRUE},
    ),
    Refused(
        "a cell isolated otherwise than by '2D' (assume_isolated)",
        _ISOLATED,
        xml={
            "input/boundary_conditions/assume_isolated": _ISOLATED_OTHERWISE,
            "output/boundary_conditions/assume_isolated": _ISOLATED_OTHERWISE,
        },
        namelist={"assume_isolated": _ISOLATED_OTHERWISE, "do_ee": _TRUE},
        output=r"Assuming isolated system|Effective Screening Medium|Makov-Payne",
    ),
    Refused(
        "a charged cell (tot_charge)",
        "Cells here are neutral: the electrons are counted from the valences.",
        xml={"input/bands/tot_charge": _NOT_ZERO},
        namelist={"tot_charge": _NOT_ZERO},
    ),
    Refused(
        "an external field or a charged plate",
        "Its energy is not in the density's.",
        xml={
            "input/electric_field/electric_potential": _SOME,
            "input/electric_field/gate_settings/use_gate": _TRUE,
            "input/electric_field/dipole_correction": _TRUE,
        },
        namelist={"tefield": _TRUE, "dipfield": _TRUE, "lelfield": _TRUE, "gate": _TRUE},
        output=r"Adding external electric field|Using Berry phase electric field|Adding charged plate",
    ),
    Refused(
        "occupations other than Fermi-Dirac's",
        "Use occupations = 'smearing', smearing = 'fermi-dirac' and degauss = k_BT: only then has T a meaning.",
        xml={
            "output/band_structure/occupations_kind": r"(?!smearing$).+",
            "input/bands/occupations": r"(?!smearing$).+",
            "output/band_structure/smearing": r"(?!(fd|f-d|fermi[-_ ]dirac)$).+",
        },
        namelist={"occupations": r"(?!smearing$).+", "smearing": r"(?!(fd|f-d|fermi[-_ ]dirac)$).+"},
        output=r"(?<!Fermi-Dirac )\bsmearing, width \(Ry\)|tetrahedron method|highest occupied",
    ),
)


def refuse(kind: Kind, told: Callable[[str], object], source: str | Path) -> None:
    """Refuse a source that tells of physics which this program does not have.

    Parameters
    ----------
    kind
        Kind of the source.
    told
        Function that gives what the source says under a name; None where it says nothing.
    source
        Name of the source in the error.

    Raises
    ------
    PhysicsError
        Naming the physics and where it is told.
    """
    for row in REFUSED:
        patterns: Mapping[str, str] = getattr(row, kind)
        for name, pattern in patterns.items():
            value = told(name)
            text = "" if value is None else str(value).strip()
            if value is not None and re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL):
                # The user knows the entry, not its place in the XML.
                key = name.rsplit("/", 1)[-1]
                _raise(row, source, f"{key} = {text}" if text and "\n" not in text else key)


def refuse_output(text: str, source: str | Path) -> None:
    """Refuse what pw.x printed of a calculation with such physics; as :func:`refuse`."""
    for row in REFUSED:
        if row.output and (match := re.search(row.output, text, re.MULTILINE)):
            # The whole line that pw.x printed, so that the user finds it again.
            line = text[text.rfind("\n", 0, match.start()) + 1 :].split("\n", 1)[0]
            _raise(row, source, " ".join(line.split()))


def refuse_file_names(names: Iterable[str], source: str | Path) -> None:
    """Refuse pseudopotentials whose name alone tells such physics: all that models and data sets keep of them."""
    for name in names:
        # What the name tells is all that is left: '-kjpaw' or '.rel-' of Quantum ESPRESSO's libraries.
        for row in REFUSED:
            if row.file and re.search(row.file, name, re.IGNORECASE):
                _raise(row, source, name)


def _raise(row: Refused, source: str | Path, shown: str) -> NoReturn:
    came = f"has {row.name} ({shown:.80}), which this program does not"
    raise PhysicsError(str(source), came, "a calculation without it", row.why)
