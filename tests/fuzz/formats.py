"""The formats that the program reads."""

from __future__ import annotations

from typing import Final

from tests.fuzz.other_programs import OTHER_PROGRAMS
from tests.fuzz.own import OWN

FORMATS: Final = (*OTHER_PROGRAMS, *OWN)
