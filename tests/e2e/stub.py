# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host that is a table of answers, behind a socket as qubed's: what the command line shows of
it is the same on each machine and in each run. No qube runs, nothing needs root."""

import contextlib
import os
import pathlib
import shutil
import socket
import tempfile
import threading


def ok(text=""):
    return b"0\0" + text.encode("utf-8", "surrogateescape")


def refusal(kind, text):
    return b"2\0" + b"\0".join((kind.encode(), b"", text.encode(), b""))


def event(subject, name, **fields):
    flat = [subject, name]
    for key, value in fields.items():
        flat += [key, value]
    return b"1\0" + b"".join(f.encode() + b"\0" for f in flat) + b"\0"


UNKNOWN = refusal("ProtocolError", "no such method")


class Stub:
    """answers: {"METHOD DESTINATION": bytes, or a function of argument and payload}, or a key
    without destination. admin.Events is a stream that tell() feeds."""

    def __init__(self, answers):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="qube-stub-"))
        self.socket = self.dir / "sock"
        self.answers = answers
        self.lock = threading.Lock()
        self.streams = []
        self.listener = None
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir)

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.socket))
        self.listener.listen(64)
        threading.Thread(target=self.serve, args=(self.listener,), daemon=True).start()

    def stop(self):
        """As a host that ends: nobody listens, and streams are closed."""
        if not self.listener:
            return
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        with self.lock:
            for s in self.streams:
                s.close()
            self.streams = []

    def serve(self, listener):
        while True:
            try:
                peer = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.answer, args=(peer,), daemon=True).start()

    def answer(self, peer):
        data = b""
        with contextlib.suppress(OSError):
            while chunk := peer.recv(65536):
                data += chunk
            head, _, payload = data.partition(b"\0")
            service, _, _, dest = head.decode().split(" ")
            method, _, argument = service.partition("+")
            if method == "admin.Events":
                with self.lock:
                    peer.sendall(event("", "connection-established"))
                    self.streams.append(peer)
                return
            found = self.answers.get(f"{method} {dest}", self.answers.get(method, UNKNOWN))
            peer.sendall(found(argument, payload) if callable(found) else found)
        peer.close()

    def listeners(self):
        with self.lock:
            return len(self.streams)

    def tell(self, subject, name, **fields):
        with self.lock:
            for s in self.streams:
                with contextlib.suppress(OSError):
                    s.sendall(event(subject, name, **fields))
