"""What codes of plane waves share is the same for each of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase import Atoms

from maladist.datasets.dft.espresso import Espresso
from maladist.datasets.dft.gpaw import GPAW
from maladist.datasets.dft.plane_waves import PlaneWaves
from maladist.errors import InputError


@pytest.mark.parametrize("code", [Espresso, GPAW])
def test_meshes_and_bands_do_not_depend_on_the_code(code: type[PlaneWaves], setup: Espresso, be2: Atoms) -> None:
    values = {**setup.to_dict(), "kpoints": {2: [2, 2, 1]}}
    shared = {k: v for k, v in values.items() if k in PlaneWaves.model_fields}
    made = code.of({**shared, "code": code.model_fields["code"].annotation.__args__[0]})  # type: ignore[union-attr]
    proposed, told = made.propose([be2.repeat((2, 1, 1))], [be2])
    assert proposed == {"kpoints": {"2": [2, 2, 1], "4": [1, 2, 1]}} and len(told) == 1
    assert made.settled(proposed).mesh(be2.repeat((2, 1, 1))) == (1, 2, 1)
    assert made.n_bands(be2) == setup.n_bands(be2)


@pytest.mark.parametrize("code", [Espresso, GPAW])
def test_pseudopotentials_of_two_functionals_are_refused(
    code: type[PlaneWaves], setup: Espresso, own_data: Path, tmp_path: Path
) -> None:
    for name in ("Be", "Al"):
        text = (own_data / "pseudopotentials" / f"{name}.own-pbe-nc-nlcc.UPF").read_text()
        (tmp_path / f"{name}.UPF").write_text(
            text if name == "Be" else text.replace('functional="PBE"', 'functional="PZ"')
        )
    shared = {k: v for k, v in setup.to_dict().items() if k in PlaneWaves.model_fields}
    name = code.model_fields["code"].annotation.__args__[0]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"made for different functionals \(Al pz, Be pbe\)"):
        code.of({**shared, "pseudopotentials": str(tmp_path), "code": name})
