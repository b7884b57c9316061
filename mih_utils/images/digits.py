"""Handwritten digits: a small set that comes with scikit-learn, and MNIST."""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .._checks import require

FOLDER = "MIH_DATA_DIR"
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# The sha256 of the files as they are published: the images and the labels of each split.
FILES = {
    "train": {
        "train-images-idx3-ubyte": (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        "train-labels-idx1-ubyte": (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
    },
    "test": {
        "t10k-images-idx3-ubyte": (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        "t10k-labels-idx1-ubyte": (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
        ),
    },
}


class DataError(RuntimeError):
    """Data are missing, damaged or cannot be fetched; the message says what would help."""


def load_digits() -> tuple[Tensor, Tensor]:
    """Load 1,797 digits of 8 × 8 pixels, which come with scikit-learn (Alpaydin and Kaynak 1998).

    Returns images (n, 1, 8, 8), float32 in [-1, 1], and labels (n,), 0 … 9. Nothing is downloaded;
    without scikit-learn it is a DataError.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise DataError("the digits come with scikit-learn: pip install scikit-learn") from error
    found = load()
    images = torch.from_numpy(found.images).float()[:, None] / 8 - 1  # from 0 … 16
    return images, torch.from_numpy(found.target).long()


def load_mnist(root: str | Path | None = None, split: str = "train") -> tuple[Tensor, Tensor]:
    """Load MNIST (LeCun et al. 1998).

    Returns images (n, 1, 28, 28), float32 in [-1, 1], and labels (n,), 0 … 9.
    split: "train", 60,000 digits, or "test", 10,000 others.
    root: the folder with the IDX files, gzipped or not, or with a folder mnist/ that has them; by
        default $MIH_DATA_DIR. Without either, the two files of the split are downloaded, once, into
        the user's cache. They are used only if their sha256 is right. What is missing, damaged or
        cannot be fetched is a DataError that says what would help.
    """
    require(split in FILES, "split", split, "'train' or 'test'")
    root = root or os.environ.get(FOLDER)
    paths = [
        _found(name, Path(root)) if root else _fetched(f"{name}.gz", known_hash)
        for name, known_hash in FILES[split].items()
    ]
    images, labels = (_read_idx(path, ndim) for path, ndim in zip(paths, (3, 1), strict=True))
    if len(labels) == 0 or images.shape != (len(labels), 28, 28) or labels.max() > 9:
        found = f"images of shape {images.shape} and labels of shape {labels.shape}"
        raise DataError(f"{paths[0]} and {paths[1]} are not MNIST: {found}")
    return torch.from_numpy(images).float()[:, None] / 127.5 - 1, torch.from_numpy(labels).long()


def _found(name: str, root: Path) -> Path:
    """Find the file of this name under root."""
    for folder in (root, root / "mnist"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise DataError(
        f"no {name} or {name}.gz in {root} or {root / 'mnist'}; without root and ${FOLDER}, MNIST "
        "is downloaded"
    )


def _fetched(name: str, known_hash: str) -> Path:
    """Find the file of this name in the user's cache, or download it. A file there is whole."""
    try:
        import pooch
    except ImportError as error:
        raise DataError("downloading MNIST takes pooch: pip install pooch") from error
    pooch.get_logger().setLevel("WARNING")  # it would print the path of the cache into notebooks
    cache, failures = Path(pooch.os_cache("mode-interpolation")) / "mnist", []
    for mirror in MIRRORS:
        try:
            path = pooch.retrieve(
                mirror + name, known_hash, name, cache, downloader=pooch.HTTPDownloader(timeout=30)
            )
            return Path(path)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            failures.append(f"  {mirror + name}: {error}")
    raise DataError(
        f"MNIST could not be downloaded, and nothing of it was kept in {cache}:\n"
        + "\n".join(failures)
        + f"\nTry again with a network, or let ${FOLDER} name a folder with the files."
    )


def _read_idx(path: Path, ndim: int) -> np.ndarray:
    """Read the bytes of an IDX file: a magic number, each dimension, and the values."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or cut off: {error}; fetch it again") from error
    header = 4 * (1 + ndim)
    known = (0x800 + ndim).to_bytes(4, "big")  # eight bits each, so many dimensions
    if len(content) < header or content[:4] != known:
        raise DataError(f"{path} is not an IDX file of bytes with {ndim} dimensions")
    shape = np.frombuffer(content[4:header], ">u4").tolist()
    if len(content) != header + math.prod(shape):
        expected = f"{header + math.prod(shape)} bytes for the shape {tuple(shape)}"
        raise DataError(f"{path} is cut off or damaged: {len(content)} of {expected}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()
