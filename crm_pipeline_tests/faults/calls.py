"""System calls of one process with all its threads: each is seen before it is made.

The process asks for it itself (`be_watched`: a seccomp filter, inherited by every thread), and its
parent is told (`Watch`), by ptrace, before a chosen call begins. The calls are numbered over all
threads, which strace cannot do; only the chosen ones cost anything.

A call counts when something that outlives the process may be another thing after it than before:

- what changes storage: writing to a file, fsync and fdatasync (they order it), making, opening to
  make, cutting, renaming, linking and removing files and folders, their modes;
- what the network learns or tells: connect, accept, and writing to and reading from a socket of
  the Internet families.

Pipes, event counters, sockets inside the machine, the terminal and memory files are no storage,
and reading a file changes nothing. Linux on x86_64 only.
"""

import ctypes
import os
import platform
import re
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass, field

#: Numbers of x86_64. First those whose first argument is a descriptor: what it is decides.
WRITES = {
    "write": 1, "pwrite64": 18, "writev": 20, "pwritev": 296, "pwritev2": 328, "sendfile": 40,
}  # fmt: skip
READS = {"read": 0, "readv": 19}
FILES = {
    "fsync": 74, "fdatasync": 75, "sync_file_range": 277, "ftruncate": 77, "fallocate": 285,
    "fchmod": 91,
}  # fmt: skip
SOCKETS = {
    "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
    "shutdown": 48, "accept4": 288, "recvmmsg": 299, "sendmmsg": 307,
}  # fmt: skip
#: These name a path, or two: they always count.
PATHS = {
    "truncate": 76, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86, "unlink": 87,
    "symlink": 88, "chmod": 90, "mkdirat": 258, "unlinkat": 263, "renameat": 264, "linkat": 265,
    "symlinkat": 266, "fchmodat": 268, "renameat2": 316,
}  # fmt: skip
#: These count when they may make or empty a file; the number is the argument that says so.
OPENS = {"open": (2, 1), "openat": (257, 2)}
#: These may do what the others do, and cannot be looked into, so that they count. uvloop makes
#: the second one, to say whom it waits for.
OTHERS = {"copy_file_range": 326, "io_uring_enter": 426, "openat2": 437}

NAMES = {
    **{number: name for group in (WRITES, READS, FILES, SOCKETS, PATHS, OTHERS)
       for name, number in group.items()},
    **{number: name for name, (number, _) in OPENS.items()},
}  # fmt: skip
MACHINE, ARCHITECTURE = "x86_64", 0xC000003E

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_NUMBER_AT, _ARGUMENTS_AT = 0, 16
_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2

_TRACEME, _CONTINUE, _SET_OPTIONS, _SYSCALL_INFO = 0, 7, 0x4200, 0x420E
#: Tell of clones, forks and filtered calls; a tracer that dies takes the process with it.
_OPTIONS = 0x2 | 0x4 | 0x8 | 0x80 | 0x100000
_SECCOMP_EVENT = 7
_INFO = struct.Struct("<B3xIQQQ6Q")
_ANY_THREAD = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def can_watch() -> bool:
    """Whether processes can be watched here: a child is, to its end."""
    if sys.platform != "linux" or platform.machine() != MACHINE:
        return False
    pid = os.fork()
    if pid == 0:
        try:
            be_watched()
            os.mkdir("/nowhere/at/all")  # fails, but begins
        except OSError:
            os._exit(0)
        os._exit(1)
    try:
        return bool(Watch(pid).run())
    except OSError:
        return False


