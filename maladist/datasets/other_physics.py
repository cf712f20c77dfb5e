"""What the differences of single terms tell of physics that the DFT had and this program has not.

Readers refuse such calculations (`maladist.io.refused`). Data sets made before they did, and sources that do not tell,
as MALA's .info.json, keep the traces: each kind changes a term, or the total and none of its terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from maladist.attributes import Attributes
from maladist.errors import PhysicsError
from maladist.io.refused import refuse_file_names

_TRACE: Final = 10.0
"""Difference of a term, meV/atom, above which it is a trace: ten times the tolerance of `check`."""
_SAME_DENSITY: Final = 2.0
"""Difference of E_xc, meV/atom, below which ∫ v_xc n is taken as the same where the DFT does not tell it."""
_SIGNS: Final = {
    "band_energy": 1.0,
    "entropy_contribution": 1.0,
    "hartree": -1.0,
    "xc": 1.0,
    "xc_potential": -1.0,
    "ewald": 1.0,
}


def signs_of_other_physics(
    differences: Mapping[str, float], terms: Mapping[str, float], attributes: Attributes
) -> tuple[str, ...]:
    """Reasons, in words, for differences that other physics leaves.

    Parameters
    ----------
    differences
        Differences of terms from those of the DFT, meV/atom, by the names of the data contract without ``_eV``.
    terms
        Terms of the DFT, eV, by the names of the data contract.
    attributes
        Attributes of the snapshot.
    """
    reasons = []
    try:
        files = attributes.get("pseudopotentials") or {}
        refuse_file_names([str(known.get("file", "")) for known in files.values()], "pseudopotentials")
    except PhysicsError as error:
        reasons.append(f"the DFT {error.came}: {error.remedy}")
    if abs(ewald := differences.get("ewald", 0.0)) > _TRACE:
        reasons.append(
            f"the Ewald energy differs by {ewald:+.0f} meV/atom: a cell taken as isolated or two-dimensional"
            " (assume_isolated; convert it with --assume-isolated 2D if it was '2D'), a charged cell (tot_charge), or"
            " pseudopotentials of another valence"
        )
    if abs(xc := differences.get("xc", 0.0)) > _TRACE:
        reasons.append(
            f"E_xc differs by {xc:+.0f} meV/atom: another functional than {attributes.get('xc')} (PBEsol, a meta-GGA, a"
            " hybrid, a van der Waals functional), spin polarisation, or pseudopotentials with another core charge"
        )
    reasons += _of_the_smearing(differences, terms)
    rest = _beyond_the_terms(differences)
    # No term of ours differs, and yet the total does: it holds a term that is not ours.
    if rest is not None and abs(rest) > _TRACE:
        reasons.append(
            f"the DFT's total holds {-rest:+.0f} meV/atom beyond its terms: a Hubbard correction (DFT+U), a dispersion"
            " correction (D2, D3, TS, MBD), PAW's one-center terms, exact exchange or an external field"
        )
    return tuple(reasons)


def _of_the_smearing(differences: Mapping[str, float], terms: Mapping[str, float]) -> list[str]:
    """−TS of occupations other than Fermi-Dirac's has another size for the same width, and may be positive."""
    of_dft, difference = terms.get("entropy_contribution_eV"), differences.get("entropy_contribution", 0.0)
    if of_dft is None or abs(difference) <= _TRACE:
        return []
    sign = " and is positive" if of_dft > 0 else ""
    return [
        f"−TS of the DFT differs by {-difference:+.0f} meV/atom{sign}: another smearing than Fermi-Dirac's (gaussian,"
        " Methfessel-Paxton, Marzari-Vanderbilt), or another temperature"
    ]


def _beyond_the_terms(differences: Mapping[str, float]) -> float | None:
    """Difference of the total that those of its terms do not explain, meV/atom; None where one is not known."""
    known = dict(differences)
    if abs(known.get("xc", _TRACE)) < _SAME_DENSITY:
        # E_xc agrees, so the density and the functional do, and with them ∫ v_xc n, which printed outputs do not have.
        known.setdefault("xc_potential", 0.0)
    if not {*_SIGNS, "total_free_energy"} <= known.keys():
        return None
    return known["total_free_energy"] - sum(sign * known[name] for name, sign in _SIGNS.items())
