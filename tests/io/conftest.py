"""Files of Quantum ESPRESSO 6.7 that tests/data/make_qe_files.py made, by the name of the case."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

FileOf = Callable[..., Path]


@pytest.fixture
def qe_file(own_data: Path, tmp_path: Path) -> FileOf:
    """Unpack NAME.KIND, perhaps with words replaced, into the test's folder."""

    def unpack(name: str, kind: str, *replaced: tuple[str, str], to: str = "") -> Path:
        text = gzip.decompress((own_data / f"qe_files/{name}.{kind}.gz").read_bytes()).decode()
        for old, new in replaced:
            assert old in text, f"{old!r} is not in {name}.{kind}"
            text = text.replace(old, new)
        path = tmp_path / (to or f"{name}.{kind}")
        path.write_text(text)
        return path

    return unpack
