"""What the program must know of an element: its valence, local potential and core charge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maladist.arrays import Array
from maladist.choices import Functional
from maladist.errors import PseudopotentialError


@dataclass(frozen=True, eq=False)
class Element:
    """An element as a pseudopotential describes it.

    Attributes
    ----------
    symbol
        Chemical symbol.
    valence
        Number of valence electrons; None where no pseudopotential is known.
    pseudopotential
        Name of the UPF file; empty where none is known.
    sha256
        Hash of the UPF file, hexadecimal; empty where none is known.
    core_radii, core_density
        Non-linear core correction: radii in Å and n_core(r) in 1/Å³ on the UPF file's own radial mesh, both
        (n_radii,) float64; None where the pseudopotential has none.
    core_rab
        Derivative dr/di of the radial mesh, Å, (n_radii,) float64, for Simpson integration.
    local_radii, local_potential
        Local potential: radii in Å and v_loc(r) in eV on the mesh, both (n_radii,) float64, the energy of an electron,
        −Ze²/r far out; None where it is not known, as of model files made before it was kept.
    local_rab
        Derivative dr/di of that mesh, Å, (n_radii,) float64.
    xc
        Functional that the pseudopotential was made for, 'pbe', 'pw92' or 'pz'; None where it does not tell.
    """

    symbol: str
    valence: float | None = None
    pseudopotential: str = ""
    sha256: str = ""
    core_radii: Array | None = None
    core_rab: Array | None = None
    core_density: Array | None = None
    xc: Functional | None = None
    local_radii: Array | None = None
    local_rab: Array | None = None
    local_potential: Array | None = None

    @property
    def has_pseudopotential(self) -> bool:
        """Whether the pseudopotential, and with it the core charge or its absence, is known."""
        return bool(self.pseudopotential)


def check_same_files(elements: Mapping[str, Element], told: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse pseudopotentials other than those of the calculation: near an atom n(r) is that of its own.

    Parameters
    ----------
    elements
        Elements by symbol.
    told
        ``file`` and ``sha256`` by symbol, as the attribute ``pseudopotentials`` of the density's data has them.

    Raises
    ------
    PseudopotentialError
        A file with another hash; one whose hash is not known is taken.
    """
    for symbol, element in elements.items():
        of = told.get(symbol, {})
        if of.get("sha256") and of["sha256"] != element.sha256:
            came = f"another file for {symbol} than {of.get('file', 'that')} of the density"
            raise PseudopotentialError("pseudopotentials", came, "the files of the density's data")
