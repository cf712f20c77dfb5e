"""The functional that a pseudopotential names, which MALA's models do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from maladist.io.qe.upf import read_upf

VERSION_2 = """<UPF version="2.0.1">
<PP_HEADER element="Be" z_valence="2.0" core_correction="false" functional="{}" mesh_size="3"/>
</UPF>"""
VERSION_1 = """<PP_HEADER>
    0                   Version Number
   Be                   Element
   NC                   Norm - Conserving pseudopotential
    F                   Nonlinear Core Correction
 {}   Exchange-Correlation functional
    2.00000000000      Z valence
    3                  Number of points in mesh
</PP_HEADER>
<PP_RHOATOM>
</PP_RHOATOM>"""


@pytest.mark.parametrize(
    ("text", "name", "xc"),
    [
        (VERSION_2, "PBE", "pbe"),
        (VERSION_2, " SLA  PW   PBX  PBC", "pbe"),
        (VERSION_2, "SLA-PW-PBX-PBC", "pbe"),
        (VERSION_2, "SLA PW NOGX NOGC", "pw92"),
        (VERSION_2, "PZ", "pz"),
        (VERSION_2, "SLA PZ NOGX NOGC", "pz"),
        (VERSION_2, "PBESOL", None),
        (VERSION_2, "SLA PW PSX PSC", None),
        (VERSION_1, "SLA  PW   PBE  PBE     PBE", "pbe"),
        (VERSION_1, "SLA  PZ   NOGX NOGC    PZ", "pz"),
    ],
)
def test_names_of_functionals(text: str, name: str, xc: str | None, tmp_path: Path) -> None:
    path = tmp_path / "Be.UPF"
    path.write_text(text.format(name))
    assert read_upf(path).xc == xc
