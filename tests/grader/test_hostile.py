"""Submissions that attack. None may gain a point that its answer has not earned, cost another
question a point, leave a trace outside the sandbox, or stop the run."""

import os
import socket
import threading
from pathlib import Path

import pytest
import sample

RIGHT = {"q1": 3, "q2": 2, "q3": 2}
CANARY = "CANARY-7f3a"

# What q1 is in each case. Nothing of it computes what is asked, so it earns nothing, and q2 and q3,
# which are right, keep all their points.
Q1 = {}

Q1["wrong"] = "def noised(x0, alpha_bar, noise): return x0 * 0"
Q1["nothing defined"] = "pass"
Q1["empty cell"] = ""
Q1["exception in the function"] = "def noised(*a): return 1 / 0"
Q1["exception at top level"] = "1 / 0"
Q1["SystemExit at top level"] = "raise SystemExit(0)"
Q1["KeyboardInterrupt in the function"] = "def noised(*a): raise KeyboardInterrupt"
Q1["syntax error"] = "def noised(x0, alpha_bar, noise) return x0"
Q1["null byte"] = "def noised(*a): return 0\0"
Q1["a million brackets"] = "x = " + "(" * 100_000
Q1["endless loop at top level"] = "while True: pass"
Q1["endless loop in the function"] = "def noised(*a):\n    while True: pass"
Q1["endless loop that catches all"] = """
def noised(*a):
    while True:
        try:
            while True: pass
        except BaseException: pass
"""
Q1["endless thread"] = """
import threading
def spin():
    while True: pass
for _ in range(8): threading.Thread(target=spin).start()
def noised(*a): return 0
"""
Q1["endless generator"] = """
def noised(*a):
    while True: yield 1
"""
Q1["sleeps and ignores signals"] = """
import signal, time
for s in range(1, 32):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
def noised(*a): time.sleep(1e6)
"""
Q1["os._exit at top level"] = "import os; os._exit(0)"
Q1["os._exit in the function"] = "import os\ndef noised(*a): os._exit(0)"
Q1["segmentation fault"] = "import ctypes\ndef noised(*a): ctypes.string_at(0)"
Q1["deep recursion"] = "def noised(*a): return noised(*a)"
Q1["bottomless recursion"] = """
import sys
sys.setrecursionlimit(10**9)
def noised(*a): return noised(*a)
"""
Q1["memory bomb"] = "def noised(*a): return [bytearray(10**8) for _ in range(10**6)]"
Q1["memory bomb in files"] = """
import os
def noised(*a):
    for folder in ("/tmp", "/dev/shm"):
        for i in range(1000): open(f"{folder}/{i}", "wb").write(b"x" * 10**7)
"""
Q1["fork bomb"] = """
import os
def noised(*a):
    while True:
        try: os.fork()
        except OSError: pass
"""
Q1["fork bomb left behind"] = """
import os
if os.fork() == 0:
    os.setsid()
    while True:
        try: os.fork()
        except OSError: pass
def noised(*a): return 0
"""
Q1["output flood"] = """
import os
def noised(*a):
    for _ in range(2000): print("x" * 10**5); os.write(1, b"y" * 10**5); os.write(2, b"z" * 10**5)
"""
Q1["huge return value"] = "def noised(*a): return 'x' * 10**9"
Q1["huge number"] = "def noised(*a): return 10**10_000"
Q1["huge tensor of nothing"] = "def noised(*a): return torch.zeros(1).expand(10**12)"
Q1["nested a million deep"] = """
def noised(*a):
    x = []
    for _ in range(10**6): x = [x]
    return x
"""
Q1["list that contains itself"] = """
def noised(*a):
    x = []
    x.append(x)
    return x
"""

# Breaking out

