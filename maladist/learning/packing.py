"""Metadata and tensors as bytes: the safetensors format with one JSON string in its header. No pickles.

    8 bytes   length of the header, little endian
    header    JSON: __metadata__ {"maladist": JSON string}, and name -> dtype, shape, offsets of every tensor
    data      the tensors

The header's metadata holds the single key ``maladist``: several would be written in random order, and equal content
would differ in its bytes. ``schema_version`` is among the metadata, and ``sha256`` covers the rest of it and every
tensor, so that damage is told from a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from maladist.errors import ModelError

SCHEMA_VERSION: Final = 1
_KEY: Final = "maladist"


def pack(metadata: Mapping[str, object], tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Bytes of metadata (JSON-able) and tensors; equal content gives equal bytes.

    Raises
    ------
    ModelError
        The metadata are none that JSON can hold.
    """
    # A clone owns its memory: safetensors refuses tensors that share it.
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        plain = json.loads(json.dumps({**metadata, "schema_version": SCHEMA_VERSION}, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            "model", f"metadata that JSON cannot hold ({error})", "numbers, text, lists and maps"
        ) from None
    plain["sha256"] = _digest(plain, owned)
    return bytes(save(owned, {_KEY: _canonical(plain)}))


def unpack(content: bytes) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    """Metadata and tensors of bytes that ``pack`` made.

    Raises
    ------
    ModelError
        The bytes are of another kind or version, truncated or damaged.
    """
    metadata = _read_metadata(content)
    told = metadata.pop("sha256", "")
    try:
        tensors = load(content)
        digest = _digest(metadata, tensors)  # refuses NaN, which JSON is not written with
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise ModelError("model", f"a file that is truncated or damaged ({error})", "a whole model file") from None
    if told != digest:
        raise ModelError("model", "a file whose content does not match its checksum", "an undamaged model file")
    # Clones lie where torch aligns them, which the last bits of a matrix product can depend on.
    return metadata, {name: tensor.clone() for name, tensor in tensors.items()}


def _read_metadata(content: bytes) -> dict[str, object]:
    size = int.from_bytes(content[:8], "little")
    if len(content) < 9 or content[8:9] != b"{":
        raise ModelError("model", "a file of another kind", "a model file of maladist or MALA's zip")
    # Told apart from damage: a copy that was interrupted only needs to be made again.
    if 8 + size > len(content):
        raise ModelError(
            "model", f"a file that ends after {len(content)} bytes", "a whole model file", "Copy it again."
        )
    try:
        metadata = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][_KEY])
        version = metadata["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelError(
            "model", "a file without maladist's metadata", "a model file of maladist or MALA's zip"
        ) from None
    if version != SCHEMA_VERSION:
        came, remedy = f"a model file of schema version {version!r:.20}", "Read it with the maladist that wrote it."
        raise ModelError("model", came, f"version {SCHEMA_VERSION}", remedy)
    return dict(metadata)


def _canonical(metadata: Mapping[str, object]) -> str:
    # Sorted and without NaN: equal content has one text, and with it one hash.
    return json.dumps(metadata, sort_keys=True, allow_nan=False)


def _digest(metadata: Mapping[str, object], tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(_canonical(metadata).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
