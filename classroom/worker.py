"""The process inside the sandbox: runs a student's cells and calls their functions.

Nothing here is trusted once a student's cell has run. The grader sends this file's text to a fresh
interpreter, and believes of the replies only that they are plain data. One process (the nursery)
imports torch once and forks a child for each question, which starts with clean modules.
"""

import base64
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import socket
import struct
import sys
import types

MEGABYTE = 2**20
LARGEST = 16 * MEGABYTE  # of one message, either way
PLAIN = (type(None), bool, int, float, str)
DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8")
DTYPES += ("uint8", "bool")

# The book's objects that a test may hand to a student's function: what each is made from.
BOOK = {
    "GaussianMixture": ("means", "std", "weights"),
    "Schedule": ("beta",),
    "ExactDenoiser": ("mixture", "schedule"),
}


# Plain data: JSON, with a tag for what JSON does not have


def encode(value):
    """What JSON can carry of a value; TypeError for everything that is not plain data."""
    import numpy
    import torch

    if type(value) in PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        items = [encode(item) for item in value]
        return items if isinstance(value, list) else {"tag": "tuple", "items": items}
    if isinstance(value, dict):
        return {"tag": "dict", "items": [[encode(k), encode(v)] for k, v in value.items()]}
    if isinstance(value, torch.Tensor):
        return {"tag": "tensor", **encode_tensor(value)}
    if isinstance(value, numpy.ndarray):
        return {"tag": "array", **encode_tensor(torch.from_numpy(value.copy()))}
    if isinstance(value, numpy.generic):
        return encode(value.item())
    if isinstance(value, torch.Generator):
        return {"tag": "generator", **encode_tensor(value.get_state())}
    name = type(value).__name__
    if name in BOOK and type(value).__module__.startswith("mih_utils."):
        parts = [encode(getattr(value, part)) for part in BOOK[name]]
        return {"tag": "book", "name": name, "items": parts}
    raise TypeError(f"{name} is not plain data: use numbers, text, lists, dicts and tensors")


def encode_tensor(tensor):
    """dtype, shape and bytes of a tensor."""
    import torch

    tensor = tensor.detach().cpu().contiguous()
    data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    dtype = str(tensor.dtype).removeprefix("torch.")
    return {"dtype": dtype, "shape": list(tensor.shape), "data": base64.b64encode(data).decode()}


def decode(data, from_student=True):
    """The value again, made of plain Python types and plain tensors; ValueError otherwise."""
    if type(data) in PLAIN:
        return data
    if type(data) is list:
        return [decode(item, from_student) for item in data]
    tag = data.get("tag") if type(data) is dict else None
    if tag == "tuple":
        return tuple(decode(data["items"], from_student))
    if tag == "dict":
        pairs = [decode(pair, from_student) for pair in data["items"]]
        return {key: value for key, value in pairs}
    if tag == "tensor":
        return decode_tensor(data)
    if tag == "array":
        return decode_tensor(data).numpy()
    if tag == "generator" and not from_student:
        import torch

        generator = torch.Generator()
        generator.set_state(decode_tensor(data))
        return generator
    if tag == "book" and not from_student:
        import mih_utils

        return getattr(mih_utils, data["name"])(*decode(data["items"], False))
    raise ValueError("not plain data")


def decode_tensor(data):
    """A plain tensor whose bytes are as many as its shape and dtype say."""
    import torch

    if data["dtype"] not in DTYPES:
        raise ValueError("not a dtype that is graded")
    shape, raw = data["shape"], base64.b64decode(data["data"], validate=True)
    if type(shape) is not list or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("not a shape")
    dtype, count = getattr(torch, data["dtype"]), 1
    for n in shape:
        count *= n
    if len(shape) > 16 or count * dtype.itemsize != len(raw):
        raise ValueError("not as many bytes as the shape says")
    if not raw:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(dtype).reshape(shape)


# One message: its length in four bytes, then JSON


def send(connection, message):
    """Send one message; ValueError if it is too large."""
    data = json.dumps(message).encode("ascii")
    if len(data) > LARGEST:
        raise ValueError(f"more than {LARGEST // MEGABYTE} MB of data")
    connection.sendall(struct.pack("!I", len(data)) + data)


