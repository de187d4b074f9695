"""Traffic that measures: command streams, UDP flows, echo servers. All sockets live in lab nodes, all threads end.
Under emulation all intervals are longer by the factor of pace.py: the machine would do nothing else."""
import contextlib
import itertools
import socket
import struct
import threading
import time
import uuid

from . import pace


TOTAL_RETRANS_OFFSET = 100          # of tcpi_total_retrans: 8 bytes of flags, then 23 fields of 32 bits


def longest_gap(times):
    """(longest interval between two successive moments, moment at its start); (0, 0) for fewer than two."""
    ordered = sorted(times)
    pairs = zip(ordered, ordered[1:])
    return max(((b - a, a) for a, b in pairs), default=(0.0, 0.0))


class Worker:
    """A thread with a stop flag; use as a context manager."""

    def __init__(self):
        self._stop = threading.Event()
        self._threads = []

    def _run(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=pace.deadline(45))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()


class CommandStream(Worker):
    """Sends a command every interval over several kept-alive connections and records when each result came.

    make_operations(n) -> list of operations of command n. Results: records[n] = {"id","sent","replied","answer"}."""

    def __init__(self, console, make_operations, interval_s=0.005, connections=12, wait_s=30, fields=None):
        super().__init__()
        self.console, self.make_operations, self.interval_s = console, make_operations, pace.deadline(interval_s)
        self.wait_s, self.fields = wait_s, fields or {}
        self.records, self.errors = {}, []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._due = time.monotonic()
        for _ in range(connections):
            self._run(self._send)

    def _next(self):
        """The next command's number and its moment. Moments that passed unused are not made up for in a burst."""
        with self._lock:
            due = max(self._due, time.monotonic())
            self._due = due + self.interval_s
            return next(self._numbers), due

    def _send(self):
        while not self._stop.is_set():
            number, due = self._next()
            delay = due - time.monotonic()
            if delay > 0 and self._stop.wait(delay):
                return
            record = {"n": number, "id": str(uuid.uuid4()), "sent": time.monotonic()}
            self.records[number] = record
            try:
                record["answer"] = self.console.command(self.make_operations(number), wait=self.wait_s,
                                                        id=record["id"], **self.fields)
                record["replied"] = time.monotonic()
            except Exception as error:      # the Console itself may be the thing that was killed
                record["error"] = repr(error)
                self.errors.append(repr(error))
                self._stop.wait(0.05)

    def replied(self):
        return sorted(r["replied"] for r in list(self.records.values()) if "replied" in r)

    def gap_s(self, since=0.0):
        """Longest interval between successive replies after `since`, minus the normal interval."""
        times = self.replied()
        before = [t for t in times if t < since][-1:]
        return max(0.0, longest_gap(before + [t for t in times if t >= since])[0] - self.interval_s)

    def states(self):
        """{state: count} of the answers so far."""
        counts = {}
        for record in list(self.records.values()):
            state = record.get("answer", {}).get("state", "unanswered")
            counts[state] = counts.get(state, 0) + 1
        return counts


class UdpEcho(Worker):
    """Answers every datagram. sources: addresses seen, in order of change."""

    def __init__(self, node, port, address="0.0.0.0"):
        super().__init__()
        self.sources = []
        self._socket = node.socket(kind=socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((address, port))
        self._socket.settimeout(0.1)
        self._run(self._serve)

    def _serve(self):
        while not self._stop.is_set():
            try:
                data, source = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            except OSError:
                continue
            if not self.sources or self.sources[-1] != source[0]:
                self.sources.append(source[0])
            with contextlib.suppress(OSError):
                self._socket.sendto(data, source)

    def stop(self):
        super().stop()
        self._socket.close()


class UdpFlow(Worker):
    """One UDP flow from a node: a numbered datagram every interval, the moments of the echoes."""

    def __init__(self, node, to, interval_s=0.01, device=None):
        super().__init__()
        self.sent, self.received = {}, {}
        self.interval_s = pace.deadline(interval_s)
        self._socket = node.socket(kind=socket.SOCK_DGRAM)
        if device:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        self._socket.settimeout(0.1)
        self._to = to
        self._run(self._send)
        self._run(self._receive)

    def _send(self):
        for number in itertools.count():
            with contextlib.suppress(OSError):
                self._socket.sendto(struct.pack("!Q", number), self._to)
                self.sent[number] = time.monotonic()
            if self._stop.wait(self.interval_s):
                return

    def _receive(self):
        while not self._stop.is_set():
            try:
                data = self._socket.recv(64)
            except OSError:
                continue
            if len(data) == 8:
                self.received.setdefault(struct.unpack("!Q", data)[0], time.monotonic())

    def flowing(self, within_s=0.2):
        """True if an echo came within the last moments."""
        last = max(self.received.values(), default=0.0)
        return time.monotonic() - last < pace.deadline(within_s)

    def gap_s(self):
        return max(0.0, longest_gap(self.received.values())[0] - self.interval_s)

    def stop(self):
        super().stop()
        self._socket.close()


class TcpEcho(Worker):
    """Accepts TCP of both families and echoes; greets with `name` and the peer's address as one line."""

    def __init__(self, node, port, name):
        super().__init__()
        self.name, self.peers = name, []
        self._listener = node.socket(socket.AF_INET6)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._listener.bind(("::", port))
        self._listener.listen(64)
        self._listener.settimeout(0.1)
        self._run(self._accept)

    def _accept(self):
        while not self._stop.is_set():
            try:
                connection, peer = self._listener.accept()
            except OSError:
                continue
            address = peer[0].removeprefix("::ffff:")
            self.peers.append(address)
            self._run(self._serve, connection, address)

    def _serve(self, connection, address):
        with connection:
            connection.settimeout(0.2)
            with contextlib.suppress(OSError):
                connection.sendall(f"{self.name} {address}\n".encode())
            while not self._stop.is_set():
                try:
                    data = connection.recv(4096)
                    if not data:
                        return
                    connection.sendall(data)
                except TimeoutError:
                    continue
                except OSError:
                    return

    def stop(self):
        super().stop()
        self._listener.close()


def retransmitted(connection):
    """Segments that this end of a TCP connection had to send again so far. Source: tcp_info, linux/tcp.h."""
    return struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), TOTAL_RETRANS_OFFSET)[0]


def tcp_greeting(node, address, port, timeout_s=2.0):
    """Connects from a node and returns the server's first line, "" when there is no connection."""
    with node.socket() as connection:
        connection.settimeout(pace.deadline(timeout_s))
        try:
            connection.connect((address, port))
            return connection.makefile("r").readline().strip()
        except OSError:
            return ""
