"""Makes tests/data/qe_files with Quantum ESPRESSO 6.7: XML and printed output of physics that this program refuses.

And of what it reads: dispersion, nscf after scf, relaxations, a run that did not converge. Run it in the repository as
`python tests/data/make_qe_files.py [NAME ...]`, on Debian, whose package has the pseudopotentials of H, B and Si.
What tests do not look at (symmetries, timings, memory) is cut away.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
DEBIAN: Final = "/usr/share/espresso/pseudo"
HEXAGONAL: Final = "2.26 0 0\n-1.13 1.957 0\n0 0 {}"
H2: Final = {"species": "H 1.0 H.pz-vbc.UPF", "atoms": "H 0 0 0\nH 0 0.4 0.7", "cell": "2.5 0 0\n0 2.5 0\n0 0 2.5"}
IONS: Final = "&IONS\n/\n"
CASES: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "lsda": {"system": "nspin=2, starting_magnetization(1)=0.3"},
    "fixed-moment": {"system": "nspin=2, tot_magnetization=1.0"},
    "noncollinear": {"system": "noncolin=.true., starting_magnetization(1)=0.1"},
    "spin-orbit": {"system": "noncolin=.true., lspinorb=.true."},
    "hubbard": {**H2, "system": "lda_plus_u=.true., Hubbard_U(1)=3.0"},
    "gaussian": {"occupations": "'smearing', smearing='gaussian', degauss=0.02"},
    "methfessel-paxton": {"occupations": "'smearing', smearing='mp', degauss=0.02"},
    "marzari-vanderbilt": {"occupations": "'smearing', smearing='mv', degauss=0.02"},
    "fixed": {"occupations": "'fixed'"},
    "tetrahedra": {"occupations": "'tetrahedra'"},
    "tetrahedra-opt": {"occupations": "'tetrahedra_opt'"},
    "charged": {"system": "tot_charge=0.4"},
    "d2": {"system": "vdw_corr='grimme-d2'"},
    "d3": {"system": "vdw_corr='grimme-d3'"},
    "xdm": {"system": "vdw_corr='xdm'"},
    "ts": {"system": "vdw_corr='ts-vdw'"},
    "vdw-df": {"system": "input_dft='vdw-df'"},
    "rvv10": {"system": "input_dft='rvv10'"},
    "pbesol": {"system": "input_dft='pbesol'"},
    "blyp": {"system": "input_dft='blyp'"},
    "pz": {"system": "input_dft='pz'"},
    "pw92": {"system": "input_dft='sla+pw'"},
    "pbe0": {"system": "input_dft='pbe0', nqx1=1, nqx2=1, nqx3=1", "mesh": "1 1 1"},
    "tpss": {"system": "input_dft='tpss'"},
    "martyna-tuckerman": {"system": "assume_isolated='mt'", "cell": "6 0 0\n0 6 0\n0 0 8", "mesh": "1 1 1"},
    "2d": {"system": "assume_isolated='2D'", "cell": HEXAGONAL.format(14)},
    "esm": {"system": "assume_isolated='esm', esm_bc='bc1'", "cell": HEXAGONAL.format(9)},
    "field": {
        "control": "'scf', tefield=.true., dipfield=.true.",
        "system": "edir=3, emaxpos=0.9, eopreg=0.05, eamp=0.001",
        "cell": HEXAGONAL.format(9),
    },
    "gate": {"control": "'scf', gate=.true.", "system": "tot_charge=0.1, zgate=0.9", "cell": HEXAGONAL.format(9)},
    "berry": {
        "control": "'scf', lelfield=.true., gdir=3, nppstr=2",
        "electrons": "efield=0.001",
        "occupations": "'fixed'",
        "mesh": "2 2 2",
    },
    "paw": {"species": "B 10.8 B.pbe-n-kjpaw_psl.1.0.0.UPF", "atoms": "B 0 0 0\nB 0 0 1.8"},
    "coulomb": {**H2, "species": "H 1.0 H.coulomb-ae.UPF"},
    "not-converged": {"electrons": "electron_maxstep=2"},
    "bands-not-printed": {"mesh": "6 6 6", "verbosity": "low", "atoms": "Be 0.02 0.03 -0.01"},
    "gamma": {"mesh": "gamma"},
    "relax": {"control": "'relax', nstep=3", "cards": IONS},
    "md": {"control": "'md', nstep=3, dt=20", "cards": IONS},
    "vc-relax": {"control": "'vc-relax'", "cards": f"{IONS}&CELL\n/\n"},
    "nscf": {"control": "'nscf'", "first": {}, "mesh": "3 3 1", "system": "nbnd=12"},
    "bands": {"control": "'bands'", "first": {}, "mesh": "3 3 1"},
}


def text_of(case: dict[str, Any]) -> str:
    """Input of pw.x."""
    atoms = case.get("atoms", "Be 0.02 0.03 -0.01\nBe 0.01 1.3 1.8")
    species = case.get("species", "Be 9.012 Be.own-pbe-nc-nlcc.UPF")
    folder = HERE / "pseudopotentials" if "own" in species else DEBIAN
    mesh = case.get("mesh", "2 2 1")
    k_points = "K_POINTS gamma" if mesh == "gamma" else f"K_POINTS automatic\n{mesh} 0 0 0"
    occupations = case.get("occupations", "'smearing', smearing='fd', degauss=0.0126")
    return f"""&CONTROL
 calculation={case.get("control", "'scf'")}, prefix='m', outdir='./out', pseudo_dir='{folder}',
 verbosity='{case.get("verbosity", "high")}'
