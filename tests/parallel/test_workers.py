"""What is asked of the workers, while they come and go."""

from __future__ import annotations

from typing import Any

import pytest
from distributed import Client

from maladist.parallel.workers import Workers


def test_a_worker_that_leaves_before_it_is_asked_about_is_waited_for_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, answers = client.scheduler_info, [{"workers": {}}]

    def info(**how: Any) -> Any:
        return answers.pop() if answers else real(**how)

    monkeypatch.setattr(client, "scheduler_info", info)
    assert Workers.of(client).count == len(client.nthreads())
    assert not answers
