"""Executes a command for which no file system has locks: flock, and fcntl for locks, answer EOPNOTSUPP (seccomp, x86-64 and arm64)."""
import ctypes
import errno
import os
import platform
import struct
import sys

ARCHES = {"x86_64": (0xC000003E, 73, 72), "aarch64": (0xC00000B7, 32, 25)}
ARCH, FLOCK, FCNTL = ARCHES[platform.machine()]
LOCKS = (5, 6, 7, 36, 37, 38)  # F_GETLK, F_SETLK, F_SETLKW and the same of open file descriptions

LOAD, EQUAL, GIVE = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EOPNOTSUPP

program = [(LOAD, 0, 0, 4), (EQUAL, 0, len(LOCKS) + 4, ARCH), (LOAD, 0, 0, 0)]
program += [(EQUAL, len(LOCKS) + 3, 0, FLOCK), (EQUAL, 0, len(LOCKS) + 1, FCNTL), (LOAD, 0, 0, 24)]
program += [(EQUAL, len(LOCKS) - at, 0, command) for at, command in enumerate(LOCKS)]
program += [(GIVE, 0, 0, ALLOW), (GIVE, 0, 0, REFUSE)]

code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
filter_of = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.byref(filter_of), 0, 0) == 0, os.strerror(ctypes.get_errno())  # PR_SET_SECCOMP
os.execvp(sys.argv[1], sys.argv[1:])
