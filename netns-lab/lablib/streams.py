"""TCP connections through a forward: what is sent is checked byte by byte at the other end, with its moments."""
import contextlib
import random
import socket
import ssl
import threading
import time

from . import pace
from .traffic import Worker, longest_gap

BLOCK = random.Random(4711).randbytes(1_000_003)     # prime length: a lost or doubled piece never fits by chance
TWICE = memoryview(BLOCK + BLOCK)
CHUNK = 256 * 1024


def expected(offset, length):
    """The bytes that belong at this offset of every checked stream. Pre: length up to a block."""
    start = offset % len(BLOCK)
    return TWICE[start:start + length]


class Forward:
    """One forward of the Console to a port on the host. Pre: the host's streams_allow names that port."""

    def __init__(self, console, host_id, listen, to):
        self.console, self.path = console, f"/api/v1/hosts/{host_id}/forwards"
        status, self.record = console.request("POST", self.path, {"listen": listen, "to": to})
        if status != 201:
            raise AssertionError(f"POST {self.path}: {status} {self.record}")
        host, port = self.record["listen"].rsplit(":", 1)
        self.address = (host, int(port))

    def show(self):
        return self.console.get(f"{self.path}/{self.record['id']}")

    def connect(self):
        connection = self.console.node.socket()
        connection.settimeout(pace.deadline(10))
        connection.connect(self.address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def delete(self):
        return self.console.request("DELETE", f"{self.path}/{self.record['id']}")[0]


class Listener(Worker):
    """Accepts in a node, by default on its loopback; serve(connection) runs in a thread of its own, per connection."""

    def __init__(self, node, port, serve, address="127.0.0.1", protocol=0):
        super().__init__()
        self._serve = serve
        self._listener = node.socket(protocol=protocol)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(64)
        self._listener.settimeout(0.1)
        self._run(self._accept)

    def _accept(self):
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._run(self._serve, connection)

    def stop(self):
        super().stop()
        self._listener.close()


def echo(connection):
    """Every byte back, until the other end has no more."""
    with connection, contextlib.suppress(OSError):
        connection.settimeout(pace.deadline(120))
        while data := connection.recv(CHUNK):
            connection.sendall(data)


class CheckedEnd(Worker):
    """One end of a connection: sends the known bytes at a rate, checks the known bytes that come, both at once."""

    def __init__(self, connection, bytes_per_s=0, send_bytes=None):
        """bytes_per_s 0: as fast as it goes. send_bytes: so many, then end of file; None: until finish()."""
        super().__init__()
        self.connection, self.bytes_per_s, self.send_bytes = connection, bytes_per_s, send_bytes
        self.sent = self.received = 0
        self.wrong_at = None          # offset of the first wrong piece
        self.error = None
        self.moments = []             # (monotonic, bytes received so far)
        self.ended = threading.Event()
        self._last = threading.Event()
        connection.settimeout(None)
        self._run(self._send)
        self._run(self._receive)

    def _send(self):
        start = time.monotonic()
        try:
            while not self._stop.is_set() and not self._last.is_set() and self.sent != self.send_bytes:
                size = CHUNK if not self.bytes_per_s else max(1, int(self.bytes_per_s * 0.01))
                size = size if self.send_bytes is None else min(size, self.send_bytes - self.sent)
                self.connection.sendall(expected(self.sent, size))
                self.sent += size
                if self.bytes_per_s:
                    time.sleep(max(0.0, start + self.sent / self.bytes_per_s - time.monotonic()))
            self.connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = self.error or repr(error)

    def _receive(self):
        try:
            while data := self.connection.recv(CHUNK):
                if self.wrong_at is None and data != expected(self.received, len(data)):
                    self.wrong_at = self.received
                self.received += len(data)
                self.moments.append((time.monotonic(), self.received))
        except OSError as error:
            self.error = self.error or repr(error)
        self.ended.set()

    def finish(self):
        """Sends what is begun, then end of file."""
        self._last.set()

    def gap_s(self, since=0.0):
        """Longest pause between received pieces that touches or follows `since`."""
        times = [t for t, _ in list(self.moments)]
        before = [t for t in times if t < since][-1:]
        return longest_gap(before + [t for t in times if t >= since])[0]

    def stop(self):
        self._last.set()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        super().stop()
        self.connection.close()


class EchoStream(Worker):
    """A small numbered message every interval over one connection, and the moments of their echoes: as a person at a
    terminal would feel it."""

    SIZE = 64

    def __init__(self, connection, interval_s=0.005):
        super().__init__()
        self.connection, self.interval_s = connection, pace.deadline(interval_s)
        self.sent, self.received, self.error = {}, {}, None
        connection.settimeout(0.1)
        self._run(self._send)
        self._run(self._receive)

    def _send(self):
        number, due = 0, time.monotonic()
        while not self._stop.is_set():
            self.sent[number] = time.monotonic()
            try:
                self.connection.sendall(number.to_bytes(8, "big") * (self.SIZE // 8))
            except TimeoutError:
                self.error = self.error or "the stream took nothing for 0.1 s"
                return
            except OSError as error:
                self.error = self.error or repr(error)
                return
            number += 1
            due = max(due + self.interval_s, time.monotonic() - self.interval_s)
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return

    def _receive(self):
        held, number = b"", 0
        while not self._stop.is_set():
            try:
                data = self.connection.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                self.error = self.error or repr(error)
                return
            if not data:
                return
            held, now = held + data, time.monotonic()
            while len(held) >= self.SIZE:
                if held[:self.SIZE] != number.to_bytes(8, "big") * (self.SIZE // 8):
                    self.error = self.error or f"echo {number} is wrong"
                self.received[number] = now
                held, number = held[self.SIZE:], number + 1

    def moments(self):
        return sorted(set(list(self.received.values())))

    def stop(self):
        super().stop()
        self.connection.close()


TLS_PORT = 9443


def plain_tls_s(lab, size):
    """Seconds that `size` bytes take from the console node to the host over one TLS 1.3 connection that the host opens,
    as the tunnel does; written and read in pieces of CHUNK bytes. Pre: the host has a lease."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.minimum_version = ssl.TLSVersion.TLSv1_3
    server_side.load_cert_chain(lab.pki.pem("console"), lab.pki.key("console"))
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.minimum_version = ssl.TLSVersion.TLSv1_3
    client_side.check_hostname = False
    client_side.load_verify_locations(lab.pki.pem("ca"))
    listener = lab.console.node.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((lab.console.address, TLS_PORT))
    listener.listen(1)
    listener.settimeout(pace.deadline(10))

    def serve():
        raw, _ = listener.accept()
        raw.settimeout(None)
        with server_side.wrap_socket(raw, server_side=True) as connection:
            left = size
            while left:
                left -= connection.send(memoryview(BLOCK)[:min(CHUNK, left)])
            with contextlib.suppress(OSError):
                connection.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        raw = lab.host.node.socket()
        raw.settimeout(pace.deadline(60))
        raw.connect((lab.console.address, TLS_PORT))
        with client_side.wrap_socket(raw) as connection:
            buffer = bytearray(CHUNK)
            start, received = time.monotonic(), 0
            while received < size:
                received += connection.recv_into(buffer)
            return time.monotonic() - start
    finally:
        listener.close()
        thread.join(timeout=pace.deadline(10))
