"""Run a notebook to its last cell with the Python that runs this, and say what happened, as JSON.

    python run_copy.py NOTEBOOK

Its folder is the working folder. It must hold nothing but what the notebook puts there: this Python
may not know the package.
"""

import importlib.util
import json
import resource
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

path = Path(sys.argv[1]).resolve()
if importlib.util.find_spec("mih_utils"):
    sys.exit("this Python has mih_utils installed, so the copy would prove nothing")
notebook = nbformat.read(path, as_version=4)
start, error = time.monotonic(), None
client = NotebookClient(
    notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
)
try:
    client.execute()
except CellExecutionError as failed:
    error = str(failed)[-2000:]
code = [cell for cell in notebook.cells if cell.cell_type == "code"]
outputs = [output for cell in code for output in cell.outputs]
lines = "".join(o.text for o in outputs if o.get("name") == "stderr").splitlines()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
found = {
    "cells": len(code),
    "run": sum(cell.execution_count is not None for cell in code),
    "seconds": round(time.monotonic() - start),
    "cpu_seconds": round(used.ru_utime + used.ru_stime),
    "memory_mb": round(used.ru_maxrss / (1 if sys.platform != "darwin" else 1024) / 1024),
    "warnings": [line for line in lines if "Warning" in line],
    "first_words": "".join(o.text for o in outputs if o.get("name") == "stdout").splitlines()[:3],
    "error": error,
}
print(json.dumps(found))