/
&SYSTEM
 ibrav=0, nat={len(atoms.splitlines())}, ntyp=1, ecutwfc=10, ecutrho=40, nosym=.true., occupations={occupations}
 {case.get("system", "")}
/
&ELECTRONS
 conv_thr=1d-9
 {case.get("electrons", "")}
/
{case.get("cards", "")}ATOMIC_SPECIES
{species}
{k_points}
CELL_PARAMETERS angstrom
{case.get("cell", HEXAGONAL.format(3.57))}
ATOMIC_POSITIONS angstrom
{atoms}
"""


def trimmed_output(text: str) -> str:
    """What pw.x printed without timings, memory, symmetries and occupations."""
    text = re.sub(r" +occupation numbers *\n(?:[ \d.]+\n)+", "", text)
    text = re.sub(r"\n +s +frac\. trans\..*?(?=\n +Cartesian axes)", "", text, flags=re.DOTALL)
    text = re.sub(r"\n +init_run .*?(?=\n +This run was terminated)", "", text, flags=re.DOTALL)
    text = re.sub(r"/\S+/(?=\S+\.UPF)", "", text)
    unwanted = r"CPU|WALL|calls|RAM|cpu time|MD5|ethr|cryst\. coord"
    lines = [line.rstrip() for line in text.splitlines() if not re.search(unwanted, line)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def trimmed_xml(text: str) -> str:
    """The XML without symmetries and names of this machine's folders."""
    text = re.sub(r"\n *<(symmetries|k_points_IBZ|timing_info)>.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r"\n *<occupations size=.*?</occupations>", "", text, flags=re.DOTALL)
    text = re.sub(r"(?:[\w/.-]+/)?([\w.-]+\.UPF)", r"\1", text)
    return re.sub(r'(<pseudo_dir>|pseudo_dir=")[^<"]*', r"\1", text)


def main(names: list[str]) -> None:
    """Run the cases and keep their files."""
    target = HERE / "qe_files"
    target.mkdir(exist_ok=True)
    for name in names or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as place:
            for one in [case["first"], case] if "first" in case else [case]:
                text = text_of(one)
                done = subprocess.run(["pw.x"], input=text, cwd=place, capture_output=True, text=True, check=False)
            assert "JOB DONE" in done.stdout, done.stdout
            xml = Path(place, "out/m.save/data-file-schema.xml").read_text()
        for kind, content in (("out", trimmed_output(done.stdout)), ("xml", trimmed_xml(xml))):
            (target / f"{name}.{kind}.gz").write_bytes(gzip.compress(content.encode(), mtime=0))
        print(f"{name}: {sum(p.stat().st_size for p in target.glob(f'{name}.*'))} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
