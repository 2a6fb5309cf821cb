# SPDX-License-Identifier: LGPL-2.1-or-later
"""For programs inside a qube: messages to the agent's socket, byte by byte. Sent in front
of them."""

import array
import os
import select
import socket
import struct
import time

SOCKET = "/run/qubes/qrexec-agent"
TRIGGER, TRIGGER3, TRIGGER4, HELLO = 0x210, 0x212, 0x213, 0x300
STDIN, STDOUT, STDERR, EXIT_CODE = 0x190, 0x191, 0x192, 0x193


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    end = time.monotonic() + 10
    while True:
        try:
            s.connect(SOCKET)
            break
        except BlockingIOError:  # the agent's backlog is full
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
    s.settimeout(10)
    return s


def trigger(service, target, source=b"", ident=b"x"):
    body = (
        source.ljust(64, b"\0") + target.ljust(64, b"\0") + ident.ljust(32, b"\0") + service + b"\0"
    )
    return struct.pack("<II", TRIGGER4, len(body)) + body


def answer(s):
    """What the agent says: (bytes, descriptors); no bytes: refused."""
    try:
        data, ancillary, flags, _ = s.recvmsg(4096, socket.CMSG_SPACE(64))
    except ConnectionError:
        return b"", []
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def read_exactly(fd, n, seconds=10):
    out = b""
    while len(out) < n:
        if not select.select([fd], [], [], seconds)[0]:
            return None
        more = os.read(fd, n - len(out))
        if not more:
            return None
        out += more
    return out


def converse(fds, data=b""):
    """The caller's side of a call over its two pipes: (output, exit code)."""
    rfd, wfd = fds if readable(fds[0]) else fds[::-1]
    out = b""
    os.write(wfd, struct.pack("<III", HELLO, 4, 3))
    if read_exactly(rfd, 12) is None:
        return None, None
    try:
        if data:
            os.write(wfd, struct.pack("<II", STDIN, len(data)) + data)
        os.write(wfd, struct.pack("<II", STDIN, 0))
    except BrokenPipeError:
        pass  # it is over already, with an exit code
    while True:
        head = read_exactly(rfd, 8)
        if head is None:
            return out, None
        kind, size = struct.unpack("<II", head)
        body = read_exactly(rfd, size) if size else b""
        if kind == STDOUT:
            out += body
        elif kind == EXIT_CODE:
            return out, struct.unpack("<i", body)[0]


def readable(fd):
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def raw_call(service, target, source=b"", data=b""):
    """(output, exit code); (None, None) if refused."""
    s = connect()
    s.sendall(trigger(service, target, source))
    head, fds = answer(s)
    if not head:
        s.close()
        return None, None
    try:
        return converse(fds, data)
    finally:
        for fd in fds:
            os.close(fd)
        s.close()
