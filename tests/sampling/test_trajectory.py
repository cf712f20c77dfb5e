"""What is not equilibrated is dropped, what is taken is uncorrelated: on made-up series and trajectories."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry.rdf import get_rdf

from maladist.errors import InputError
from maladist.sampling.trajectory import (
    cosine_distance,
    distances_to_end,
    equilibration,
    radial_distributions,
    statistical_inefficiency,
    uncorrelated,
)


def memory(n: int, rho: float, seed: int, width: int = 1) -> np.ndarray:
    """Autoregressive noise of unit variance: C(t) = ρ^t, so g = (1 + ρ) / (1 − ρ)."""
    random = np.random.default_rng(seed)
    x = np.zeros((n, width))
    x[0] = random.standard_normal(width)
    for i in range(1, n):
        x[i] = rho * x[i - 1] + np.sqrt(1 - rho**2) * random.standard_normal(width)
    return x


def test_the_inefficiency_is_that_of_an_autoregressive_series() -> None:
    found = [statistical_inefficiency(memory(4000, 0.8, s)[:, 0]) for s in range(20)]
    assert np.mean(found) == pytest.approx(9.0, rel=0.15)  # 20 series of 440 samples each
    assert statistical_inefficiency(memory(4000, 0.0, 1)[:, 0]) == pytest.approx(1.0, abs=0.2)
    assert statistical_inefficiency(np.full(50, 3.0)) == 50


@pytest.mark.parametrize("tau", [30, 100])
def test_a_drift_is_dropped(tau: float) -> None:
    starts = []
    for seed in range(10):
        series = memory(2000, 0.8, seed)[:, 0]
        starts.append(equilibration(series + 10 * np.exp(-np.arange(2000) / tau))[0])
    # Ten standard deviations fall below one half of one within 3 τ; what is cut beyond that is chance.
    assert 1.5 * tau < np.median(starts) < 5 * tau
    still = [equilibration(memory(2000, 0.8, seed)[:, 0])[0] for seed in range(10)]
    assert np.median(still) < 100


def test_radial_distributions_are_those_of_ase() -> None:
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True) * (3, 3, 3)
    salt.rattle(0.1, seed=1)
    salt.positions += 100 * salt.cell.array[0] + 1e-9
    ours = radial_distributions([salt], cutoff=6.0)[0].reshape(3, 60)
    for found, pair in zip(ours, [("Na", "Na"), ("Na", "Cl"), ("Cl", "Cl")], strict=True):
        np.testing.assert_allclose(found, get_rdf(salt, 6.0, 60, elements=pair, no_dists=True), rtol=1e-10, atol=1e-10)


def test_images_count_beyond_half_of_the_cell() -> None:
    small, large = (bulk("Al", cubic=True) * n for n in (1, 3))
    np.testing.assert_allclose(*radial_distributions_of(small, large), rtol=1e-10)


def radial_distributions_of(*several: Atoms) -> list[np.ndarray]:
    return [radial_distributions([a], cutoff=6.05)[0] for a in several]


def test_frames_of_the_end_are_no_nearer_to_it_than_others() -> None:
    noise = 1 + 0.1 * np.random.default_rng(2).standard_normal((400, 50))
    found = distances_to_end(noise)
    # standard error of a mean of 100: 2 %
    assert found[300:].mean() == pytest.approx(found[:300].mean(), rel=0.06)


def wandering(n: int, rho: float, drift: float) -> list[Atoms]:
    """A crystal whose displacements are autoregressive and whose beginning is another, larger cell."""
    crystal = bulk("Al", cubic=True) * (2, 2, 2)
    moves = 0.15 * memory(n, rho, 3, 3 * len(crystal)).reshape(n, -1, 3)
    frames = []
    for i in range(n):
        frame = crystal.copy()
        frame.set_cell(crystal.cell * (1 + 0.1 * np.exp(-i / drift)), scale_atoms=True)
        frame.positions += moves[i]
        frames.append(frame)
    return frames


def test_what_is_taken_is_equilibrated_and_uncorrelated() -> None:
    frames = wandering(400, 0.9, 15.0)
    found = uncorrelated(frames)
    assert 20 < found.start < 150
    assert found.indices[0] == found.start
    steps = np.diff(found.indices)
    assert steps.min() >= found.inefficiency
    functions = radial_distributions(frames)
    apart = cosine_distance(functions[list(found.indices[1:])], functions[list(found.indices[:-1])])
    assert apart.min() > found.threshold
    # A tenth of the independent pairs are below the threshold by its making, and more of the neighbours in time.
    near = cosine_distance(functions[found.start + 1 :], functions[found.start : -1])
    assert np.mean(near < found.threshold) > 0.2
    few = uncorrelated(frames, 5)
    assert len(few.indices) == 5 and set(few.indices) < set(found.indices)
    assert few.indices[0] == found.indices[0] and few.indices[-1] == found.indices[-1]


def test_energies_count_where_frames_have_them() -> None:
    from ase.calculators.singlepoint import SinglePointCalculator

    frames, energies = wandering(300, 0.5, 1e-3), memory(300, 0.5, 7)[:, 0] + 20 * np.exp(-np.arange(300) / 20)
    without = uncorrelated(frames).start
    for frame, energy in zip(frames, energies, strict=True):
        frame.calc = SinglePointCalculator(frame, energy=energy)
    assert without < 30 < uncorrelated(frames).start


def test_frames_of_another_temperature_are_left_out() -> None:
    frames, random = wandering(200, 0.5, 1e-3), np.random.default_rng(0)
    for frame, temperature in zip(frames, random.uniform(900, 1100, 200), strict=True):
        frame.set_momenta(random.standard_normal((len(frame), 3)))
        frame.set_momenta(frame.get_momenta() * np.sqrt(temperature / frame.get_temperature()))
    every = uncorrelated(frames)
    at_mean, near = (
        uncorrelated(frames, temperature_tolerance=0.05),
        [f.get_temperature() for f in frames[every.start :]],
    )
    assert every.ion_temperature is None and at_mean.ion_temperature == pytest.approx(np.mean(near))
    hot = uncorrelated(frames, ion_temperature=1080.0, temperature_tolerance=0.02)
    assert hot.start == every.start and 2 < len(hot.indices) < len(at_mean.indices) < len(every.indices)
    assert all(abs(frames[i].get_temperature() - 1080.0) <= 0.02 * 1080.0 for i in hot.indices)
    refused = [
        (r"some within 0\.01 of 300 K", frames, {"ion_temperature": 300.0, "temperature_tolerance": 0.01}),
        ("without a tolerance", frames, {"ion_temperature": 300.0}),
        ("a positive share", frames, {"temperature_tolerance": -0.1}),
        ("without momenta", wandering(60, 0.5, 1e-3), {"temperature_tolerance": 0.1}),
    ]
    for why, some, options in refused:
        with pytest.raises(InputError, match=why):
            uncorrelated(some, **options)


def test_what_cannot_be_chosen_from_is_refused() -> None:
    frames = wandering(60, 0.5, 1.0)
    with pytest.raises(InputError, match="20 or more"):
        uncorrelated(frames[:10])
    with pytest.raises(InputError, match="other atoms in frame 59"):
        uncorrelated([*frames[:-1], frames[0][:-1]])
    with pytest.raises(InputError, match="uncorrelated configurations"):
        uncorrelated(frames, 60)
    with pytest.raises(InputError, match="equilibrium in its first half"):
        uncorrelated(wandering(60, 0.5, 25.0))
    single = Atoms("Al", cell=[4, 4, 4])
    with pytest.raises(InputError, match="not periodic"):
        uncorrelated([single] * 20)


def test_vectors_have_the_inefficiency_of_their_components() -> None:
    assert statistical_inefficiency(memory(2000, 0.8, 5, 30)) == pytest.approx(9.0, rel=0.1)
