"""An interrupt (Ctrl-C, or the notebook's stop button) that comes at a good moment."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def uninterrupted():
    """Let an interrupt wait until what is inside is done, so that nothing is left half done."""
    came, handler = [], signal.getsignal(signal.SIGINT)
    here = threading.current_thread() is threading.main_thread()  # interrupts come only there
    if here and callable(handler):
        signal.signal(signal.SIGINT, lambda *call: came.append(call))
    try:
        yield
    finally:
        if here and callable(handler):
            signal.signal(signal.SIGINT, handler)
    if came:
        handler(*came[0])
