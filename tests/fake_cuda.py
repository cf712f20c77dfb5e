"""A GPU that is not there: tensors with shape, dtype and device only, so that a line that mixes devices fails.

`FakeTensorMode` propagates shapes, dtypes and devices through every operation and refuses operands of two devices. In a
torch that was built without CUDA a few of Python's own entry points (indexing, `tensor`, `as_tensor`, `new_tensor`)
ask for the CUDA driver before they reach the mode; `_WithoutDriver` sends those through operators that do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

DEVICE = "cuda:0"


@contextmanager
def fake_cuda() -> Iterator[torch.device]:
    """Everything inside runs on fake tensors; the device to ask for is given."""
    with FakeTensorMode(), _WithoutDriver():
        yield torch.device(DEVICE)


class _WithoutDriver(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.__getitem__:
            return _getitem(*args)
        if func is torch.Tensor.__setitem__:
            _getitem(*args[:2])  # a copy between devices is allowed, and fake tensors have nothing to copy
            return None
        if func is torch.Tensor.new_tensor:
            kwargs = {"device": args[0].device, "dtype": args[0].dtype} | kwargs
            func, args = torch.tensor, args[1:]
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = torch.device(kwargs.pop("device"))
            made = func(*args, **kwargs)
            return made.to(device) if made.device != device else made
        return func(*args, **kwargs)


def _getitem(x: torch.Tensor, index: Any) -> torch.Tensor:
    """Index by operators: integers, slices, None, an ellipsis, index tensors and sequences."""
    parts = list(index) if isinstance(index, tuple) else [index]
    consumed = sum(p is not None and p is not Ellipsis for p in parts)
    if not any(p is Ellipsis for p in parts):
        parts.append(Ellipsis)
    where = next(i for i, p in enumerate(parts) if p is Ellipsis)
    parts[where : where + 1] = [slice(None)] * (x.ndim - consumed)
    dim, gather = 0, {}
    for part in parts:
        if isinstance(part, int):
            x = x.select(dim, part)
            continue
        if part is None:
            x = x.unsqueeze(dim)
        elif isinstance(part, slice):
            if part != slice(None):
                x = torch.ops.aten.slice(x, dim, part.start, part.stop, part.step or 1)
        else:
            gather[dim] = torch.as_tensor(part, device="cpu" if not isinstance(part, torch.Tensor) else part.device)
        dim += 1
    return torch.ops.aten.index(x, [gather.get(d) for d in range(max(gather) + 1)]) if gather else x
