"""Do the measures that need no training rank as training does, and what do they save? Prints Kendall's τ and seconds.

    python tests/benchmarks/tuning.py [DATA.zarr --train 'train-08-00[0-7]' --validation 'valid-08-*'] [--points 1000]

Without DATA it takes the small data set of the tests, which shows that it runs and little else. τ is 1 where a measure
puts any two networks (or descriptors) in the order of their validation losses, 0 where it knows nothing. 'another seed'
is the τ of training itself, done again from another seed: no measure can be expected to be above it.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client
from scipy.stats import kendalltau

from maladist import TuneConfig, cluster, examples, tune
from maladist.tuning.result import Tuned

NETWORKS = {
    "network.hidden": {
        "choices": [[20], [100], [400], [20, 20], [100, 100], [300, 300], [20, 20, 20, 20], [100, 100, 100, 100]]
    },
    "network.activation": {"choices": ["ReLU", "SiLU", "Tanh"]},
}
DESCRIPTORS = {
    "descriptor.twojmax": {"choices": [2, 4, 6, 8, 10]},
    "descriptor.cutoff": {"choices": [2.5, 3.5, 4.7, 6.0]},
}
MIXED = {
    "optimiser.lr": {"choices": [3e-4, 3e-3, 3e-2]},
    "network.hidden": {"choices": [[50], [200], [100, 100]]},
    "network.activation": {"choices": ["ReLU", "SiLU", "Tanh"]},
    "batch.points": {"choices": [64, 128, 256]},
}


PARTS = ["networks", "descriptors", "designs"]


def main() -> None:
    """Run the parts that are asked for."""
    args = arguments()
    with tempfile.TemporaryDirectory() as scratch, cluster("local", args.workers) as client:
        data = Path(args.data) if args.data else examples.small_data_set(scratch)
        study = Study(args, data, Path(scratch), client)
        if "networks" in args.parts:
            study.compare("networks", NETWORKS, ["naswot", "jacobian"])
        if "descriptors" in args.parts:
            study.compare("descriptors", DESCRIPTORS, ["acsd", "mutual_information"])
        if "designs" in args.parts:
            study.orthogonal()


class Study:
    """Searches on the same data and training."""

    def __init__(self, args: argparse.Namespace, data: Path, scratch: Path, client: Client) -> None:
        self.args, self.scratch, self.client, self.count = args, scratch, client, 0
        at = data / "snapshots"
        self.train: dict[str, Any] = {
            "data": {
                "train": str(at / args.train),
                "validation": str(at / args.validation),
                "points": args.points,
                "validation_points": args.points,
            },
            "descriptor": {"family": "bispectrum", "twojmax": 6, "cutoff": 4.7},
            "network": {"hidden": [100, 100]},
            "optimiser": {"lr": 3e-3},
            "batch": {"snapshots": 2, "points": min(128, args.points)},
            "epochs": args.epochs,
            "validate_every": args.epochs,
            "device": "cpu",
        }

    def search(self, axes: dict[str, Any], seed: int = 0, **more: Any) -> Tuned:
        """A search from a seed."""
        self.count += 1
        told = {"train": {**self.train, "seed": seed}, "search": axes, "seed": seed, **more}
        return tune(TuneConfig.of(told), self.scratch / f"{self.count}", client=self.client)

    def compare(self, name: str, axes: dict[str, Any], measures: list[str]) -> None:
        """Hold measures against training, candidate by candidate."""
        trained = self.search(axes, method="grid")
        energies = self.band_energies(trained)
        losses = by_number(trained)
        others = [] if self.args.once else [("another seed", self.search(axes, seed=1, method="grid"))]
        n, seconds = len(losses), spent(trained)
        print(f"\n{name}: {n} candidates, losses {min(losses):.4g} to {max(losses):.4g}; training {seconds:.1f} s")
        print(f"{'':22} τ of loss  p        τ of |ΔE_b|  loss of the first / best  seconds  saves")
        for label, found in (*others, *((m, self.measured(axes, m)) for m in measures)):
            values = np.array(by_number(found))
            values = -values if label in ("naswot", "jacobian", "mutual_information") else values
            tau, p = kendalltau(values, losses)
            energy = kendalltau(values, energies).statistic
            first, cost = losses[int(np.argmin(values))] / min(losses), spent(found)
            ranks = f"{label:22} {tau:+9.2f}  {p:7.1g}  {energy:+11.2f}  {first:24.2f}"
            print(f"{ranks}  {cost:7.2f}  {seconds / cost:5.0f} ×", flush=True)
        print(f"{'loss itself':22} {1:+9.2f}  {'':7}  {kendalltau(losses, energies).statistic:+11.2f}")
        for trial in sorted(trained.trials, key=lambda t: t.value or np.inf)[:3]:
            print(f"  {trial.value:.5g} {dict(trial.values)}")

    def measured(self, axes: dict[str, Any], measure: str) -> Tuned:
        """All candidates by a measure."""
        return self.search(axes, method="grid", objective=measure, points=self.args.measured)

    def band_energies(self, found: Tuned) -> list[float]:
        """Mean |ΔE_b| of the trained networks, meV/atom, by number of the trial."""
        folder = self.scratch / f"{self.count}"
        rows = [
            list(csv.DictReader((folder / f"trial-{n}" / "metrics.csv").open()))[-1] for n in range(len(found.trials))
        ]
        return [float(row.get("band_energy_meV_per_atom") or "nan") for row in rows]

    def orthogonal(self) -> None:
        """An orthogonal array and Optuna's TPE with as many trials, against the whole grid."""
        grid = self.search(MIXED, method="grid")
        losses = sorted(by_number(grid))
        array = self.search(MIXED, method="oat")
        tpe = self.search(MIXED, trials=len(array.trials))
        print(f"\northogonal array: {len(losses)} combinations of four keys, {spent(grid):.1f} s")
        for label, found in (("grid", grid), ("oat", array), ("TPE", tpe)):
            assert found.best.value is not None
            place = int(np.searchsorted(losses, found.best.value * (1 - 1e-9))) + 1
            line = (
                f"{label:5} {len(found.trials):3} trials: loss {found.best.value:.5g}, place {place} of {len(losses)}"
            )
            print(f"{line}, {spent(found):.1f} s  {dict(found.best.values)}")


def by_number(found: Tuned) -> list[float]:
    """The objective of all trials, in the order of the grid."""
    assert all(t.value is not None for t in found.trials)
    return [float(t.value or 0.0) for t in sorted(found.trials, key=lambda t: t.number)]


def spent(found: Tuned) -> float:
    """Seconds of workers in all trials, without computing descriptors, which both need."""
    return sum(t.seconds for t in found.trials)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--train", default="train-*")
    parser.add_argument("--validation", default="valid-*")
    parser.add_argument("--points", type=int, default=256, help="of a snapshot, to train on and to validate on")
    parser.add_argument("--measured", type=int, default=500, help="points that a measure sees")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--once", action="store_true", help="without the second training from another seed")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
