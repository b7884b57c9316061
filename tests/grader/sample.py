"""A small assignment in plain torch, and notebooks that answer it: what the tests here grade."""

import json

SETUP = """# SETUP
REPOSITORY = ""
import torch

SEED = 0
factor = 2 + SEED % 5
"""

Q1 = """# ANSWER q1
def noised(x0, alpha_bar, noise):
    ### BEGIN SOLUTION
    return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise
    ### END SOLUTION
"""
Q1_PUBLIC = """# TEST q1 public 1: one value by hand
result = noised(torch.tensor([2.0]), 0.25, torch.tensor([0.0]))
torch.testing.assert_close(result, torch.tensor([1.0]))
"""
Q1_HIDDEN = """# TEST q1 hidden 2: noise of another size
x0, noise = torch.tensor([1.0, -1.0]), torch.tensor([5.0, 7.0])
torch.testing.assert_close(noised(x0, 0.36, noise), 0.6 * x0 + 0.8 * noise)
"""

Q2 = """# ANSWER q2 without softmax
def responsibilities(x, means, std):
    ### BEGIN SOLUTION
    height = torch.exp(-((x[:, None] - means) ** 2) / (2 * std**2))
    return height / height.sum(dim=1, keepdim=True)
    ### END SOLUTION
"""
Q2_PUBLIC = """# TEST q2 public 1: in the middle of two modes
half = responsibilities(torch.tensor([0.5]), torch.tensor([0.0, 1.0]), 0.3)
torch.testing.assert_close(half, torch.tensor([[0.5, 0.5]]))
"""
Q2_HIDDEN = """# TEST q2 hidden 1: three modes, seen from one side
x, means = torch.tensor([0.1, 0.7]), torch.tensor([-1.0, 0.0, 1.0])
expected = torch.softmax(-((x[:, None] - means) ** 2) / (2 * 0.4**2), dim=1)
torch.testing.assert_close(responsibilities(x, means, 0.4), expected)
"""

Q3 = """# ANSWER q3
### BEGIN SOLUTION
share = 0.125 * factor
steps = [factor, factor + 1]
### END SOLUTION
"""
Q3_PUBLIC = """# TEST q3 public 1: the share
assert abs(share - 0.125 * factor) < 1e-9
"""
Q3_HIDDEN = """# TEST q3 hidden 1: the steps
assert steps == [factor, factor + 1], steps
"""

TEXT = """<!-- ANSWER q4 manual 2: why between the modes -->
Why does the network put mass between the modes?
"""
RUBRIC = """<!-- SOLUTION -->
One point for the smooth score, one for the jump it would need to make.
"""
SOLUTION = [("q1", Q1), ("q2", Q2), ("q3", Q3)]
CELLS = [SETUP, Q1, Q1_PUBLIC, Q1_HIDDEN, Q2, Q2_PUBLIC, Q2_HIDDEN, Q3, Q3_PUBLIC, Q3_HIDDEN]
SOURCE = [("markdown", "# A sample"), *(("code", text) for text in CELLS)]
SOURCE += [("markdown", TEXT), ("markdown", RUBRIC), ("code", "# INSTRUCTOR\nthe_secret_line = 1")]


def notebook(cells):
    """A notebook of (type, text) pairs, as text."""
    made = []
    for kind, text in cells:
        more = {"outputs": [], "execution_count": None} if kind == "code" else {}
        made.append({"cell_type": kind, "metadata": {}, "source": text, **more})
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


def submission(**answers):
    """A submission with the right answers, except those given here; None leaves a cell out."""
    cells = [("code", SETUP)]
    public = {"q1": Q1_PUBLIC, "q2": Q2_PUBLIC, "q3": Q3_PUBLIC}
    for name, solution in SOLUTION:
        text = answers.get(name, solution)
        if text is not None:
            text = text if text.lstrip().startswith("# ANSWER") else f"# ANSWER {name}\n{text}"
            cells.append(("code", text))
        cells.append(("code", public[name]))
    return notebook([*cells, ("markdown", answers.get("q4", TEXT))])
