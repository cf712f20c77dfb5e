"""The non-local part of a UPF file, in both versions; what is ultrasoft is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maladist.errors import PseudopotentialError
from maladist.io.qe.projectors import read_projectors
from maladist.units import BOHR, RYDBERG

FIRST_VERSION = """<PP_NONLOCAL>
  <PP_BETA>
    1    0             Beta   L
    3
  1.0D+00  2.0E+00
  3.0E+00
    3
  </PP_BETA>
  <PP_BETA>
    2    1             Beta   L
    2
  4.0E+00  5.0E+00
  </PP_BETA>
  <PP_DIJ>
    3                  Number of nonzero Dij
    1    1  1.5E+00
    1    2  0.25E+00
    2    2 -3.0E+00
  </PP_DIJ>
</PP_NONLOCAL>
"""


def test_version_1_lists_what_is_not_zero(tmp_path: Path) -> None:
    (tmp_path / "a.UPF").write_text(FIRST_VERSION)
    found = read_projectors(tmp_path / "a.UPF", 4)
    assert found.momenta == (0, 1)
    np.testing.assert_allclose(found.functions * np.sqrt(BOHR), [[1, 2, 3, 0], [4, 5, 0, 0]])
    np.testing.assert_allclose(found.strengths / RYDBERG, [[1.5, 0.25], [0.25, -3.0]])


def test_version_2_is_read_by_its_attributes(own_data: Path) -> None:
    found = read_projectors(own_data / "pseudopotentials" / "Be.own-pbe-nc-nlcc.UPF", 1041)
    assert found.momenta == (0,) and found.functions.shape == (1, 1041)
    assert found.strengths.item() / RYDBERG == pytest.approx(0.27427240867841673)
    # Kleinman and Bylander's projector ends where the pseudopotential's r_c is, 1.9 bohr.
    radii = 2.279704913886291e-04 * np.exp(0.0125 * np.arange(1041))
    assert np.abs(found.functions[0, radii > 2.0]).max() < 1e-3 * np.abs(found.functions).max()


def test_a_local_pseudopotential_has_none(tmp_path: Path) -> None:
    (tmp_path / "h.UPF").write_text("<PP_NONLOCAL>\n</PP_NONLOCAL>")
    found = read_projectors(tmp_path / "h.UPF", 5)
    assert (found.momenta, found.functions.shape, found.strengths.shape) == ((), (0, 5), (0, 0))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('<PP_HEADER is_ultrasoft="true"/>', "is ultrasoft; wanted a norm-conserving pseudopotential"),
        (FIRST_VERSION.replace("    1    1  1.5E+00", "    1    9  1.5E+00"), "projectors that are not understood"),
        (FIRST_VERSION.replace("5.0E+00", "five"), "projectors that are not understood"),
    ],
)
def test_what_it_cannot_be_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.UPF").write_text(text)
    with pytest.raises(PseudopotentialError, match=rf"a\.UPF: .*{words}"):
        read_projectors(tmp_path / "a.UPF", 4)
