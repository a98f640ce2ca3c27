"""The one place that knows which parts of cmapPy 4.0.1 do not fit current numpy.

cmapPy's GCTX writer uses `numpy.string_`, which numpy 2 removed. Its module gets a numpy that
still has it; the real numpy stays as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cmapPy.pandasGEXpress import write_gctx


class _NumpyWithOldNames:
    string_ = np.bytes_

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


write_gctx.numpy = _NumpyWithOldNames()

__all__ = ["write_gctx"]