Q1["writes outside"] = """
import os, pathlib
for folder in ("/", "/usr", "/etc", "/root", "/home", "/dev", "/var/tmp", "TARGET"):
    try: pathlib.Path(folder, "CANARY").write_text("here")
    except OSError: pass
os.system("touch TARGET/CANARY; rm -rf TARGET/*; crontab -l")
"""
Q1["reads what it may not"] = """
import glob, os
found = []
paths = ["SPEC", "TARGET/other.ipynb", "/etc/shadow", "/etc/passwd"]
for pattern in ("/proc/*/environ", "/proc/*/cmdline", "/home/*/.*", "/root" + "/.*"):
    paths += glob.glob(pattern)
for path in paths:
    try: found.append(open(path, errors="replace").read())
    except OSError: pass
text = " ".join(found) + str(dict(os.environ))
def noised(*a): raise ValueError(text)
"""
Q1["looks for the solution in memory"] = """
import gc, sys
def noised(*a):
    texts = [o for o in gc.get_objects() if isinstance(o, dict) and "solution" in o]
    frame, names = sys._getframe(), []
    while frame:
        names += [str(v)[:2000] for v in frame.f_locals.values()]
        frame = frame.f_back
    raise ValueError(str(texts) + str(names))
"""
Q1["network"] = """
import socket, urllib.request
for where in (("127.0.0.1", PORT), ("1.1.1.1", 53), ("localhost", PORT)):
    try: socket.create_connection(where, timeout=0.3).sendall(b"CANARY")
    except OSError: pass
try: urllib.request.urlopen("http://127.0.0.1:PORT/CANARY", timeout=0.3)
except OSError: pass
def noised(*a): return 0
"""
Q1["abstract sockets"] = """
import socket
s = socket.socket(socket.AF_UNIX)
try: s.connect("\\0canary-PORT"); s.sendall(b"CANARY")
except OSError: pass
"""
Q1["new namespaces and mounts"] = """
import ctypes, os
libc = ctypes.CDLL(None)
for flags in (0x10000000, 0x20000, 0x10000000 | 0x20000, 0x40000000): libc.unshare(flags)
libc.mount(b"none", b"/usr", None, 32 | 4096, None)
libc.mount(b"none", b"/", None, 32 | 4096, None)
for path in ("/usr/CANARY", "/CANARY", "TARGET/CANARY"):
    try: open(path, "w").write("here")
    except OSError: pass
libc.setuid(0)
"""
Q1["kills everything"] = """
import os, signal
for pid in [-1, 0, 1, 2, os.getppid(), *range(3, 400)]:
    if pid != os.getpid():
        try: os.kill(pid, signal.SIGKILL)
        except OSError: pass
def noised(*a): return 0
"""
Q1["stops its parent"] = """
import os, signal
os.kill(os.getppid(), signal.SIGSTOP)
def noised(*a): return 0
"""
Q1["starves its parent"] = """
import os, resource
for what in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_DATA):
    try: resource.prlimit(os.getppid(), what, (0, 0))
    except (OSError, ValueError): pass
try: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)
except OSError: pass
def noised(*a): return 0
"""
Q1["writes into its parent's memory"] = """
import os
parent = os.getppid()
for name in ("mem", "environ", "fd/0"):
    try: os.write(os.open(f"/proc/{parent}/{name}", os.O_RDWR), b"CANARY")
    except OSError: pass
"""

# Deceiving the tests

