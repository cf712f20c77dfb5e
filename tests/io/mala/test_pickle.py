"""Nothing that a model file contains is ever run, unpacked to disk, or allowed to fill the memory."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import struct
import sys
import tracemalloc
import types
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.storage

from maladist.errors import ModelError
from maladist.io.mala import pickle as mala_pickle
from maladist.io.mala.pickle import read_scaler, read_weights
from maladist.io.model_file import load_model

MODULE = "mala.datahandling.data_scaler"


class Touch:
    """Its pickle, when read, makes a file: by a function of os, builtins, or of torch that runs a pickle in turn."""

    def __init__(self, marker: Path, way: str) -> None:
        self.marker, self.way = marker, way

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        if self.way == "os.system":
            return os.system, (f"touch {self.marker}",)
        if self.way == "eval":
            return eval, (f"open({str(self.marker)!r}, 'w').close()",)
        return torch.storage._load_from_bytes, (torch_bytes(Touch(self.marker, "os.system"), zipped=self.way == "zip"),)


WAYS = ["os.system", "eval", "legacy", "zip"]


def torch_bytes(obj: object, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(obj, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


class TensorOfBytes:
    """Its pickle is that of a tensor, as torch makes it, with other bytes in place of the storage's."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor_v2, (Storage(self.content), 0, (1,), (1,), False, OrderedDict())


class Storage:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def __reduce__(self) -> tuple[Any, ...]:
        return torch.storage._load_from_bytes, (self.content,)


class DataScaler:
    pass


DataScaler.__module__ = MODULE


def scaler(**state: object) -> bytes:
    names = ["mala", "mala.datahandling", MODULE]
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    sys.modules[MODULE].DataScaler = DataScaler  # type: ignore[attr-defined]
    made = DataScaler()
    made.__dict__.update({"scale_standard": False, "scale_minmax": False, "feature_wise": False} | state)
    try:
        return pickle.dumps(made, protocol=4)
    finally:
        for name in names:
            del sys.modules[name]


def members(**changes: bytes) -> dict[str, bytes]:
    """A model of MALA with one linear layer from the 5 components of twojmax 2 to 2 levels."""
    params = {
        "network": {"nn_type": "feed-forward", "layer_sizes": [5, 2], "layer_activations": []},
        "descriptors": {"descriptor_type": "Bispectrum", "bispectrum_twojmax": 2, "bispectrum_cutoff": 3.0},
        "targets": {"ldos_gridoffset_ev": 0, "ldos_gridspacing_ev": 1, "ldos_gridsize": 2},
    }
    weights = {"layers.0.weight": torch.zeros(2, 5), "layers.0.bias": torch.zeros(2)}
    made = {
        "network.pth": torch_bytes(weights, zipped=False),
        "iscaler.pkl": scaler(),
        "oscaler.pkl": scaler(),
        "params.json": json.dumps(params).encode(),
        "info.json": b"{}",
    }
    return made | {name.replace("_", "."): content for name, content in changes.items()}


