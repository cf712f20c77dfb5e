"""Letters of options, the environment's part, and what is said of words that are missing or unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from maladist.cli.app import app, main
from maladist.cli.options import ModelFlags
from maladist.cli.words import LETTERS
from tests.cli.test_help import commands


def parsed(*words: str) -> dict[str, object]:
    """Arguments of a command by name."""
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    return bound.arguments


@pytest.mark.parametrize("words", commands(app))
def test_an_option_has_its_letter_in_every_command(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([*words.split(), "--help"])
    told = capsys.readouterr().out
    for name, letter in LETTERS.items():
        assert f"--{name} {letter}" in told or f" --{name} " not in told


def test_letters_stand_for_the_words() -> None:
    found = parsed("predict", "be.xyz", "-m", "a.maladist", "-o", "b.zarr", "-T", "300", "-T", "1000")
    options = found["options"]
    assert isinstance(options, ModelFlags)
    assert (options.model, options.temperature, found["output"]) == (Path("a.maladist"), [300, 1000], Path("b.zarr"))


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "be.xyz", "--temprature", "300"],
        ["predict", "--temprature", "300", "be.xyz"],
        ["predict", "be.xyz", "--temprature=300", "-m", "be-1000K"],
        ["predict", "be.xyz", "-m", "be-1000K", "-o", "a.zarr", "--temprature", "300"],
    ],
)
def test_an_unknown_option_is_named_before_what_is_missing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("maladist: Unknown option: --temprature. Did you mean --temperature?")
    assert said.endswith("See maladist predict --help.\n") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["predict"], "ATOMS, --output, --model"),
        (["predict", "be.xyz", "-T", "300"], "--output, --model"),
        (["predict", "be.xyz", "--model", "a.maladist"], "--output"),
        (["export", "data.zarr/snapshots/a"], "--to, --output"),
        (["sample", "crystal", "Be"], "--count, --output"),
    ],
)
def test_all_that_is_missing_is_named_as_missing(
    words: list[str], missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"maladist: missing: {missing}. See maladist ")


def test_an_option_at_the_end_without_its_value_is_not_called_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "be.xyz", "--output"]) == 2
    assert "--output requires an argument" in capsys.readouterr().err


def test_model_and_cluster_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALADIST_MODEL", "mine.maladist")
    monkeypatch.setenv("MALADIST_CLUSTER", "slurm.yaml")
    for more, wanted in (((), ("mine.maladist", "slurm.yaml")), (("-m", "a", "--cluster", "local"), ("a", "local"))):
        options = parsed("predict", "be.xyz", "-o", "a.zarr", *more)["options"]
        assert isinstance(options, ModelFlags) and (str(options.model), options.cluster) == wanted


@pytest.mark.parametrize("verb", ["predict", "md", "evaluate", "rank", "card"])
def test_the_help_of_model_names_those_that_come_with_the_package(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app([verb, "--help"])
    assert "be-1000K" in capsys.readouterr().out
