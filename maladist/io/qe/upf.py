"""Pseudopotential files in the Unified Pseudopotential Format, versions 1 and 2: the few fields that are needed.

Version 2 looks like XML but often is not (a bare ampersand in PP_INFO, several roots), and version 1 never is; both
are read by their sections, which are the same. Format: https://pseudopotentials.quantum-espresso.org/home/unified-pseudopotential-format
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
from ase.data import atomic_numbers

from maladist.arrays import Array
from maladist.choices import Functional
from maladist.elements import Element
from maladist.errors import PseudopotentialError
from maladist.io.fields.numbers import fortran_numbers
from maladist.io.qe.functionals import functional_of
from maladist.io.refused import refuse
from maladist.units import BOHR, RYDBERG

_WANTED = "a complete UPF file, version 1 or 2"


def read_upf(path: str | Path) -> Element:
    """Read an element's valence, local potential and core charge from its pseudopotential.

    Parameters
    ----------
    path
        Path of a UPF file. The element is the one that its header names, whatever the file is called.

    Returns
    -------
    Element
        Radii in Å and densities in 1/Å³ on the file's own mesh; no core charge where the file has none; the functional
        that it was made for, where this package knows it.

    Raises
    ------
    PseudopotentialError
        A file that cannot be read, is not UPF, is truncated, or contradicts itself.
    PhysicsError
        PAW, spin-orbit coupling, a bare Coulomb potential, or a functional that this program does not have.
    """
    path = Path(path)
    raw, text = _read(path)
    _check_complete(text, path)
    symbol, valence, nlcc, n_mesh, xc = _header(text, path)
    element = Element(symbol, valence, path.name, hashlib.sha256(raw).hexdigest(), xc=xc)
    local = re.search(r"<PP_LOCAL\b", text) is not None
    if not (nlcc or local):
        return element
    radii, rab = (_numbers(text, section, n_mesh, path) * BOHR for section in ("PP_R", "PP_RAB"))
    if local:
        values = _numbers(text, "PP_LOCAL", n_mesh, path) * RYDBERG
        element = replace(element, local_radii=radii, local_rab=rab, local_potential=values)
    if not nlcc:
        return element
    return replace(
        element,
        core_radii=radii,
        core_rab=rab,
        core_density=_numbers(text, "PP_NLCC", n_mesh, path) / BOHR**3,
    )


def read_free_atom(path: str | Path) -> Element:
    """Read the valence charge of the free atom that a pseudopotential was made of, PP_RHOATOM.

    Returns
    -------
    Element
        The element with that charge in the place of its core's, 1/Å³; see `read_upf` for the errors.
    """
    path = Path(path)
    element, (_, text) = read_upf(path), _read(path)
    n_mesh = _header(text, path)[3]
    r, rab, charge = (_numbers(text, name, n_mesh, path) for name in ("PP_R", "PP_RAB", "PP_RHOATOM"))
    # The file has 4πr² n(r). Where r is zero it does not tell n, which no integral over a volume needs.
    density = charge / np.maximum(4 * np.pi * r**2, 1e-12)
    return replace(element, core_radii=r * BOHR, core_rab=rab * BOHR, core_density=density / BOHR**3)


def read_free_atoms(source: str | Path | Iterable[str | Path]) -> dict[str, Element]:
    """Free atoms as `read_free_atom` has them, from what `read_pseudopotentials` takes; by chemical symbol."""
    return _by_symbol(source, read_free_atom)


def read_pseudopotentials(source: str | Path | Iterable[str | Path]) -> dict[str, Element]:
    """Read pseudopotentials, one for each element.

    Parameters
    ----------
    source
        Folder, of which every file ending in .upf (in any case) is read; or one file, or several files.

    Returns
    -------
    dict
        Elements by chemical symbol.

    Raises
    ------
    PseudopotentialError
        There is no file, a bad one, or two for one element.
    """
    return _by_symbol(source, read_upf)


def _by_symbol(source: str | Path | Iterable[str | Path], read: Callable[[Path], Element]) -> dict[str, Element]:
    if isinstance(source, str | Path):
        place = Path(source)
        paths = sorted(p for p in place.iterdir() if p.suffix.lower() == ".upf") if place.is_dir() else [place]
        if not paths:
            raise PseudopotentialError(str(place), "a folder without UPF files", "a folder with one for each element")
    else:
        paths = [Path(p) for p in source]
    elements: dict[str, Element] = {}
    for path in paths:
        element = read(path)
        # Which of the two the data were made with, the files do not tell.
        if element.symbol in elements:
            came = f"two files for {element.symbol}, {elements[element.symbol].pseudopotential} and {path.name}"
            remedy = "Keep the one that the data were made with."
            raise PseudopotentialError("pseudopotentials", came, "one file for an element", remedy)
        elements[element.symbol] = element
    return elements


def elements_of(given: str | Path | Mapping[str, Element]) -> Mapping[str, Element]:
    """Elements by symbol, as they are given or from a folder of UPF files."""
    return given if isinstance(given, Mapping) else read_pseudopotentials(given)


def _read(path: Path) -> tuple[bytes, str]:
    if path.exists() and not path.is_file():  # a pipe would never end
        raise PseudopotentialError(str(path), "is not a file", _WANTED)
    try:
        # Once: the hash must be that of the text that was read.
        raw = path.read_bytes()
    except OSError as error:
        raise PseudopotentialError(str(path), f"cannot be read ({error.strerror})", _WANTED) from error
    return raw, raw.decode("utf-8", errors="replace")


def _check_complete(text: str, path: Path) -> None:
    if re.search(r"<PP_HEADER\b", text) is None:
        _refuse(path, "has no PP_HEADER: not a UPF file, or cut off before it")
    # The last tag of each version: a file that was cut off in a number still reads as a file otherwise.
    end = "</UPF>" if re.search(r"<UPF\b", text) else "</PP_RHOATOM>"
    if end not in text:
        _refuse(path, f"is truncated: no {end}")


def _header(text: str, path: Path) -> tuple[str, float, bool, int, Functional | None]:
    """Symbol, valence, whether there is a core correction, size of the mesh, and functional."""
    closed = re.search(r"<PP_HEADER\b(.*?)(?:/>|</PP_HEADER>)", text, re.DOTALL)
    header = closed.group(1) if closed else ""
    # By hand and not by an XML parser, which many of these files would not pass: see the module's head.
    fields = {k: v for k, _, v in re.findall(r"""(\w+)\s*=\s*(["'])(.*?)\2""", header, re.DOTALL)}
    fields = fields or _header_of_version_1(header, text)
    if re.search(r"<PP_PAW\b", text):  # a header edited by hand, or written by a program that forgot it
        fields["is_paw"] = "true"
    refuse("upf", fields.get, path)
    try:
        symbol = fields["element"].strip().capitalize()
        valence = float(fortran_numbers(fields["z_valence"].encode()).item())
        nlcc = fields["core_correction"].strip().strip(".").lower().startswith("t")
        n_mesh = int(fields["mesh_size"])
    except KeyError as error:
        _refuse(path, f"has no {error.args[0]} in its PP_HEADER")
    except ValueError as error:
        _refuse(path, f"has a PP_HEADER that cannot be understood ({error})")
    # A mesh of fewer than three radii cannot be integrated.
    if symbol not in atomic_numbers or not (np.isfinite(valence) and valence > 0) or n_mesh < 3:
        _refuse(path, f"says element {symbol!r}, valence {valence}, {n_mesh} radii in its PP_HEADER")
    return symbol, valence, nlcc, n_mesh, functional_of(fields.get("functional", ""), path)


