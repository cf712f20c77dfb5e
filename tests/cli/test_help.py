"""Each command's example can be parsed as it stands, and each shell gets a completion that it can read."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from maladist.cli.app import app, main
from maladist.cli.help import EXAMPLES, VERBS


def commands(parent: App, words: tuple[str, ...] = ()) -> list[str]:
    """Every command that does something, by its words."""
    found: list[str] = []
    for name in parent:
        if name.startswith("-"):
            continue
        below = commands(parent[name], (*words, name))
        found += below or [" ".join((*words, name))]
    return found


def test_every_command_has_an_example_and_every_example_its_command() -> None:
    assert set(commands(app)) == set(EXAMPLES)


@pytest.mark.parametrize("name", sorted(VERBS))
def test_the_line_of_a_verb_is_the_first_of_its_docstring(name: str) -> None:
    verb = app[name]
    said = verb.help if verb.default_command is None else verb.default_command.__doc__
    assert said and said.splitlines()[0] == VERBS[name].line


def test_the_list_of_verbs_imports_none_of_them() -> None:
    code = (
        "import sys; from maladist.cli.app import app; app(['--help'], result_action='return_value');"
        "print([m for m in ('torch', 'xarray', 'distributed', 'numpy', 'ase') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "predict" in done.stdout and done.stderr == "[]\n"


def test_the_words_of_a_verb_are_read_before_anything_large_is_imported() -> None:
    """Help and a mistyped option cost a quarter of a second, not three."""
    large = ("torch", "numba", "scipy", "pandas", "xarray", "zarr", "dask", "distributed", "matplotlib")
    words = [f"{command} {option}" for command in EXAMPLES for option in ("--help", "--modle")]
    words += [f"{command} nowhere.yaml" for command in ("train", "tune", "learn")]
    code = (
        f"import sys; from maladist.cli.app import main\nfor words in {words}:\n    status = main(words.split())\n"
        f"    print(words, status, [m for m in {large} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    said = [line for line in done.stderr.splitlines() if not line.startswith("maladist: ")]
    assert said == [f"{one} {0 if '--help' in one else 2} []" for one in words]
    assert done.stderr.count("Unknown option: --modle") == len(EXAMPLES)


@pytest.mark.parametrize("words", sorted(EXAMPLES))
def test_examples_are_parsed_as_they_stand(words: str) -> None:
    program, *tokens = shlex.split(EXAMPLES[words])
    assert program == "maladist" and " ".join(tokens).startswith(words)
    _, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    assert bound.arguments


def test_help_shows_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    app(["report", "--help"])
    assert EXAMPLES["report"] in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_and_read_by_its_shell(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.delenv("ZSH_CUSTOM", raising=False)
    app(["--install-completion", "--shell", shell])
    written = [p for p in tmp_path.rglob("*") if p.is_file() and "predict" in p.read_text()]
    assert len(written) == 1 and written[0].name in capsys.readouterr().out.replace("\n", "")
    assert all(word in written[0].read_text() for word in ("report", "doctor", "broadening-correction"))
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} on this machine; its completion was written and not read")
    subprocess.run([program, "-n", str(written[0])], check=True, timeout=30)


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script: Any = tmp_path / "completion"
    script.write_text(app.generate_completion(shell="bash"))

    def complete(*words: str) -> set[str]:
        line = " ".join(words)
        asked = (
            f"source {script}; COMP_WORDS=({line}); test -n '{words[-1]}' || COMP_WORDS+=(''); "
            f"COMP_CWORD={len(words) - 1}; COMP_LINE='{line}'; COMP_POINT={len(line)}; "
            "$(complete -p maladist | sed 's/.*-F \\([^ ]*\\).*/\\1/') maladist; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        return set(subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=30).stdout.split())

    assert complete("maladist", "pre") == {"predict"}
    assert {"--report", "--resume"} <= complete("maladist", "predict", "--re")


@pytest.mark.parametrize(
    ("words", "help_of"),
    [
        (["predict"], "maladist predict"),
        (["sample", "crystal", "Be"], "maladist sample crystal"),
        (["md", "be.extxyz", "--steps", "many"], "maladist md"),
        (["pred"], "maladist"),
    ],
)
def test_what_is_wrong_with_the_words_points_to_the_help_of_their_command(
    words: list[str], help_of: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("maladist: ") and said.endswith(f" See {help_of} --help.\n") and said.count("\n") == 1
