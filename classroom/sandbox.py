"""Starts the worker with nothing around it, and talks to it in plain data.

Inside bubblewrap: no network, no home, a read-only interpreter, own process numbers, an empty
environment and one small folder in memory to write to. Where the grader runs as root, the worker
becomes a user that nobody is.
"""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from . import worker

MOST_MEMORY = 4 * 2**30  # of all the processes of one submission
FIRST_UID, UIDS = 61_184, 4_000  # a range that Debian and systemd keep for users that come and go
STARTUP = 120.0  # seconds for the worker to import torch on a slow machine
PATIENCE = 20.0  # seconds for the worker to kill what a question has left


class SandboxError(RuntimeError):
    """The sandbox cannot be had here, or did not start."""


class Gone(Exception):
    """The worker did not answer: out of time, crashed, or it talked nonsense."""


class StudentError(Exception):
    """The student's code raised an exception; its text is theirs."""


class Sandbox:
    """The worker of one submission: `question()` gives a clean child of it, as often as needed.

    mode: "bwrap"; "container", as root in a container that is thrown away; "none" for own code.
    """

    def __init__(self, modules=("torch", "numpy"), mode="bwrap"):
        self.modules, self.mode = sorted({"torch", "numpy", *modules}), mode
        self.process = self.control = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def question(self):
        """A connection to a fresh child with clean modules; what ran before is killed."""
        if self.process is not None and not self._end_question():
            self.stop()
        if self.process is None:
            self._start()
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.control, [b"q"], [theirs.fileno()])
        return Question(ours, self.process.pid)

    def stop(self):
        """Kill the worker and all that it has started."""
        if self.process is not None:
            self.process.kill()  # bubblewrap's own processes die with it, and all in it
            self.process.wait()
            self.control.close()
            self.process = None

    def _end_question(self):
        try:
            self.control.sendall(b"e")
            self.control.settimeout(PATIENCE)
            return self.control.recv(1) == b"e"
        except OSError:
            return False

    def _start(self):
        self.control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                command(self.mode, self.modules),
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin", **ENVIRONMENT},
                cwd="/",
            )
        self.control.settimeout(STARTUP)
        try:
            ready = self.control.recv(1)
        except OSError:
            ready = b""
        if ready != b"r":
            self.process.kill()
            said = self.process.communicate()[1].decode(errors="replace").strip()[-500:]
            self.process = None
            raise SandboxError(f"the sandbox did not start: {said or 'no answer'}")
        self.process.stderr.close()


class Question:
    """A conversation with one child of the worker."""

    def __init__(self, connection, pid):
        self.connection, self.pid, self.asked = connection, pid, 0

    def ask(self, timeout, **request):
        """The reply to one request, a dict of JSON values. StudentError, or Gone for good."""
        self.asked += 1
        until = time.monotonic() + timeout
        try:
            self.connection.settimeout(timeout)
            worker.send(self.connection, {"id": self.asked, **request})
            (size,) = struct.unpack("!I", self._read(4, until))
            if size > worker.LARGEST:
                raise Gone(f"returned more than {worker.LARGEST // worker.MEGABYTE} MB")
            reply = json.loads(self._read(size, until))
        except Gone:
            raise
        except TimeoutError:
            raise Gone(f"no answer within {timeout:g} s") from None
        except OSError:
            raise Gone("the process ended") from None
        except (ValueError, RecursionError):
            raise Gone("the reply was not readable") from None
        if type(reply) is not dict or reply.get("id") != self.asked:
            raise Gone("the reply was not one to this question")
        if "error" in reply:
            raise StudentError(str(reply["error"])[:2000])
        return reply

    def _read(self, size, until):
        """Exactly `size` bytes, looking four times a second at the clock and at the memory."""
        parts = bytearray()
        while len(parts) < size:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.connection.settimeout(min(left, 0.25))
            try:
                part = self.connection.recv(min(size - len(parts), 2**20))
            except TimeoutError:
                if memory_below(self.pid) > MOST_MEMORY:
                    raise Gone(f"used more than {MOST_MEMORY // 2**30} GB of memory") from None
                continue
            if not part:
                raise Gone("the process ended")
            parts += part
        return bytes(parts)

    def close(self):
        """Hang up."""
        self.connection.close()


