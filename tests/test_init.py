"""`import maladist`: cheap, with every public name and xarray's accessor in its place."""

from __future__ import annotations

import subprocess
import sys
from types import FunctionType

import numpy as np
import pytest
import xarray as xr

import maladist
from maladist.accessor import DatasetAccessor, FieldAccessor


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


def test_importing_waits_for_none_of_the_large_libraries() -> None:
    large = ("torch", "numba", "scipy", "pandas", "xarray", "zarr", "dask", "distributed", "matplotlib", "numpy")
    assert run(f"import sys, maladist; print([m for m in {large} if m in sys.modules])") == "[]"


def test_it_can_be_imported_where_the_system_has_no_resource_module_as_on_windows() -> None:
    # psutil first: its part for Linux needs the module, that for Windows, which cannot be loaded here, does not.
    code = "import sys, psutil; sys.modules['resource'] = None; import maladist.parallel.workers, maladist.cli.app"
    assert run(code) == ""


@pytest.mark.parametrize("first", ["xarray, maladist", "maladist, xarray"])
def test_xarray_has_its_accessor_in_either_order_of_imports_and_imports_nothing_for_it(first: str) -> None:
    code = f"import sys, {first}; print('maladist' in dir(xarray.DataArray), 'torch' in sys.modules)"
    assert run(code) == "True False"


def test_the_accessors_are_those_of_the_module() -> None:
    array = xr.DataArray(np.zeros(2), dims="x", name="density")
    assert isinstance(array.maladist, FieldAccessor) and isinstance(array.to_dataset().maladist, DatasetAccessor)


@pytest.mark.parametrize("name", maladist.__all__)
def test_each_public_name_is_there_and_in_dir(name: str) -> None:
    assert getattr(maladist, name) is not None and name in dir(maladist)


def test_any_thread_may_be_the_first_to_ask_for_a_name() -> None:
    code = """
import signal, threading
import maladist
handlers = signal.signal, signal.getsignal(signal.SIGINT)
names, found = ("predict", "md", "cluster", "train"), []
threads = [threading.Thread(target=lambda n=n: found.append(getattr(maladist, n))) for n in names]
[t.start() for t in threads], [t.join() for t in threads]
print(len(found), (signal.signal, signal.getsignal(signal.SIGINT)) == handlers)
"""
    assert run(code) == "4 True"


@pytest.mark.parametrize("name", ["calculator.Maladist", "schema.SCHEMA_VERSION", "errors.InputError"])
def test_modules_that_the_readme_names_need_no_import_of_their_own(name: str) -> None:
    assert run(f"import maladist; print(maladist.{name} is not None, {name.partition('.')[0]!r} in dir(maladist))") == (
        "True True"
    )


def test_the_function_cluster_stays_one_when_the_package_of_its_name_is_imported() -> None:
    code = "import maladist.cluster.batch, maladist; print(type(maladist.cluster).__name__)"
    assert run(code) == FunctionType.__name__
