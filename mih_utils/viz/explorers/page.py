"""An explorer as HTML: its numbers in base64, a static picture, the style and the script."""

import base64
import html
import io
import json

import numpy as np
from PIL import Image

from ..assets import script, style

_GAP = -32768  # the quantised number that stands for "no value here"
_STEPS = 65_000  # the values that 16 bits are used for
_FINE = 1_000  # the least number of them that a row must get, or 16 bits are too few


def html_page(kind: str, spec: dict, alt: str, figure) -> str:
    """Write the output of a cell: it needs nothing else. The figure is closed.

    A page that shows several outputs needs the style and the script, which `data-mih` marks, once.
    """
    text = json.dumps(spec, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    alt = html.escape(alt, quote=True)
    return (
        f'<div class="mih-explorer" data-kind="{kind}" role="group" aria-label="{alt}">'
        f'<style data-mih="style">{style()}</style>'
        f'<img class="mih-fallback" alt="{alt}" src="data:image/png;base64,{_picture(figure)}">'
        f'<script type="application/json">{text}</script>'
        f'<script data-mih="script">{script()}</script></div>'
    )


def _picture(figure) -> str:
    """The figure as a small PNG: few colours are enough for what is mostly paper."""
    import matplotlib.pyplot as plt

    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, metadata={"Software": None})
    plt.close(figure)
    image = Image.open(buffer).convert("RGB")
    image.quantize(48, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def packed(array: np.ndarray) -> dict:
    """Return an array as the page stores it.

    Bytes are pictures: one PNG of them all. Numbers take 16 bits with one scale, if with that each
    row (along the last axis) is still fine for itself; otherwise, and in small arrays, where rows
    may be metrics of very different size, 32 bits each. Not a number is a gap.
    """
    array = np.asarray(array)
    if array.dtype == np.uint8:
        return {"shape": array.shape, "png": png_sheet(array)}
    array = np.asarray(array, dtype=np.float64)
    known = np.isfinite(array)
    low, high = (array[known].min(), array[known].max()) if known.any() else (0.0, 0.0)
    scale, offset = (high - low) / _STEPS or 1.0, (high + low) / 2
    if _differ(array, known, scale, max(abs(low), abs(high))):
        data = np.where(known, array, np.nan).astype("<f4").tobytes()
        return {"shape": array.shape, "bits": 32, "data": base64.b64encode(data).decode()}
    quantised = np.where(known, np.round((np.where(known, array, offset) - offset) / scale), _GAP)
    data = base64.b64encode(quantised.astype("<i2").tobytes()).decode()
    return {"shape": array.shape, "offset": float(offset), "scale": float(scale), "data": data}


def _differ(array: np.ndarray, known: np.ndarray, scale: float, largest: float) -> bool:
    """Whether 32 bits a number serve this array better than 16 with one scale for all."""
    if largest * np.finfo(np.float32).eps > scale:
        return False  # a narrow range far from 0: the scale is finer than 32 bits are
    if array.size <= 4096:
        return True
    rows, known = array.reshape(-1, array.shape[-1]), known.reshape(-1, array.shape[-1])
    spread = np.where(known, rows, -np.inf).max(axis=1) - np.where(known, rows, np.inf).min(axis=1)
    spread = spread[known.any(axis=1)]
    return bool((spread[spread > 0] < _FINE * scale).any())


def png_sheet(array: np.ndarray) -> str:
    """Return pictures, (…, across, height, width) bytes, as one PNG: rows of `across` pictures."""
    *_, across, height, width = array.shape
    sheet = array.reshape(-1, across, height, width).swapaxes(1, 2).reshape(-1, across * width)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
