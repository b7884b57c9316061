"""Digits: from scikit-learn, from files, over a local network that misbehaves, and told apart."""

import gzip
import hashlib
import http.server
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from conftest import refusal
from sklearn import datasets

import mih_utils as mih
from mih_utils.images import digits

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from recipes.digits import train_classifier

NAMES = [name for files in digits.FILES.values() for name in files]


def idx(array):
    """An array of bytes as an IDX file."""
    header = [0x800 + array.ndim, *array.shape]
    return np.array(header, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def made_up(seed=0, n=7):
    """The content of the four files, of few random images."""
    rng = np.random.default_rng(seed)
    contents = {}
    for name in NAMES:
        shape = (n, 28, 28) if "images" in name else (n,)
        contents[name] = idx(rng.integers(0, 256 if "images" in name else 10, shape))
    return contents


CONTENTS = made_up()
REAL = os.environ.get(digits.FOLDER)  # before no_variable hides it


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(digits.FOLDER, raising=False)


def fill(folder, contents=CONTENTS, zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def is_made_up(found, split="train", contents=CONTENTS):
    images, labels = found
    bytes_of_images, bytes_of_labels = (contents[name] for name in digits.FILES[split])
    expected = np.frombuffer(bytes_of_images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    assert images.dtype == torch.float32 and labels.dtype == torch.int64
    np.testing.assert_allclose(images.numpy(), expected / 127.5 - 1, atol=1e-6)
    assert labels.tolist() == list(bytes_of_labels[8:])
    return True


# The digits of scikit-learn


def test_digits_are_those_of_scikit_learn():
    images, labels = mih.load_digits()
    assert images.shape == (1797, 1, 8, 8) and images.dtype == torch.float32
    assert (images.min(), images.max()) == (-1, 1)
    expected = datasets.load_digits()
    assert ((images[:, 0] + 1) * 8).double().equal(torch.from_numpy(expected.images))
    assert labels.equal(torch.from_numpy(expected.target).long())


def test_without_scikit_learn_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(mih.DataError, match="pip install scikit-learn"):
        mih.load_digits()


# MNIST from files


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("below", ["", "mnist"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_files_are_read_where_they_lie(tmp_path, monkeypatch, zipped, below, split):
    fill(tmp_path / below, zipped=zipped)
    assert is_made_up(mih.load_mnist(tmp_path, split), split)
    assert is_made_up(mih.load_mnist(str(tmp_path), split=split), split)
    monkeypatch.setenv("MIH_DATA_DIR", str(tmp_path))
    assert is_made_up(mih.load_mnist(split=split), split)


def test_root_comes_before_the_variable(tmp_path, monkeypatch):
    other = made_up(seed=1)
    monkeypatch.setenv("MIH_DATA_DIR", str(fill(tmp_path / "a", other)))
    assert is_made_up(mih.load_mnist(fill(tmp_path / "b")))
    assert is_made_up(mih.load_mnist(), contents=other)


def test_a_tensor_owns_its_memory(tmp_path):
    images, labels = mih.load_mnist(fill(tmp_path))
    images += 1  # a view of a file's bytes would be read-only
    labels += 1
    assert is_made_up(mih.load_mnist(tmp_path))


@pytest.mark.parametrize("how", ["root", "variable"])
def test_a_folder_without_the_files_is_refused(tmp_path, monkeypatch, how):
    """A folder was named, so nothing is downloaded in its place."""
    monkeypatch.setattr(pooch, "retrieve", None)
    if how == "variable":
        monkeypatch.setenv("MIH_DATA_DIR", str(tmp_path))
    with pytest.raises(mih.DataError, match=r"no train-images-idx3-ubyte or .*\.gz in") as error:
        mih.load_mnist(tmp_path if how == "root" else None)
    assert str(tmp_path) in str(error.value) and "MIH_DATA_DIR" in str(error.value)


IMAGES, LABELS = digits.FILES["train"]
WHOLE = CONTENTS[IMAGES]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (IMAGES, WHOLE[:-1], "cut off or damaged: 5503 of 5504 bytes"),
        (IMAGES, WHOLE + b"x", "cut off or damaged: 5505 of 5504 bytes"),
        (IMAGES, b"", "not an IDX file"),
        (IMAGES, WHOLE[:9], "not an IDX file"),
        (IMAGES, b"<html>404</html>" * 9, "not an IDX file"),
        (IMAGES, CONTENTS[LABELS], "not an IDX file of bytes with 3 dimensions"),
        (IMAGES, gzip.compress(WHOLE)[:-20], "damaged or cut off"),
        (IMAGES, gzip.compress(WHOLE)[:40] + b"x" * 400, "damaged or cut off"),
        (IMAGES, idx(np.zeros((7, 32, 32))), "are not MNIST"),
        (IMAGES, idx(np.zeros((6, 28, 28))), r"are not MNIST: .*\(6, 28, 28\).*\(7,\)"),
        (LABELS, idx(np.full(7, 10)), "are not MNIST"),
        (LABELS, idx(np.zeros(0)), "are not MNIST"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, name, content, complaint):
    fill(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(mih.DataError, match=complaint) as error:
        mih.load_mnist(tmp_path)
    assert name in str(error.value)


def test_unknown_split_is_refused(tmp_path):
    with refusal("split", "'all'"):
        mih.load_mnist(tmp_path, split="all")


@pytest.mark.skipif(REAL is None, reason="MIH_DATA_DIR does not name a folder with MNIST")
def test_the_real_mnist():
    for split, n, first in (("train", 60_000, [5, 0, 4, 1, 9]), ("test", 10_000, [7, 2, 1, 0, 4])):
        images, labels = mih.load_mnist(REAL, split)
        assert images.shape == (n, 1, 28, 28) and labels[:5].tolist() == first
        assert (images.min(), images.max()) == (-1, 1)
        mean, std = (images + 1).mean() / 2, images.std() / 2
        assert (mean, std) == (pytest.approx(0.131, abs=0.002), pytest.approx(0.308, abs=0.003))


# MNIST from a network


PUBLISHED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in CONTENTS.items()}


class Mirror:
    """A web server on this machine; `faults` says what goes wrong with the files it serves."""

    def __init__(self):
        self.faults, self.asked = "", []
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rpartition("/")[2]
                mirror.asked.append(name)
                body = PUBLISHED.get(name)
                if body is None or mirror.faults == "missing":
                    return self.send_error(404)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                body = body[: len(body) // 2] if mirror.faults == "cut off" else body
                body = body[:-1] + b"x" if mirror.faults == "wrong hash" else body
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/mnist/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirrors(monkeypatch, tmp_path):
    """Two mirrors, and a cache of our own; the hashes are those of the made-up files."""
    opened = [Mirror(), Mirror()]
    hashes = {
        split: {name: hashlib.sha256(PUBLISHED[f"{name}.gz"]).hexdigest() for name in files}
        for split, files in digits.FILES.items()
    }
    monkeypatch.setattr(digits, "FILES", hashes)
    monkeypatch.setattr(digits, "MIRRORS", tuple(mirror.url for mirror in opened))
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield opened
    for mirror in opened:
        mirror.close()


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_a_download_happens_once_and_only_of_what_is_needed(mirrors, tmp_path, capfd):
    assert is_made_up(mih.load_mnist())
    assert mirrors[0].asked == [f"{IMAGES}.gz", f"{LABELS}.gz"]
    assert is_made_up(mih.load_mnist())
    assert len(mirrors[0].asked) == 2
    assert is_made_up(mih.load_mnist(split="test"), "test")
    assert len(mirrors[0].asked) == 4 and not mirrors[1].asked
    assert cached(tmp_path) == sorted(PUBLISHED)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("fault", ["missing", "cut off", "wrong hash"])
def test_another_mirror_helps(mirrors, tmp_path, fault):
    mirrors[0].faults = fault
    assert is_made_up(mih.load_mnist())
    assert len(mirrors[1].asked) == 2
    assert cached(tmp_path) == [f"{IMAGES}.gz", f"{LABELS}.gz"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("missing", "404"), ("cut off", "(?i)incomplete|broken"), ("wrong hash", "does not match")],
)
def test_a_bad_download_is_an_error_and_leaves_nothing(mirrors, tmp_path, fault, reason):
    for mirror in mirrors:
        mirror.faults = fault
    with pytest.raises(mih.DataError, match=reason) as error:
        mih.load_mnist()
    for part in (mirrors[0].url, mirrors[1].url, "MIH_DATA_DIR", f"{IMAGES}.gz"):
        assert part in str(error.value)
    assert cached(tmp_path) == []
    for mirror in mirrors:
        mirror.faults = ""
    assert is_made_up(mih.load_mnist())


def test_without_a_network_it_says_so(mirrors, tmp_path):
    for mirror in mirrors:
        mirror.close()
    with pytest.raises(mih.DataError, match="could not be downloaded"):
        mih.load_mnist()
    assert cached(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_fetched_again(mirrors, tmp_path):
    mih.load_mnist()
    path = next((tmp_path / "cache").rglob(f"{IMAGES}.gz"))
    path.write_bytes(PUBLISHED[path.name][:50])
    assert is_made_up(mih.load_mnist())
    assert path.read_bytes() == PUBLISHED[path.name]


def test_without_pooch_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(mih.DataError, match="pip install pooch"):
        mih.load_mnist()


def test_the_published_files_have_sums_and_safe_addresses():
    sums = [value for files in digits.FILES.values() for value in files.values()]
    assert len(set(sums)) == 4 and all(len(value) == 64 and int(value, 16) for value in sums)
    assert all(url.startswith("https://") and url.endswith("/mnist/") for url in digits.MIRRORS)


# The classifier


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def train(epochs=10, n=1400, **settings):
    """A classifier of scikit-learn's digits, and how many of those it has not seen it knows."""
    images, labels = mih.load_digits()
    generator = seeded()
    order = torch.randperm(len(images), generator=generator)
    images, labels = images[order], labels[order]
    net = mih.DigitClassifier(generator=generator)
    loss = train_classifier(
        net, images[:n], labels[:n], epochs, generator=generator, progress=False, **settings
    )
    return net, loss, (images[n:], labels[n:])


def test_digits_are_told_apart_and_features_tell_what_matters():
    net, loss, (images, labels) = train()
    assert loss.shape == (10 * 11,) and loss[-10:].mean() < 0.2 * loss[:5].mean()
    assert net.accuracy(images, labels) > 0.93
    assert net.classes(images).shape == (397,)
    features = net.features(images)
    assert features.shape == (397, 64) and not features.requires_grad
    halves = mih.frechet_distance(features[::2], features[1::2])
    without = mih.frechet_distance(features[::2][labels[::2] != 3], features[1::2])
    noisy = images[::2] + 0.5 * torch.randn(199, 1, 8, 8, generator=seeded(1))
    assert mih.frechet_distance(net.features(noisy), features[1::2]) > 2 * halves
    assert without > 1.1 * halves


def test_a_classifier_takes_any_size_from_8_pixels_on():
    net = mih.DigitClassifier(features=16, generator=seeded())
    for size in (8, 16, 28, 32):
        images = torch.randn(3, 1, size, size, generator=seeded())
        assert net(images).shape == (3, 10)
        assert net.features(images).shape == (3, 16)
    with refusal("images.shape", "(3, 1, 7, 7)"):
        net(torch.zeros(3, 1, 7, 7))
    with refusal("images.shape", "(3, 3, 8, 8)"):
        net(torch.zeros(3, 3, 8, 8))


def test_blocks_of_images_change_nothing():
    net = mih.DigitClassifier(generator=seeded()).double()
    images = torch.randn(2345, 1, 8, 8, generator=seeded(), dtype=torch.float64)
    with torch.no_grad():
        assert net.features(images).allclose(net.body(images))
        assert net.classes(images).equal(net(images).argmax(dim=1))


def test_the_generator_decides():
    before = torch.random.get_rng_state()
    (one, loss, _), (other, again, _) = train(1, 300), train(1, 300)
    assert loss.equal(again)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert a.equal(b)
    assert torch.random.get_rng_state().equal(before)
    assert not one.training


def test_a_classifier_is_rebuilt_from_its_config():
    net = mih.DigitClassifier(features=24, generator=seeded())
    other = mih.DigitClassifier(**net.config)
    other.load_state_dict(net.state_dict())
    images = torch.randn(2, 1, 8, 8, generator=seeded())
    assert other(images).equal(net(images))


def test_features_must_be_some():
    with refusal("features", "0"):
        mih.DigitClassifier(features=0)
