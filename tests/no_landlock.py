"""Executes a command on a system without Landlock: its three calls answer ENOSYS (seccomp, x86-64 and arm64)."""
import ctypes
import errno
import os
import platform
import struct
import sys

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[platform.machine()]
LANDLOCK = (444, 445, 446)  # landlock_create_ruleset, landlock_add_rule, landlock_restrict_self

LOAD, EQUAL, GIVE = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
ALLOW, UNKNOWN = 0x7FFF0000, 0x00050000 | errno.ENOSYS

program = [(LOAD, 0, 0, 4), (EQUAL, 0, len(LANDLOCK) + 1, ARCH), (LOAD, 0, 0, 0)]
program += [(EQUAL, len(LANDLOCK) - at, 0, call) for at, call in enumerate(LANDLOCK)]
program += [(GIVE, 0, 0, ALLOW), (GIVE, 0, 0, UNKNOWN)]

code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
filter_of = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.byref(filter_of), 0, 0) == 0, os.strerror(ctypes.get_errno())  # PR_SET_SECCOMP
assert libc.syscall(444, None, 0, 1) == -1 and ctypes.get_errno() == errno.ENOSYS
os.execvp(sys.argv[1], sys.argv[1:])
