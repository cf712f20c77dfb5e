"""Models that come with the package: found by their folders, each with a card that can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from maladist.errors import ModelError
from maladist.io import shipped
from maladist.io.model_file import load_model
from maladist.io.shipped import ShippedModel, shipped_models

HEAD = "---\nsummary: liquid tin\nelements: [Sn]\ntemperature: 600\n---\n# tin\n"


def folder(path: Path, card: str | None, file: str = "sn.maladist") -> Path:
    path.mkdir()
    (path / file).write_bytes(b"")
    if card is not None:
        (path / "README.md").write_text(card)
    return path / file


def test_a_folder_with_a_model_file_and_a_card_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "DATA", tmp_path)
    file = folder(tmp_path / "any_name", HEAD)
    folder(tmp_path / "without_card", None, "pb.maladist")
    assert shipped_models() == {"sn": ShippedModel(file)}
    card = shipped_models()["sn"].card
    assert (card.summary, card.elements, card.temperature, card.errors) == ("liquid tin", ["Sn"], 600.0, {})


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("# tin\n", "between two ---"),
        ("---\nsummary: tin\n", "between two ---"),
        (HEAD.replace("600", "hot"), "temper"),
    ],
)
def test_a_card_that_says_nothing_is_refused_by_its_path(tmp_path: Path, card: str, words: str) -> None:
    with pytest.raises(ModelError, match=f"README.md.*{words}"):
        _ = ShippedModel(folder(tmp_path / "a", card)).card


def test_the_models_of_the_package_know_their_local_potentials() -> None:
    """So that `potential` asks nobody for UPF files that lie in the package."""
    for name, found in shipped_models().items():
        assert all(e.local_potential is not None for e in load_model(found.file).elements.values()), name
