"""Electronic structure of large cells at finite temperature from machine-learned local densities of states, on Dask."""

from maladist import interrupt as interrupt  # before what takes seconds

# isort: split
from importlib.metadata import version

from maladist import accessor as accessor  # registers .maladist on xarray's objects
from maladist.cluster import cluster
from maladist.datasets.align import align
from maladist.datasets.check import check
from maladist.datasets.convert.convert import convert
from maladist.datasets.dft.dft import dft
from maladist.datasets.export import export
from maladist.descriptors import BispectrumSpec, GaussianSpec
from maladist.dynamics.md import md
from maladist.dynamics.relax import relax
from maladist.dynamics.settings import MDSettings, RelaxSettings
from maladist.elements import Element
from maladist.evaluation.evaluate import evaluate
from maladist.grid import Block, EnergyGrid, Grid
from maladist.io.model_file import load_model, save_model
from maladist.learning.model import LDOSModel
from maladist.physics.energies import Energies
from maladist.prediction.lazy import describe, ldos
from maladist.prediction.many import predict_many
from maladist.prediction.observe import observe
from maladist.prediction.plan import Plan, plan
from maladist.prediction.predict import predict
from maladist.prediction.result import Prediction
from maladist.training.config import TrainConfig
from maladist.training.train import train
from maladist.tuning.config import TuneConfig
from maladist.tuning.tune import tune

__version__ = version("maladist")

__all__ = [
    "BispectrumSpec",
    "Block",
    "Element",
    "Energies",
    "EnergyGrid",
    "GaussianSpec",
    "Grid",
    "LDOSModel",
    "MDSettings",
    "Plan",
    "Prediction",
    "RelaxSettings",
    "TrainConfig",
    "TuneConfig",
    "align",
    "check",
    "cluster",
    "convert",
    "describe",
    "dft",
    "evaluate",
    "export",
    "ldos",
    "load_model",
    "md",
    "observe",
    "plan",
    "predict",
    "predict_many",
    "relax",
    "save_model",
    "train",
    "tune",
]
