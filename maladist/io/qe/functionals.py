"""Quantum ESPRESSO's names of exchange-correlation functionals: one table, whatever the source."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from maladist.choices import Functional
from maladist.errors import PhysicsError

NAMES: Final[dict[str, Functional]] = {
    **dict.fromkeys(("PBE", "SLA PW PBX PBC", "SLA PW PBE PBE"), "pbe"),
    **dict.fromkeys(("PW", "SLA PW", "SLA PW NOGX NOGC"), "pw92"),
    **dict.fromkeys(("PZ", "LDA", "SLA PZ", "SLA PZ NOGX NOGC"), "pz"),
}
"""Ours by theirs, in capitals and with single spaces: short names, and names of the four parts."""

_FAMILIES: Final = {
    "the hybrid functional": "PBE0 HSE B3LYP X3LYP B86BPBEX BHAHLYP BHANDHLYP GAUP GAUPBE SCAN0 HF OEP EXX PBEH",
    "the meta-GGA": "TPSS M06L SCAN RSCAN R2SCAN TB09 REVTPSS MGGX MGGC",
    "the van der Waals functional": "VDW VDW1 VDW2 RVV10 VV10 VDWX",
}


def functional_of(name: str, source: str | Path) -> Functional | None:
    """Functional by Quantum ESPRESSO's name; None for an empty one.

    Parameters
    ----------
    name
        Name as the source has it: short ('PBE'), in parts ('SLA PW PBX PBC', also with + or -), or in parts and then
        short, as UPF version 1 has it.
    source
        File that holds it, for the error.

    Raises
    ------
    PhysicsError
        A functional that this program does not have.
    """
    # Sources write SLA+PW+PBX+PBC, sla-pw-pbx-pbc and the like.
    words = name.upper().replace("+", " ").replace("-", " ").split()
    if not words:
        return None
    functional = NAMES.get(" ".join(words[:4]))
    if functional is not None and (len(words) <= 4 or words[4] in NAMES):
        return functional
    # What kind it is tells the user more than a name that is not on our list.
    family = next((f for f, members in _FAMILIES.items() if set(words) & set(members.split())), "the functional")
    raise PhysicsError(str(source), f"has {family} {' '.join(name.split())[:60]}", "PBE, PW92 (SLA+PW) or PZ (LDA)")
