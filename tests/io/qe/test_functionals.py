"""Quantum ESPRESSO's names of functionals: those that are here, and those that are refused by their family."""

from __future__ import annotations

import pytest

from maladist.errors import PhysicsError
from maladist.io.qe.functionals import functional_of


@pytest.mark.parametrize(
    ("name", "xc"),
    [
        ("PBE", "pbe"),
        (" SLA  PW   PBX  PBC", "pbe"),
        ("SLA-PW-PBX-PBC", "pbe"),
        ("sla+pw+pbx+pbc", "pbe"),
        ("SLA  PW   PBE  PBE     PBE", "pbe"),  # UPF version 1: in parts, and short
        ("SLA PW NOGX NOGC", "pw92"),
        ("SLA+PW", "pw92"),
        ("PW", "pw92"),
        ("PZ", "pz"),
        ("LDA                 ", "pz"),
        ("SLA  PZ   NOGX NOGC    PZ", "pz"),
        ("", None),
    ],
)
def test_names_of_functionals(name: str, xc: str | None) -> None:
    assert functional_of(name, "x.UPF") == xc


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("PBESOL", "the functional PBESOL"),
        ("SLA PW PSX PSC", "the functional SLA PW PSX PSC"),
        (" SLA  LYP  B88  BLYP", "the functional SLA LYP B88 BLYP"),
        ("revpbe", "the functional revpbe"),
        ("PBE0", "the hybrid functional PBE0"),
        ("SLA PW   TPSS TPSS", "the meta-GGA"),
        ("SCAN", "the meta-GGA SCAN"),
        ("vdw-df2", "the van der Waals functional vdw-df2"),
        ("VDW-DF", "the van der Waals functional"),
        ("SLA PW PBX PBC VDW1", "the van der Waals functional"),  # PBE with a non-local correlation
        ("rVV10", "the van der Waals functional"),
    ],
)
def test_others_are_refused_by_name(name: str, family: str) -> None:
    with pytest.raises(PhysicsError, match=rf"x\.UPF: has {family}.*PBE, PW92"):
        functional_of(name, "x.UPF")
