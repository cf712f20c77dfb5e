"""What a search found: the mean effect of each level, from the trials that gave a number."""

from __future__ import annotations

import pytest

from maladist.tuning.result import Trial, main_effects


def trial(number: int, hidden: list[int], rate: float, value: float | None) -> Trial:
    state = "failed" if value is None else "complete"
    return Trial(number, {"network.hidden": hidden, "rate": rate}, state, value, 1.25, "" if value else "no room")


TRIALS = [trial(0, [8], 0.1, 1.0), trial(1, [8], 0.2, 3.0), trial(2, [9], 0.1, 5.0), trial(3, [9], 0.2, None)]


def test_effects_are_means_over_the_trials_of_a_level_that_gave_a_number() -> None:
    effects = main_effects(TRIALS)
    assert effects["network.hidden"] == pytest.approx({"[8]": 2.0, "[9]": 5.0})
    assert effects["rate"] == pytest.approx({"0.1": 3.0, "0.2": 3.0})
    assert main_effects([]) == {}


def test_a_trial_tells_its_objective_its_values_and_why_it_failed() -> None:
    assert TRIALS[0].line(bar=False) == "trial 0: complete 1 (network.hidden [8], rate 0.1; 1.2 s)"
    assert TRIALS[3].line(bar=True) == "trial 3: failed (network.hidden [9], rate 0.2; 1.2 s): no room"
    assert TRIALS[3].to_dict()["network.hidden"] == "[9]"  # as a cell of a table