def _header_of_version_1(header: str, text: str) -> dict[str, str]:
    """Version 1 has one value a line, at the left of its description, and spin-orbit in a section of its own."""
    labels = {
        "element": r"^\s*(\w+)\s+Element",
        "pseudo_type": r"^\s*(\S+)\s+(?:Norm|Ultrasoft|Projector|PAW|Coulomb)",
        "z_valence": r"^\s*(\S+)\s+Z valence",
        "core_correction": r"^\s*(\S+)\s+Nonlinear Core Correction",
        "mesh_size": r"^\s*(\d+)\s+Number of points in mesh",
        "functional": r"^\s*(\S.*?)\s+Exchange-Correlation functional",
    }
    matches = {name: re.search(label, header, re.MULTILINE | re.IGNORECASE) for name, label in labels.items()}
    fields = {name: match.group(1) for name, match in matches.items() if match}
    return {**fields, "has_so": "T"} if "<PP_ADDINFO" in text else fields


def _numbers(text: str, section: str, n: int, path: Path) -> Array:
    body = re.search(rf"<{section}(?:\s[^>]*)?>(.*?)</{section}>", text, re.DOTALL)
    if body is None:
        _refuse(path, f"has no {section}")
    try:
        values = fortran_numbers(body.group(1).encode())
    except ValueError:
        _refuse(path, f"has something else than numbers in {section}")
    if len(values) != n or not np.isfinite(values).all():
        _refuse(path, f"has {len(values)} values in {section} where its header says {n}, or some not finite")
    return values


def _refuse(path: Path, came: str) -> NoReturn:
    raise PseudopotentialError(str(path), came, _WANTED)
