"""What several test files share."""

import functools
import logging
import os
import shutil
import signal
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

# Property tests draw the same examples every time, and a busy machine fails none of them.
settings.register_profile("seeded", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("seeded")


# Small networks gain nothing from threads, and two test processes would get in each other's way.
torch.set_num_threads(1)


@pytest.fixture
def interrupts():
    """SIGINT interrupts, as it does in a notebook; a test process may have been told otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class HostSyncs(TorchDispatchMode):
    """Counts how often a number is fetched from a tensor, for which a GPU would have to finish."""

    waits = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select")
    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket.__name__ in self.waits
        return func(*args, **kwargs or {})


@pytest.fixture
def host_syncs():
    return HostSyncs


@pytest.fixture(params=["meta", "cuda"])
def device(request):
    """Every device that is not the CPU default and that tensors can be put on here."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    return torch.device(request.param)


@contextmanager
def refusal(name, value):
    """Expect a ValueError that names the argument, has the value, and says what it must be."""
    with pytest.raises(ValueError) as refused:
        yield
    message = str(refused.value)
    assert message.startswith(name)
    assert value in message
    assert "must be" in message


class Double:
    """A denoiser that computes in float64, as the exact one does; a plain function follows x_T."""

    dtype = torch.float64

    def __init__(self, net):
        self.net = net

    def __call__(self, x_t, t):
        return self.net(x_t, t)


class StoppedAt(nn.Module):
    """A net that the reader interrupts when it is called for the given time."""

    def __init__(self, net, call):
        super().__init__()
        self.net, self.left = net, call

    def forward(self, x_t, t):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.net(x_t, t)


@pytest.fixture(scope="session")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("no Chromium on this machine (on Debian and Ubuntu: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=args)
        yield browser
        browser.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder: Path):
    """Where pages of a folder can be read from: a local server, and the disk."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"http": f"http://127.0.0.1:{server.server_port}", "file": folder.as_uri()}
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of two processes on this machine."""
    distributed = pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        worker_dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )
    yield cluster
    cluster.close()
