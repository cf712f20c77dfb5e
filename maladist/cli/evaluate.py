"""The command `maladist evaluate`: parses, calls the function of the same name, prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from rich.table import Table

import maladist
from maladist.cli.console import TerminalObserver
from maladist.cli.options import EVALUATE, EvaluateFlags, ModelHelp
from maladist.cli.output import Json, check_files, write_json
from maladist.cli.streams import out, say
from maladist.errors import InputError
from maladist.io.targets import check_folder

if TYPE_CHECKING:
    from maladist.evaluation.coverage import Coverage
    from maladist.evaluation.spread import Calibration
    from maladist.evaluation.statistics import Evaluated, Statistics


def evaluate(
    model: Annotated[Path, ModelHelp],
    /,
    *data: str,
    train: str | None = None,
    pseudopotentials: Path | None = None,
    how: EvaluateFlags = EVALUATE,
    json: Json = None,
    plots: Path | None = None,
    card: bool = False,
    calibrate: bool = False,
) -> None:
    """Hold a model against DFT: errors of LDOS, DOS, density, N, Fermi level, every energy and forces, by snapshot.

    Parameters
    ----------
    data
        Data set, snapshot, or a pattern such as be.zarr/snapshots/test-*, in quotes; or several of them.
    train
        The same for the training snapshots: two baselines learnt from them stand beside the model.
    pseudopotentials
        Folder of UPF files, where the model does not tell valence and core charge.
    plots
        Folder for parity.png and errors.png, forces.png where forces are compared, spread.png with --spread, and
        calibration.png where the model has a σ.
    card
        Write the errors into the model's file, where `maladist card` and `maladist models` show them.
    calibrate
        Fit the model's σ to the errors and write it into its file: give validation cells. With --spread σ is made from
        an ensemble's members too, where a prediction has them.
    """
    from maladist.datasets.snapshots import find_snapshots
    from maladist.evaluation.baselines import baselines, check_training
    from maladist.evaluation.coverage import calibrate as fit_sigma
    from maladist.evaluation.coverage import check_calibration, coverage
    from maladist.evaluation.spread import calibration
    from maladist.evaluation.statistics import BAND, TOTAL, held_out, summary
    from maladist.io.model_file import check_model_file, load_model, write_held_out, write_uncertainty

    check_files(json=json)
    if not data:
        raise InputError("data", "none", "a data set, a snapshot or a pattern of them")
    if card or calibrate:
        check_model_file(model)  # refused before all is computed
    if plots is not None:
        check_folder(plots, "plots")
    loaded = load_model(model, pseudopotentials=pseudopotentials)
    if calibrate:
        check_calibration(loaded, len(find_snapshots(data, "data")))
    training = None if train is None else find_snapshots([train], "train")
    if training is not None:  # refused before all is computed
        held = find_snapshots(data, "data")
        check_training(training, [n for n in (BAND, TOTAL) if all(f"{n}_eV" in s.terms for s in held)])
    with TerminalObserver() as observer:
        evaluated = maladist.evaluate(
            loaded,
            data,
            client=how.client,
            observer=observer,
            chunks=how.chunks or "auto",
            spread=how.spread,
            forces=how.forces,
            **how.numerics(),
        )
    values: dict[str, object] = {"model": str(loaded), "model_hash": loaded.content_hash}
    values |= {"snapshots": [one.to_dict() for one in evaluated]}
    statistics = summary(evaluated)
    out.print(_table(evaluated))
    out.print(_summary("model − DFT", statistics))
    values["summary"] = _dict(statistics)
    beside = None if training is None else baselines(evaluated, training, loaded.elements)
    if beside is not None:
        title = f"baselines from {beside.training} training snapshots, meV/atom"
        out.print(_summary(title, beside.summary))
        values["baselines"] = asdict(beside)
    if how.spread:
        says = calibration(evaluated)
        out.print(_spread(says))
        values["spread"] = {name: asdict(one) for name, one in says.items()}
    if worth := coverage(evaluated):
        out.print(_coverage(worth))
        values["coverage"] = {group: {name: asdict(one) for name, one in by.items()} for group, by in worth.items()}
    if card:
        write_held_out(model, {"data": list(data), "errors": held_out(evaluated)})
    if calibrate:
        known = fit_sigma(evaluated)
        write_uncertainty(model, known)
        say(f"{known}: in {model}")
        values["uncertainty"] = known.to_dict()
    write_json(json, values)
    if plots is not None:
        from maladist.report.evaluation import write_plots

        for picture in write_plots(evaluated, plots, beside, spread=how.spread):
            say(f"picture: {picture}")


_LABELS: Final = {
    "total_free_energy_meV_per_atom": "A, meV/atom",
    "band_energy_meV_per_atom": "E_b, meV/atom",
    "entropy_contribution_meV_per_atom": "−TS, meV/atom",
    "hartree_meV_per_atom": "Hartree, meV/atom",
    "xc_meV_per_atom": "XC, meV/atom",
    "xc_potential_meV_per_atom": "XC potential, meV/atom",
    "ewald_meV_per_atom": "Ewald, meV/atom",
    "total_free_energy_of_data_meV_per_atom": "A of the data's LDOS − DFT, meV/atom",
    "band_energy_of_data_meV_per_atom": "E_b of the data's LDOS − DFT, meV/atom",
    "entropy_contribution_of_data_meV_per_atom": "−TS of the data's LDOS − DFT, meV/atom",
    "total_free_energy_from_data_meV_per_atom": "A against the data's LDOS, meV/atom",
    "band_energy_from_data_meV_per_atom": "E_b against the data's LDOS, meV/atom",
    "entropy_contribution_from_data_meV_per_atom": "−TS against the data's LDOS, meV/atom",
    "forces_rmse_eV_per_A": "forces, RMSE, eV/Å",
    "forces_relative": "forces, RMSE / RMS",
    "forces_correlation": "forces, correlation",
    "forces_worst_eV_per_A": "forces, worst atom, eV/Å",
    "stress_rmse_eV_per_A3": "stress, RMSE, eV/Å³",
    "fermi_level_meV": "Fermi level, meV",
    "electrons_per_atom": "N at the DFT's μ, 1/atom",
    "density_relative": "|Δn| / mean n",
    "density_mae_per_A3": "|Δn|, 1/Å³",
    "density_rmse_per_A3": "Δn, RMSE, 1/Å³",
    "density_percentage": "|Δn/n|, %",
    "density_of_ldos_relative": "|Δn| / mean n, of the LDOS",
    "dos_relative": "Σ|ΔD| / ΣD",
    "dos_mae_per_eV_atom": "|ΔD|, 1/(eV atom)",
    "ldos_mae_per_eV_A3": "LDOS MAE, 1/(eV Å³)",
    "ldos_rmse_per_eV_A3": "LDOS RMSE, 1/(eV Å³)",
}


def _table(evaluated: Sequence[Evaluated]) -> Table:
    table = Table(
        title="model − DFT: energies in meV/atom, μ in meV, root mean squares of forces", title_justify="left", box=None
    )
    for column in ("snapshot", "atoms", "A", "E_b", "−TS", "μ", "N/atom", "|Δn|/n", "|ΔD|/D", "|ΔF|/F"):
        table.add_column(column, justify="left" if column == "snapshot" else "right", no_wrap=True)
    for one in evaluated:
        terms = (one.terms.get(n) for n in ("total_free_energy", "band_energy", "entropy_contribution"))
        energies = ["–" if v is None else f"{v:+.1f}" for v in terms]
        mu = "–" if one.fermi_level is None else f"{one.fermi_level:+.1f}"
        electrons = "–" if one.electrons is None else f"{one.electrons:+.4f}"
        density = "–" if one.density_relative is None else f"{one.density_relative:.2%}"
        forces = one.force_errors.get("forces_relative")
        rest = (mu, electrons, density, f"{one.dos_relative:.1%}", "–" if forces is None else f"{forces:.1%}")
        table.add_row(one.name, str(one.n_atoms), *energies, *rest)
    return table


def _summary(title: str, statistics: Mapping[str, Mapping[str, Statistics]]) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    for column in ("snapshots", "error", "mean |Δ|", "mean Δ", "std", "max |Δ|"):
        table.add_column(column, justify="left" if column in ("snapshots", "error") else "right", no_wrap=True)
    for group, rows in statistics.items():
        # Energies first, in the order of the labels; what has no label comes after.
        names = sorted(rows, key=[*_LABELS, *rows].index)
        for i, name in enumerate(names):
            s = rows[name]
            figures = (f"{v:.3g}" for v in (s.mean_abs, s.bias, s.std, s.max))
            table.add_row(f"{group} ({s.count})" if i == 0 else "", _LABELS.get(name, name), *figures)
    return table


def _spread(says: Mapping[str, Calibration]) -> Table:
    table = Table(title="what the spread σ of the members says of |error|", title_justify="left", box=None)
    for column in ("", "Pearson", "Spearman", "rms error/σ", "|error| ≤ 2σ", "snapshots"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name, s in says.items():
        figures = (f"{s.pearson:.2f}", f"{s.spearman:.2f}", f"{s.ratio:.3g}", f"{s.within:.0%}", str(s.count))
        table.add_row(name, *figures)
    return table


def _coverage(worth: Mapping[str, Mapping[str, Coverage]]) -> Table:
    table = Table(title="what the model's σ says of its errors", title_justify="left", box=None)
    for column in ("snapshots", "", "rms error/σ", "within the 90 % interval"):
        table.add_column(column, justify="left" if column in ("snapshots", "") else "right", no_wrap=True)
    for group, quantities in worth.items():
        for i, (name, one) in enumerate(quantities.items()):
            table.add_row(f"{group} ({one.count})" if i == 0 else "", name, f"{one.ratio:.3g}", f"{one.within:.0%}")
    return table


def _dict(statistics: Mapping[str, Mapping[str, Statistics]]) -> dict[str, object]:
    return {group: {name: asdict(s) for name, s in rows.items()} for group, rows in statistics.items()}