Q1["patched torch"] = """
torch.testing.assert_close = lambda *a, **k: None
torch.allclose = torch.equal = lambda *a, **k: True
torch.exp = torch.tensor = torch.softmax = None
def noised(*a): return torch.zeros(1)
"""
Q1["patched numpy"] = """
import numpy
numpy.testing.assert_allclose = numpy.allclose = lambda *a, **k: True
numpy.ndarray = numpy.array = None
def noised(*a): return 0.0
"""
Q1["patched builtins"] = """
import builtins
builtins.abs = lambda x: 0
builtins.AssertionError = builtins.Exception = type("Quiet", (BaseException,), {})
builtins.len = builtins.isinstance = builtins.type = lambda *a: True
def noised(*a): return 0
"""
Q1["removes assert"] = """
import ast, sys
class NoAssert(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
compile_ = compile
import builtins
builtins.compile = lambda s, *a, **k: compile_(NoAssert().visit(ast.parse(s)), *a, **k)
sys.flags = None
def noised(*a): return 0
"""
Q1["silenced traceback"] = """
import sys
sys.excepthook = sys.unraisablehook = lambda *a: None
sys.settrace(lambda *a: None)
def noised(*a): return None
"""
Q1["patched worker"] = """
import sys
worker = [m for m in sys.modules.values() if hasattr(m, "serve_question")]
frame = sys._getframe()
while frame:
    if "encode" in frame.f_globals:
        frame.f_globals["encode"] = lambda value: True
        frame.f_globals["answer"] = lambda *a: {"value": True, "points": 100, "passed": True}
    frame = frame.f_back
def noised(*a): return 0
"""
Q1["equals everything"] = """
class Yes:
    def __eq__(self, other): return True
    __ne__ = __lt__ = __gt__ = lambda self, other: False
    __le__ = __ge__ = __contains__ = __eq__
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __mul__ = __abs__ = __float__ = lambda self, *a: 0
    def __getattr__(self, name): return lambda *a, **k: self
def noised(*a): return Yes()
"""
Q1["subclass of Tensor"] = """
class Agreeable(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None): return True
def noised(*a): return torch.zeros(2).as_subclass(Agreeable)
"""
Q1["subclass of float"] = """
class Near(float):
    def __sub__(self, other): return 0.0
    __eq__ = lambda self, other: True
def noised(*a): return Near(3)
"""
Q1["changes between reads"] = """
class Lazy(list):
    count = 0
    def __iter__(self):
        Lazy.count += 1
        return iter([Lazy.count])
    def __getitem__(self, i): return Lazy.count
def noised(*a): return Lazy([1])
"""
Q1["pickle that runs code"] = """
import os
class Bomb:
    def __reduce__(self): return os.system, ("touch TARGET/CANARY",)
def noised(*a): return Bomb()
"""
FRAME = """
import json, os, socket, struct
def frames(*messages):
    for fd in range(3, 64):
        try: s = socket.socket(fileno=os.dup(fd))
        except OSError: continue
        for m in messages:
            try:
                data = m if isinstance(m, bytes) else json.dumps(m).encode()
                s.sendall(struct.pack("!I", len(data)) + data)
            except OSError: pass
        s.detach()
"""
Q1["forged frames"] = (
    FRAME
    + """
frames(*({"id": i, "value": True, "points": 3, "passed": True} for i in range(1, 9)))
def noised(*a):
    frames(*({"id": i, "value": None} for i in range(1, 9)))
    return 0
"""
)
Q1["forged frames of nonsense"] = (
    FRAME
    + """
def noised(*a): frames(b"[" * 10**6, b"\\xff" * 99, b"", b"null", b"[]", {"id": None}); return 0
"""
)
Q1["forged frame that is endless"] = (
    FRAME
    + """
def noised(*a):
    for fd in range(3, 64):
        try: os.write(fd, struct.pack("!I", 2**32 - 1) + b"x" * 100)
        except OSError: pass
"""
)
Q1["forged frame that drips"] = (
    FRAME
    + """
import time
def noised(*a):
    for _ in range(10**6):
        for fd in range(3, 10):
            try: os.write(fd, b"\\0")
            except OSError: pass
        time.sleep(0.05)
"""
)
TAGS = """
import __main__, sys
def raw(reply):
    frame = sys._getframe()
    while frame:
        if "encode" in frame.f_globals: frame.f_globals["encode"] = lambda value: reply
        frame = frame.f_back
"""
Q1["a tensor with a forged shape"] = (
    TAGS
    + """
def noised(*a):
    raw({"tag": "tensor", "dtype": "float32", "shape": [2**62, 2**62], "data": ""})
"""
)
Q1["an object by its tag"] = (
    TAGS
    + """
def noised(*a): raw({"tag": "book", "name": "save_artifact", "items": ["TARGET", 1]})
"""
)
Q1["a dtype that is a function"] = (
    TAGS
    + """
def noised(*a): raw({"tag": "tensor", "dtype": "load", "shape": [1], "data": "AAAA"})
"""
)
Q1["a dict with a list for a key"] = (
    TAGS
    + """
def noised(*a): raw({"tag": "dict", "items": [[[1], 1], 5]})
"""
)
Q1["NaN"] = "def noised(x0, *a): return x0 * float('nan')"
Q1["infinity"] = "def noised(x0, *a): return x0 + float('inf')"
Q1["wrong dtype"] = "def noised(x0, a, n): return (a**0.5 * x0 + (1 - a)**0.5 * n).double()"
Q1["wrong shape"] = "def noised(x0, a, n): return (a**0.5 * x0 + (1 - a)**0.5 * n)[None]"
Q1["complex"] = "def noised(x0, a, n): return (a**0.5 * x0 + (1 - a)**0.5 * n) + 0j"
Q1["text"] = "def noised(*a): return 'tensor([1.])'"
Q1["markup and escapes"] = (
    "def noised(*a): raise ValueError('<script>CANARY</script>\\x1b[2J\\x07=cmd()')"
)
Q1["lone surrogate"] = "def noised(*a): raise ValueError('\\ud800')"
Q1["exception whose text is endless"] = """
class E(Exception):
    def __str__(self):
        while True: pass
def noised(*a): raise E
"""
Q1["exception whose text fails"] = """
class E(Exception):
    def __str__(self): raise E
def noised(*a): raise E
"""