def zipped(path: Path, content: dict[str, bytes], prefix: str = "m.", compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, value in content.items():
            archive.writestr(prefix + name, value)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 500
    return line


@contextlib.contextmanager
def most_memory(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def test_the_model_that_the_attacks_are_put_into_is_read(tmp_path: Path) -> None:
    assert load_model(zipped(tmp_path / "m.zip", members())).ldos(torch.ones(3, 5)).shape == (3, 2)
    assert load_model(zipped(tmp_path / "m.zip", members(), "folder/m.", zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "place", ["iscaler.pkl", "oscaler.pkl", "in a scaler", "in a tensor", "network.pth", "zip network.pth"]
)
def test_code_in_any_place_is_not_run(place: str, way: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    attack = Touch(marker, way)
    if place == "in a tensor":
        content = scaler(scale_standard=True, means=TensorOfBytes(torch_bytes(attack, zipped=way == "zip")))
    elif place == "in a scaler":
        content = scaler(scale_standard=attack)
    elif "network" in place:
        content = torch_bytes(OrderedDict([("layers.0.weight", attack)]), zipped="zip" in place)
    else:
        content = pickle.dumps(attack)
    _arms(content, marker, place)
    member = place.split()[-1] if place.endswith((".pkl", ".pth")) else "iscaler.pkl"
    line = refusal(zipped(tmp_path / "m.zip", members() | {member: content}))
    assert not marker.exists()
    assert "pickle" in line
    refusal_alone(content, member)
    assert not marker.exists()


def refusal_alone(content: bytes, member: str) -> None:
    with pytest.raises(ModelError):
        (read_weights if member.endswith("pth") else read_scaler)(content, member)


def _arms(content: bytes, marker: Path, place: str) -> None:
    """The attack works on those who read it carelessly; otherwise its refusal would say nothing."""
    names = ["mala", "mala.datahandling", MODULE]
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    sys.modules[MODULE].DataScaler = DataScaler  # type: ignore[attr-defined]
    try:
        if "network" in place:
            torch.load(io.BytesIO(content), weights_only=False)
        else:
            pickle.loads(content)
    except Exception:  # after the attack the rest may be nonsense
        assert marker.exists()
    finally:
        for name in names:
            del sys.modules[name]
    assert marker.exists()
    marker.unlink()


def named(module: str, name: str) -> bytes:
    """Pickle up to where a name of a module lies on the stack."""
    return b"\x80\x04" + b"".join(b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name)) + b"\x93"


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch %s'\ntR.",  # protocol 0
        b"(S'touch %s'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'touch %s'\no.",  # OBJ
        b"cposix\nsystem\n(S'touch %s'\ntR.",
        b'c__builtin__\neval\n(S\'__import__("os").system("touch %s")\'\ntR.',
        b"cbuiltins\ngetattr\n(cos\nsystem\nS'__call__'\ntR(S'touch %s'\ntR.",
        b"csubprocess\ncall\n((lS'touch'\naS'%s'\natR.",
        b"ctorch.serialization\nload\n(S'%s'\ntR.",
        named("torch.storage", "_load_from_bytes.__globals__") + b".%s",
        named("collections", "OrderedDict.fromkeys") + b".%s",
        named(MODULE, "DataScaler.__init__") + b".%s",
        b"\x82\x01.%s",  # EXT1
        b"P%s\n.",  # persistent id
    ],
)
def test_hand_written_pickles_are_refused(content: bytes, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    content = content.replace(b"%s", str(marker).encode())
    refusal(zipped(tmp_path / "m.zip", members(iscaler_pkl=content)))
    refusal(zipped(tmp_path / "m.zip", members(network_pth=content)))
    assert not marker.exists()


def test_a_pickle_that_changes_what_it_may_call_changes_it_for_itself_only() -> None:
    """BUILD sets attributes on whatever lies on the stack, functions and classes included."""
    evil = b"(N}\x8c\x04evil\x88stb"  # setattr(what lies on the stack, "evil", True)
    with pytest.raises(ModelError, match="pickle of type"):
        read_scaler(named(MODULE, "DataScaler") + evil + b".", "iscaler.pkl")
    with pytest.raises(ModelError, match="pickle of function"):
        read_scaler(named("torch._utils", "_rebuild_tensor_v2") + evil + b".", "iscaler.pkl")
    with pytest.raises(ModelError):
        read_scaler(named("collections", "OrderedDict") + evil + b".", "iscaler.pkl")
    assert not hasattr(torch._utils._rebuild_tensor_v2, "evil")
    assert "evil" not in read_scaler(scaler(), "iscaler.pkl")
    assert not hasattr(mala_pickle._Unpickler(b"", "").scaler, "evil")


def test_tensors_larger_than_their_storage_are_refused() -> None:
    flat = torch.zeros(4)
    content = scaler(scale_standard=True, means=flat)
    assert read_scaler(content, "iscaler.pkl")["means"].shape == (4,)
    huge = scaler(scale_standard=True, means=torch.as_strided(flat, (10**12,), (0,)))
    with pytest.raises(ModelError, match="larger than its storage"):
        read_scaler(huge, "iscaler.pkl")


def test_a_large_index_in_a_pickle_takes_no_memory() -> None:
    with most_memory(10**6), pytest.raises(ModelError):
        read_scaler(b"\x80\x04Nr\x00\x00\x00\x01.", "iscaler.pkl")


def bomb(path: Path, declared: int | None) -> Path:
    """A member of 50 MB of zeros in 50 kB; ``declared`` overwrites the size that the zip says it has."""
    zipped(path, members(iscaler_pkl=bytes(50_000_000)), compression=zipfile.ZIP_DEFLATED)
    if declared is not None:
        content = bytearray(path.read_bytes())
        size, crc = struct.pack("<L", 50_000_000), struct.pack("<L", zlib.crc32(bytes(50_000_000)))
        assert content.count(size) == content.count(crc) == 2  # in the local header and in the directory
        content = content.replace(size, struct.pack("<L", declared))
        path.write_bytes(content.replace(crc, struct.pack("<L", zlib.crc32(bytes(declared)))))
    return path


@pytest.mark.parametrize("declared", [None, 1000])
def test_a_zip_bomb_is_not_inflated_whatever_size_it_declares(declared: int | None, tmp_path: Path) -> None:
    path = bomb(tmp_path / "m.zip", declared)
    with most_memory(5 * 10**6):
        line = refusal(path)
    assert ("50000000" in line) == (declared is None)


def test_a_bomb_inside_the_weights_is_not_inflated(tmp_path: Path) -> None:
    inner = io.BytesIO()
    whole = io.BytesIO(torch_bytes({"w": torch.zeros(10**6)}, zipped=True))
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert "compressed tensors" in refusal(zipped(tmp_path / "m.zip", members(network_pth=inner.getvalue())))


@pytest.mark.parametrize("prefix", ["../m.", "/m.", "a/../../m.", "..\\m.", "C:\\m.", "\\m."])
def test_members_that_point_out_of_the_zip_are_refused_and_nothing_is_unpacked(prefix: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    assert "member" in refusal(zipped(folder / "m.zip", members(), prefix))
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "m.zip"]


def test_a_zip_that_is_cut_off_incomplete_double_or_damaged_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "m.zip", members())
    content = path.read_bytes()
    for length in [2, 3, 30, *range(100, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:length])
        refusal(path)
    at = content.index(b"DataScaler")
    path.write_bytes(content[:at] + b"d" + content[at + 1 :])
    assert "damaged" in refusal(path)
    for name in ["network.pth", "iscaler.pkl", "oscaler.pkl", "params.json"]:
        assert name.split(".")[0] in refusal(zipped(path, {k: v for k, v in members().items() if k != name}))
    both = zipped(path, members() | {"x.network.pth": b"", "iscaler.json": b"{}"})
    assert "two members" in refusal(both)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"network": 1}'])
def test_parameters_that_are_not_json_objects_are_refused(content: bytes, tmp_path: Path) -> None:
    refusal(zipped(tmp_path / "m.zip", members(params_json=content)))
    if content != b'{"network": 1}':
        refusal(zipped(tmp_path / "m.zip", members(info_json=content)))


@pytest.mark.parametrize("content", [b"", b"N.", b"}.", b"]\x94h\x00a.", b"not a pickle", bytes(100), b"\x80\x04\x8f."])
def test_pickles_of_other_things_are_refused(content: bytes, tmp_path: Path) -> None:
    refusal(zipped(tmp_path / "m.zip", members(iscaler_pkl=content)))
    refusal(zipped(tmp_path / "m.zip", members(network_pth=content)))


def test_pickles_cut_off_anywhere_are_refused() -> None:
    content = scaler(means=torch.zeros(3))
    weights = members()["network.pth"]
    readers: list[tuple[Callable[..., object], bytes]] = [(read_scaler, content), (read_weights, weights)]
    for read, whole in readers:
        assert read(whole, "whole")
        for length in range(0, len(whole) - 1, 7):
            with pytest.raises(ModelError):
                read(whole[:length], "part")
