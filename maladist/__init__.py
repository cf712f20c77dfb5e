"""Electronic structure of large cells at finite temperature from machine-learned local densities of states, on Dask."""

from importlib.metadata import version

from maladist import accessor as accessor  # registers .maladist on xarray's objects
from maladist.cluster import cluster
from maladist.descriptors import BispectrumSpec, GaussianSpec
from maladist.elements import Element
from maladist.engine.align import align
from maladist.engine.check import check
from maladist.engine.convert import convert
from maladist.engine.dft import dft
from maladist.engine.evaluate import evaluate
from maladist.engine.export import export
from maladist.engine.lazy import describe, ldos
from maladist.engine.many import predict_many
from maladist.engine.observe import observe
from maladist.engine.plan import Plan, plan
from maladist.engine.predict import predict
from maladist.engine.prediction import Prediction
from maladist.engine.train import train
from maladist.engine.tune import tune
from maladist.engine.tune_config import TuneConfig
from maladist.grid import Block, EnergyGrid, Grid
from maladist.io.model_file import load_model, save_model
from maladist.learning.config import TrainConfig
from maladist.learning.model import LDOSModel
from maladist.physics.energies import Energies

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
    "Plan",
    "Prediction",
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
    "observe",
    "plan",
    "predict",
    "predict_many",
    "save_model",
    "train",
    "tune",
]
