"""The non-local part of a norm-conserving pseudopotential, Σ_ij |β_i⟩ D_ij ⟨β_j|, from a UPF file.

For codes that do not read UPF files themselves, or not all of them; pw.x does. Versions as in `maladist.io.qe.upf`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maladist.arrays import Array
from maladist.errors import PseudopotentialError
from maladist.io.fields.numbers import fortran_numbers
from maladist.units import BOHR, RYDBERG


class Projectors(NamedTuple):
    """Projectors of an element.

    Attributes
    ----------
    momenta
        Angular momentum l of each, (n,).
    functions
        r β_i(r) on the file's radii, (n, n_radii), 1/√Å; zero beyond what the file tells.
    strengths
        D_ij, (n, n), eV.
    """

    momenta: tuple[int, ...]
    functions: Array
    strengths: Array


def read_projectors(path: str | Path, n_radii: int) -> Projectors:
    """Read the non-local part of a UPF file, which may have none.

    Parameters
    ----------
    path
        UPF file, version 1 or 2, that `read_upf` reads.
    n_radii
        Number of its radii.

    Raises
    ------
    PseudopotentialError
        It is ultrasoft, or its projectors cannot be understood.
    """
    text = Path(path).read_text(errors="replace")
    if re.search(r"<PP_(AUGMENTATION|QIJ|RINNER)\b|is_ultrasoft\s*=\s*[\"']\s*\.?[tT]", text):
        raise PseudopotentialError(str(path), "is ultrasoft", "a norm-conserving pseudopotential")
    try:
        every = re.findall(r"<PP_BETA(\.\d+|)\b(.*?)>(.*?)</PP_BETA\1>", text, re.DOTALL)
        read = [_of_version_2(told, body) if number else _of_version_1(body) for number, told, body in every]
        functions = np.zeros((len(read), n_radii))
        for row, (_, values) in zip(functions, read, strict=True):
            row[: len(values)] = values
        found = re.search(r"<PP_DIJ\b.*?>(.*?)</PP_DIJ>", text, re.DOTALL)
        body = found.group(1) if found and read else ""
        strengths = _square(body, len(read)) if every and every[0][0] else _listed(body, len(read))
    except (AttributeError, IndexError, ValueError) as error:
        raise PseudopotentialError(str(path), f"has projectors that are not understood ({error})", "UPF") from error
    # β in Ry/√bohr and D in 1/Ry, or the other way round: only their product is told, in Ry.
    return Projectors(tuple(momentum for momentum, _ in read), functions / np.sqrt(BOHR), strengths * RYDBERG)


def _of_version_2(told: str, body: str) -> tuple[int, Array]:
    momentum = re.search(r"angular_momentum\s*=\s*[\"']\s*(\d+)", told)
    return int(momentum.group(1)), fortran_numbers(body.encode())  # type: ignore[union-attr]


def _of_version_1(body: str) -> tuple[int, Array]:
    """``1 0 Beta L`` (number and l), how many values, the values, and perhaps more."""
    head, count, *lines = body.strip().splitlines()
    n = int(count.split()[0])
    numbers = " ".join(lines).split()[:n]
    return int(head.split()[1]), fortran_numbers(" ".join(numbers).encode())


def _square(body: str, n: int) -> Array:
    return fortran_numbers(body.encode()).reshape(n, n)


def _listed(body: str, n: int) -> Array:
    """``2 Number of nonzero Dij``, then ``i j D_ij``."""
    strengths = np.zeros((n, n))
    for line in body.strip().splitlines()[1:]:
        i, j, value = line.split()[:3]
        strengths[int(i) - 1, int(j) - 1] = strengths[int(j) - 1, int(i) - 1] = fortran_numbers(value.encode()).item()
    return strengths