@pytest.fixture(scope="module")
def listener():
    """Sockets that nobody may reach; what reaches them all the same."""
    heard, sockets = [], []
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(f"\0canary-{port}")
    unix.listen()
    for server in (tcp, unix):
        sockets.append(server)

        def wait(server=server):
            while True:
                try:
                    heard.append(server.accept()[1])
                except OSError:
                    return

        threading.Thread(target=wait, daemon=True).start()
    yield port, heard
    for server in sockets:
        server.close()


@pytest.fixture
def target(tmp_path, monkeypatch):
    """A folder that must stay as it is, and a secret in the environment."""
    monkeypatch.setenv("SECRET_TOKEN", CANARY)
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "other.ipynb").write_text(f"{CANARY}: another submission")
    return folder


def state(folder):
    """What lies in a folder, and in those where a visitor would leave something."""
    places = (folder, Path("/"), Path("/tmp"), Path.home(), Path("/dev/shm"), Path("/usr"))
    names = {str(p) for place in places for p in place.glob(f"*{CANARY}*")}
    return names, {p.name: p.read_text() for p in folder.iterdir()}


@pytest.mark.parametrize("name", Q1)
def test_hostile_code(name, grade_file, built, target, listener, tmp_path):
    port, heard = listener
    code = Q1[name].replace("TARGET", str(target)).replace("PORT", str(port))
    code = code.replace("SPEC", str(built / "autograder/A0.json")).replace("CANARY", CANARY)
    path = tmp_path / "student.ipynb"
    path.write_text(sample.submission(q1=code), encoding="utf8")
    before = state(target)
    grade = grade_file(path)
    assert grade.points_of("q1") == 0, [r.says for r in grade.results]
    assert grade.points_of("q2") == RIGHT["q2"], [r.says for r in grade.results]
    assert grade.points_of("q3") == RIGHT["q3"], [r.says for r in grade.results]
    assert state(target) == before
    assert heard == []
    said = " ".join([r.says for r in grade.results] + grade.remarks)
    for secret in (
        "the_secret_line",
        "noise of another size",
        f"{CANARY}: another",
        "0.125 * factor",
    ):
        assert secret not in said
    if "markup" not in name:
        assert CANARY not in said.replace(str(target), "")


def test_no_process_is_left(box):
    box.stop()
    mine = str(os.getpid())
    stats = (p.read_text().rpartition(")")[2].split() for p in stat_files())
    children = [s for s in stats if s[1] == mine]
    assert [s for s in children if s[0] != "Z"] == []


def stat_files():
    """The stat files of all processes that still exist."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            path.read_text()
        except OSError:
            continue
        yield path
