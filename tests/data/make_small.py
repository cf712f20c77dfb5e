"""Makes the package's be_small.zarr.zip with Quantum ESPRESSO: five snapshots of Be, in about a minute.

Run it in the repository as `python tests/data/make_small.py`. Coarse on purpose: it is for tests, not for learning.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zarr
from ase.build import bulk
from zarr.codecs import BloscCodec, Crc32cCodec

import maladist
from maladist.datasets.dft.espresso import Espresso
from maladist.io import stores
from maladist.io.shipped import DATA
from maladist.sampling.crystal import displaced

HERE = Path(__file__).parent
ENERGIES = {"origin": -6.0, "spacing": 0.3, "levels": 66}
SETUP = Espresso(
    temperature=1000.0,
    pseudopotentials=str(HERE / "pseudopotentials"),
    ecutwfc=15.0,
    kpoints={2: [10, 10, 6], 4: [5, 10, 6]},  # nested: both sample the same points of the primitive cell's zone
    energies=ENERGIES,
    broadening=0.4,
    bands=8,
)
MANTISSA = 10
"""Bits that the LDOS keeps of its 23: 5e-4 of each value, at random, which sums do not see."""


def rounded(values: np.ndarray) -> np.ndarray:
    """Float32 with fewer bits of mantissa, to the nearest, so that it compresses."""
    drop = 23 - MANTISSA
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + (1 << (drop - 1))) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)


def pack(store: Path, names: Sequence[str], target: Path) -> None:
    """Round the LDOS of a data set's snapshots and pack the store, whose bytes do not depend on the day."""
    for name in names:
        group = zarr.open_group(str(store / "snapshots" / name))
        old = group["ldos"]
        assert isinstance(old, zarr.Array)
        values, dims, facts = rounded(np.asarray(old[...])), old.metadata.dimension_names, dict(old.attrs)
        group.create_array(
            "ldos",
            data=values,
            chunks=old.chunks,
            dimension_names=dims,
            attributes=facts,
            compressors=[BloscCodec(cname="zstd", clevel=9, shuffle="shuffle"), Crc32cCodec()],
            overwrite=True,
        )
        stores.seal(store / "snapshots" / name)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(p for p in store.rglob("*") if p.is_file()):
            name = str(path.relative_to(store.parent))
            packed.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)


def main() -> None:
    """Run the snapshots, round their LDOS and pack the store."""
    crystal = bulk("Be", "hcp", a=2.2866, c=3.5833)
    small = displaced(crystal, 4, displacement=0.1, strain=0.02, seed=1)
    large = displaced(crystal * (2, 1, 1), 1, displacement=0.1, strain=0.02, seed=2)
    names = ["train-0", "train-1", "train-2", "valid-0", "test-4-atoms"]
    with tempfile.TemporaryDirectory() as folder, maladist.cluster("local", 1) as client:
        store = Path(folder) / "be_small.zarr"
        for outcome in maladist.dft(small + large, SETUP, store, names=names, client=client):
            print(f"{outcome.name}: {outcome.reason or 'done'} ({outcome.seconds:.1f} s)")
            assert not outcome.reason
        pack(store, names, DATA / "examples" / "be_small.zarr.zip")


if __name__ == "__main__":
    main()