def be_watched() -> None:
    """Let the parent watch this process from here on; it waits until the parent does."""
    _ptrace(_TRACEME, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    code = b"".join(_filter())
    program = _Program(len(code) // 8, code)
    if _libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or _libc.prctl(
        _SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "this process cannot be watched")


def _filter() -> list[bytes]:
    """Return the filter: of each call whether it is told of."""

    def line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("<HBBI", code, if_true, if_false, value)

    made_by = dict(OPENS.values())
    lines = []
    for number in NAMES:
        if number in made_by:
            argument = _ARGUMENTS_AT + 8 * made_by[number]
            lines += [
                line(_LOAD, _NUMBER_AT),
                line(_EQUAL, number, 0, 4),
                line(_LOAD, argument),
                line(_ANY_BIT, os.O_CREAT | os.O_TRUNC, 0, 1),
                line(_RETURN, _TRACE),
                line(_RETURN, _ALLOW),
            ]
        else:
            lines += [
                line(_LOAD, _NUMBER_AT),
                line(_EQUAL, number, 0, 1),
                line(_RETURN, _TRACE),
            ]
    return [*lines, line(_RETURN, _ALLOW)]


@dataclass
class Watch:
    """A child that called `be_watched`. ``at`` is the number of the call before which it is killed.

    ``is_counting`` may be turned on later; what happens before is not numbered.
    """

    pid: int
    at: int = 0
    is_counting: bool = True
    #: The calls so far, each in words: the call and what it is made on.
    calls: list[str] = field(default_factory=list)
    #: How it ended.
    code: int = 0
    _sockets: dict[str, bool] = field(default_factory=dict)

    def run(self) -> list[str]:
        """Follow the process to its end; return its calls.

        Raises OSError when it cannot be watched.
        """
        _, status = os.waitpid(self.pid, 0)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            raise OSError("this process cannot be watched")
        _ptrace(_SET_OPTIONS, self.pid, _OPTIONS)
        _ptrace(_CONTINUE, self.pid, 0)
        while True:
            thread, status = os.waitpid(-1, _ANY_THREAD)
            if not os.WIFSTOPPED(status):
                if thread == self.pid:
                    self.code = os.waitstatus_to_exitcode(status)
                    return self.calls
                continue
            event, stopped_by = status >> 16, os.WSTOPSIG(status)
            if event == _SECCOMP_EVENT:
                self._look(thread)
            is_begin = event or stopped_by == signal.SIGSTOP  # of a call, or of a new thread
            self._go_on(thread, 0 if is_begin else stopped_by)

    def _look(self, thread: int) -> None:
        call = self._call(thread) if self.is_counting else ""
        if not call:
            return
        self.calls.append(call)
        if len(self.calls) == self.at:
            self.is_counting = False
            os.kill(self.pid, signal.SIGKILL)

    def _call(self, thread: int) -> str:
        """Return the call that a thread begins, in words; nothing when it does not count."""
        info = ctypes.create_string_buffer(128)
        size = _libc.ptrace(_SYSCALL_INFO, thread, len(info), ctypes.addressof(info))
        if size <= 0:
            return ""  # it was killed meanwhile
        number, first, second = _INFO.unpack_from(info)[4:7]
        name = NAMES[number]
        if name in OTHERS:
            return name
        if name in PATHS or name in OPENS:
            path = self._text(second if re.search(r"[^e]at2?$", name) else first)
            return "" if path.startswith(("/dev/", "/proc/")) else f"{name} {path}"
        what = self._what(first & 0xFFFFFFFF)
        is_file = what.startswith("/")
        if name in READS or name in SOCKETS:
            return f"{name} {what}" if what == "network" else ""
        return f"{name} {what}" if is_file or (what == "network" and name in WRITES) else ""

    def _text(self, address: int) -> str:
        try:
            with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
                memory.seek(address)
                return os.fsdecode(memory.read(1024).split(b"\0")[0])
        except OSError:
            return ""  # it was killed meanwhile

    def _what(self, descriptor: int) -> str:
        """Return a file's path, "network", or nothing for all else."""
        try:
            path = os.readlink(f"/proc/{self.pid}/fd/{descriptor}")
        except OSError:
            return ""
        if path.startswith("socket:["):
            if path not in self._sockets:
                self._sockets[path] = self._is_network(path[8:-1])
            return "network" if self._sockets[path] else ""
        is_file = path.startswith("/") and not path.startswith(("/dev/", "/proc/", "/memfd:"))
        return path if is_file else ""

    def _is_network(self, inode: str) -> bool:
        """Whether a socket is none of those that stay inside the machine."""
        for family in ("unix", "netlink"):
            with open(f"/proc/{self.pid}/net/{family}") as table:
                if any(inode in line.split() for line in table):
                    return False
        return True

    @staticmethod
    def _go_on(thread: int, passed: int) -> None:
        with suppress(ProcessLookupError):  # it was killed meanwhile
            _ptrace(_CONTINUE, thread, passed)


def _ptrace(request: int, pid: int, data: int) -> None:
    if _libc.ptrace(request, pid, None, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
