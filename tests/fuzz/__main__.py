"""``python -m tests.fuzz COUNT [NAME ...]``: the table of what was tried; ``NAME:SEED`` shows one input's outcome."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.fuzz.formats import FORMATS
from tests.fuzz.harness import BAD, GOOD, Format, Undamaged, attempt


def tried(form: Format, seeds: range, bad: list[str] | None = None) -> Counter[str]:
    """Outcomes of seeds of a format; those that are bad are also told."""
    counts: Counter[str] = Counter()
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        try:
            file = Undamaged.of(form, folder)
            for seed in seeds:
                outcome = attempt(file, seed)
                counts[outcome.word] += 1
                if outcome.word in BAD and bad is not None:
                    bad.append(f"{form.name}:{seed} {outcome.kind}: {outcome.word}, {outcome.said}")
        finally:
            os.chdir(here)
    return counts


def _row(name: str, counts: Counter[str]) -> str:
    return f"| {name:14s} | {counts.total():5d} |" + "".join(f" {counts[w]:{len(w)}d} |" for w in (*GOOD, *BAD))


def main(arguments: list[str]) -> None:
    """Print a line a format, then what was bad."""
    if arguments and ":" in arguments[0]:
        name, seed = arguments[0].split(":")
        form = next(f for f in FORMATS if f.name == name)
        bad: list[str] = []
        print(tried(form, range(int(seed), int(seed) + 1), bad), *bad)
        return
    count, names = int(arguments[0]) if arguments else 60, arguments[1:]
    total: Counter[str] = Counter()
    told: list[str] = []
    print(f"| {'format':14s} | tried |" + "".join(f" {word} |" for word in (*GOOD, *BAD)))
    print("|---" * (2 + len(GOOD) + len(BAD)) + "|")
    for form in FORMATS:
        if names and form.name not in names:
            continue
        counts = tried(form, range(count), told)
        total += counts
        print(
            f"| {form.name:14s} | {count:5d} |" + "".join(f" {counts[w]:{len(w)}d} |" for w in (*GOOD, *BAD)),
            flush=True,
        )
    print(f"| {'all':14s} | {total.total():5d} |" + "".join(f" {total[w]:{len(w)}d} |" for w in (*GOOD, *BAD)))
    for line in told:
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
