"""Reading MALA's pickles without running any code of theirs.

A pickle is a program that may call any function that it can name. Here it can name four, none of them torch's or MALA's
own: stand-ins, made anew for every file so that a pickle which sets attributes on them leaves nothing behind. Torch's
``_load_from_bytes``, which the pickle of a tensor calls, would unpickle its argument without restriction; its stand-in
reads with ``weights_only=True``, as the network's weights are read (safe from torch 2.6 on, CVE-2025-32434).

The unpickler is Python's own in its pure Python form: the one in C makes a table as long as the largest index that the
pickle names, up to tens of gigabytes.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch

from maladist.errors import ModelError


def read_scaler(content: bytes, name: str) -> dict[str, Any]:
    """Attributes of MALA's pickled data scaler.

    Parameters
    ----------
    content
        Content of the pickle.
    name
        Name of the file, for errors.

    Raises
    ------
    ModelError
        A pickle that names anything but a scaler and tensors, is truncated or not a pickle.
    """
    unpickler = _Unpickler(content, name)
    scaler = _guarded(unpickler.load, name)
    if type(scaler) is not unpickler.scaler:
        raise ModelError(name, f"a pickle of {type(scaler).__name__:.40}", "MALA's pickled data scaler")
    return dict(vars(scaler))


def read_weights(content: bytes, name: str) -> dict[str, torch.Tensor]:
    """State dict of MALA's network.

    Raises
    ------
    ModelError
        Anything but a map from names to tensors, or a pickle that names other things.
    """
    weights = _guarded(lambda: _torch_load(content), name)
    if not isinstance(weights, dict) or not all(isinstance(k, str) and torch.is_tensor(v) for k, v in weights.items()):
        raise ModelError(name, f"a file of {type(weights).__name__:.40}", "the weights of MALA's network")
    return dict(weights)


class _Unpickler(pickle._Unpickler):
    """Unpickler that knows the names which a pickled data scaler needs, and no others."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(io.BytesIO(content))
        self.name = name

        class DataScaler:
            pass

        def load_from_bytes(content: bytes) -> object:
            return _torch_load(content)

        def rebuild_tensor(storage: Any, offset: int, size: Any, stride: Any, *_: object) -> torch.Tensor:
            return _view(storage, offset, size, stride)

        def ordered_dict() -> dict[str, object]:
            return OrderedDict()

        # Classes of this one reading: what the pickle sets on them is gone with it.
        self.scaler = DataScaler
        self.known: dict[tuple[str, str], Callable[..., object]] = {
            ("mala.datahandling.data_scaler", "DataScaler"): DataScaler,
            ("torch.storage", "_load_from_bytes"): load_from_bytes,
            ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
            ("collections", "OrderedDict"): ordered_dict,
        }

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        if (module, name) not in self.known:
            came = f"a pickle that asks for {module:.60}.{name:.60}"
            raise ModelError(
                self.name, came, "MALA's data scaler and nothing else", "It was not run. Do not trust this file."
            )
        return self.known[module, name]


def _torch_load(content: bytes) -> object:
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # A few kilobytes that inflate to gigabytes would end the process before torch could refuse them.
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("compressed tensors, which torch does not write")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, on typed storages
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _view(storage: Any, offset: int, size: Any, stride: Any) -> torch.Tensor:
    """Tensor over a storage; one that repeats or leaves its memory is refused."""
    if not isinstance(storage, torch.storage.TypedStorage):
        raise ValueError("a tensor without a storage")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flat = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    # Strides of zero would make a tensor of any size out of one number.
    view = flat.as_strided(tuple(size), tuple(stride), offset)
    if view.numel() > flat.numel():
        raise ValueError("a tensor larger than its storage")
    return view.clone()


def _guarded(read: Callable[[], object], name: str) -> object:
    try:
        return read()
    except ModelError:
        raise
    except Exception as error:  # whatever a broken or hostile pickle provokes, in torch or in the unpickler
        lines = str(error).strip().splitlines() or [""]
        came = f"a pickle that cannot be read safely ({type(error).__name__}: {lines[0]:.120})"
        raise ModelError(name, came, "a file that MALA wrote", "Nothing in it was run.") from None
