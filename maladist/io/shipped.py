"""The models that come with the package: every folder of ``maladist/data`` that has a model file and its card.

A folder may also have ``held-out.extxyz``, a cell that the model has never seen with the DFT's energies in its info and
its forces as ``dft_forces``, and the recipe (``dft.yaml``, ``train.yaml``). Nothing else lists the models: a folder
more is a model more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Final

from pydantic import Field

from maladist.configuration import Section
from maladist.errors import ModelError
from maladist.io.yaml import parse_yaml

DATA: Final = Path(str(files("maladist"))) / "data"
_CARD: Final = "README.md"


class Card(Section):
    """What a model's card says of it between its first two lines ``---``, in YAML."""

    error = ModelError

    summary: str = Field(description="what the model is for, in a few words")
    elements: list[str] = Field(description="symbols of the elements that it knows")
    temperature: float = Field(description="electronic temperature of its data, K")
    errors: dict[str, float] = Field(
        default={}, description="largest error that is expected of the held-out cell, by term, meV/atom"
    )
    forces: float | None = Field(
        default=None, description="the same of its forces: root mean square error over the DFT's root mean square"
    )
    stress: str = Field(default="", description="why a cell must not follow its stress, in a few words; empty: it may")


@dataclass(frozen=True)
class ShippedModel:
    """A model that comes with the package; its name is that of its file."""

    file: Path

    @property
    def name(self) -> str:
        """The name that stands for the file wherever a model is asked for."""
        return self.file.stem

    @property
    def folder(self) -> Path:
        """Folder of the file, its card, its recipe and its held-out cell."""
        return self.file.parent

    @cached_property
    def card(self) -> Card:
        """What the card says in YAML.

        Raises
        ------
        ModelError
            A card without it, or with other keys.
        """
        head, _ = self._parts
        return Card.of(parse_yaml(head), str(self.folder / _CARD))

    @property
    def text(self) -> str:
        """The card itself, Markdown, without what it says in YAML; raises as `card` does."""
        return self._parts[1].lstrip("\n")

    @property
    def _parts(self) -> tuple[str, str]:
        path = self.folder / _CARD
        before, _, rest = path.read_text(encoding="utf-8").partition("---\n")
        head, end, text = rest.partition("\n---\n")
        if before or not end:
            raise ModelError("card", f"{path} does not begin with lines between two ---", "what the card says in YAML")
        return head, text


def shipped_models() -> dict[str, ShippedModel]:
    """The models that come with the package, by name."""
    found = (ShippedModel(f) for f in sorted(DATA.glob("*/*.maladist")) if (f.parent / _CARD).is_file())
    return {model.name: model for model in found}
