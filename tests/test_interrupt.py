"""Ctrl-C while the command still imports, and the handlers of programs that only import maladist."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest


def test_importing_maladist_leaves_ctrl_c_alone() -> None:
    code = "import signal; a = signal.getsignal(2); import maladist; assert signal.getsignal(2) is a"
    subprocess.run([sys.executable, "-c", code], check=True)


EARLY = """
import os, signal, sys
class Interrupts:  # a finder that is asked for torch first, as one who presses Ctrl-C while it is imported
    def find_spec(self, name, *_):
        if name == "torch":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
{how}
"""


AS_MODULE = (
    "sys.argv = ['-m', 'doctor']; sys.orig_argv = ['python', '-m', 'maladist', 'doctor']; import maladist.__main__"
)


AS_SCRIPT = "sys.argv = ['/usr/bin/maladist', 'doctor']; from maladist.cli import main; sys.exit(main())"


@pytest.mark.parametrize("how", [AS_MODULE, AS_SCRIPT])
def test_ctrl_c_during_the_imports_is_one_line(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY.format(how=how)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "maladist: stopped\n")