def receive(connection):
    """The next message from the grader; None when it has hung up."""
    head = connection.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        return None
    return json.loads(connection.recv(struct.unpack("!I", head)[0], socket.MSG_WAITALL))


# One question: a child of the nursery


def serve_question(connection):
    """Run cells and call functions as the grader asks, until it hangs up."""
    import numpy
    import torch

    torch.manual_seed(0)
    random.seed(0)
    numpy.random.seed(0)  # noqa: NPY002 (students use it)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    while (request := receive(connection)) is not None:
        reply = {"id": request["id"]}
        try:
            reply |= answer(request, module.__dict__)
            send(connection, reply)
        except BaseException as error:  # SystemExit and KeyboardInterrupt, too
            send(connection, {"id": request["id"], "error": describe(error)})


def answer(request, names):
    """Do what one request asks for."""
    if request["do"] == "run":
        exec(compile(request["source"], request["name"], "exec"), names)
        return {}
    if request["name"] not in names:
        return {"error": f"the answer defines no {request['name']}"}
    value = names[request["name"]]
    if request["do"] == "call":
        args, options = decode(request["args"], False), decode(request["options"], False)
        return {"value": encode(value(*args, **options))}
    return {"callable": True} if callable(value) else {"value": encode(value)}


def describe(error):
    """The exception in one line, with the line of the student's cell that it came from."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith("answer "):
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f" (line {line} of the cell)" if line else ""
    return f"{type(error).__name__}: {error}"[:1500] + where


def limit_child():
    """What one question may use: memory, processes, files. The grader keeps the time."""
    with open("/proc/self/status", encoding="ascii") as status:
        used = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
    for what, most in (
        (resource.RLIMIT_DATA, used * 1024 + 2048 * MEGABYTE),
        (resource.RLIMIT_FSIZE, 32 * MEGABYTE),
        (resource.RLIMIT_NPROC, 32),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CPU, 600),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


# The nursery


def main(contained, uid, modules):
    """Import the modules once, then fork a child for every question that the grader sends.

    contained: every process we may signal is ours, so a question ends with kill(-1);
    uid: become this user first (0: stay who we are).
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    control = socket.socket(fileno=0)
    if uid:
        os.setgroups([]), os.setgid(uid), os.setuid(uid)
    no_new_privileges, not_dumpable = (38, 1, 0, 0, 0), (4, 0, 0, 0, 0)
    if libc.prctl(*no_new_privileges) or libc.prctl(*not_dumpable):
        raise OSError("prctl failed")
    for name in modules:
        __import__(name)
    sys.modules["torch"].set_num_threads(1)
    with open("/dev/null", "w") as nothing:
        os.dup2(nothing.fileno(), 1), os.dup2(nothing.fileno(), 2)
    before = fingerprint()
    control.sendall(b"r")
    child = None
    while True:
        order, connections, _, _ = socket.recv_fds(control, 1, 1)
        if order == b"q":
            child = os.fork()
            if child == 0:
                become_child(control, nothing_else=connections[0])
            os.close(connections[0])
        elif order == b"e":
            end_question(child, contained)
            if fingerprint() != before:  # a child has turned our own screws
                return
            control.sendall(b"e")
        else:
            return


def become_child(control, nothing_else):
    """In the child: keep one connection, set the limits, serve, and never come back."""
    try:
        os.setsid()
        os.dup2(os.open("/dev/null", os.O_RDWR), 0)
        control.detach()
        limit_child()
        serve_question(socket.socket(fileno=nothing_else))
    finally:
        os._exit(0)


def end_question(child, contained):
    """Kill every process that the question has left, and empty the only writable folders."""
    with contextlib.suppress(ProcessLookupError):
        if contained:
            os.kill(-1, signal.SIGKILL)
        elif child:
            os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    for folder in ("/tmp", "/dev/shm") if contained else ():
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def fingerprint():
    """What one process can change about another of the same user, from outside."""
    names = sorted(name for name in dir(resource) if name.startswith("RLIMIT_"))
    limits = [resource.getrlimit(getattr(resource, name)) for name in names]
    return limits, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)