ENVIRONMENT = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "USER": "student",
}


def command(mode, modules):
    """The command line that runs the worker in the given mode."""
    root = os.geteuid() == 0
    uid = FIRST_UID + os.getpid() % UIDS if root and mode != "none" else 0
    code = Path(worker.__file__).read_text(encoding="utf8")
    code = f"{code}\nsys.path.insert(0, {str(book_folder(mode))!r})\n"
    code += f"main({mode != 'none'}, {uid}, {modules!r})\n"
    python = [str(Path(os.path.realpath(sys.prefix), "bin/python")), "-I", "-c", code]
    if mode == "bwrap":
        return [*bubblewrap(root), *python]
    if mode == "container" and not root:
        raise SandboxError("container: only for root in a container that is thrown away")
    return python


def bubblewrap(root):
    """bubblewrap and its options."""
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError(
            "bubblewrap is not installed, and without it a submission could do on this computer "
            "whatever you can: sudo apt-get install bubblewrap"
        )
    options = ["--die-with-parent", "--new-session", "--unshare-pid", "--unshare-net"]
    options += ["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox"]
    if root:  # the worker needs these two to become another user, and loses them by it
        options += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        options += ["--unshare-user"]
        if "--disable-userns" in subprocess.run([program, "--help"], **CAPTURE).stdout:
            options += ["--disable-userns"]
    for folder in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(folder):
            options += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            options += ["--ro-bind", folder, folder]
    options += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    for folder in ("/dev/shm", "/tmp"):  # first: what is bound next may lie in /tmp
        options += ["--perms", "1777", "--size", str(64 * 2**20), "--tmpfs", folder]
    binds = {folder: folder for folder in visible_folders()}
    binds |= {source: Path("/book", source.name) for source in filter(Path.exists, book_parts())}
    for source, target in binds.items():
        for parent in reversed(target.parents[:-1]):  # bubblewrap would close them to others
            options += ["--perms", "0755", "--dir", str(parent)]
        options += ["--ro-bind", str(source), str(target)]
    options += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    return [program, *options, "--remount-ro", "/", "--chdir", "/tmp"]


CAPTURE = {"capture_output": True, "text": True, "check": True}


def visible_folders():
    """The folders of this computer that the worker can read: the system's, and Python's."""
    prefixes = {Path(os.path.realpath(p)) for p in ("/usr", sys.base_prefix, sys.prefix)}
    return sorted(p for p in prefixes if not any(q in p.parents for q in prefixes))


def refuse_visible(paths):
    """Refuse to grade where a student's code could read the tests or another submission."""
    for path in paths:
        path = Path(os.path.realpath(path))
        for folder in (*visible_folders(), *map(Path.resolve, book_parts())):
            if folder == path or folder in path.parents:
                raise SandboxError(f"{path} lies in {folder}, which submissions can read: move it")


def book_parts():
    """The book's package and its artifacts: public, and what assignments import."""
    found = find_spec("mih_utils")
    if found is None:
        return []
    package = Path(found.origin).resolve().parent
    return [package, package.parent / "artifacts"]


def book_folder(mode):
    """Where the worker finds the book's package."""
    parts = book_parts()
    return "/book" if mode == "bwrap" or not parts else parts[0].parent


def memory_below(pid):
    """Bytes of memory of all processes below pid, without what they share with files."""
    parents, pages = {}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path("/proc", entry, "stat").read_text(errors="replace")
            resident, shared = map(int, Path("/proc", entry, "statm").read_text().split()[1:3])
        except (OSError, ValueError):
            continue  # it has ended meanwhile
        parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
        pages[int(entry)] = resident - shared

    def is_below(process):
        while process not in (0, pid):
            process = parents.get(process, 0)
        return process == pid

    total = sum(count for process, count in pages.items() if is_below(process))
    return total * os.sysconf("SC_PAGE_SIZE")
