"""What a site can do without the product, on a machine of its own in the same network: MPTCP, and TLS over a route that a
ping script switches. Same routers, same faults, same moment."""
import contextlib
import socket
import threading
import time

from .ns import LabError, ip_batch
from .streams import EchoStream, Listener, echo
from .traffic import Worker

IPPROTO_MPTCP = 262
MPTCP_PORT, TLS_PORT, LOCAL_PORT, PLAIN_PORT = 9201, 9202, 9203, 9204
TABLE_BASE = 101
# The defaults of mwan3's sample configuration (track_ip, reliability 1, count 1). Source: openwrt/packages, mwan3.config
PING_TIMEOUT_S, PING_INTERVAL_S, DOWN_AFTER, UP_AFTER = 2, 5, 3, 8


class Rival:
    """A second machine behind the same uplinks, statically addressed; its links are named like the host's ports."""

    def __init__(self, lab):
        self.lab = lab
        self.node = lab.add_node("rival")
        self.node.sysctl("net/ipv4/conf/all/ignore_routes_with_linkdown", 1)
        self.addresses = {}
        sw = lab.node("sw")
        for index, uplink in enumerate(u for u in lab.topology.uplinks if u.port):
            port, address = uplink.port, str(uplink.network()[60])
            self.addresses[port] = address
            length = uplink.network().prefixlen
            ip_batch([lab.cable("rival", port, "sw", f"q-{port}")])
            ip_batch([f"link set q-{port} master sw-{uplink.name} up"], sw.netns)
            ip_batch([f"addr add {address}/{length} dev {port}", f"link set {port} up",
                         f"route add default via {uplink.gateway} dev {port} metric {10 + index}",
                         f"route add default via {uplink.gateway} dev {port} table {TABLE_BASE + index}",
                         f"rule add from {address} lookup {TABLE_BASE + index}"], self.node.netns)

    def set_cable(self, port, plugged):
        self.lab.node("sw").set_link(f"q-{port}", plugged)

    def bytes_of(self, port):
        return sum(int(self.node.sysfs(f"class/net/{port}/statistics/{way}_bytes")) for way in ("rx", "tx"))


class Mptcp:
    """One MPTCP connection with two active subflows, no TLS: the kernel's own failover and nothing else."""
    name = "MPTCP, two subflows (no TLS)"
    every = 2           # of a contest's runs: one takes 30 s where only one way is cut

    def __init__(self, rival):
        self.rival, console = rival, rival.lab.console.node
        for node in (rival.node, console):
            node.run(["ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2"])
        for port, address in rival.addresses.items():
            rival.node.run(["ip", "mptcp", "endpoint", "add", address, "dev", port, "subflow"])
        self._listener = Listener(console, MPTCP_PORT, echo, rival.lab.console.address, IPPROTO_MPTCP)

    def stream(self, interval_s):
        connection = self.rival.node.socket(protocol=IPPROTO_MPTCP)
        connection.settimeout(10)
        connection.bind((next(iter(self.rival.addresses.values())), 0))
        connection.connect((self.rival.lab.console.address, MPTCP_PORT))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"first")       # A subflow may join only when both ends have had data: RFC 8684, 3.1.
        if connection.recv(64) != b"first":
            raise LabError("the MPTCP echo does not answer")
        self.rival.lab.expect(5, "the second subflow is up", lambda: len(self.subflows()) >= 2)
        return EchoStream(connection, interval_s)

    def subflows(self):
        """Local addresses of the established subflows to the Console."""
        lines = self.rival.node.run(["ss", "-Htn", "state", "established", "dport", f"= :{MPTCP_PORT}"]).splitlines()
        return {line.split()[2].rsplit(":", 1)[0].split("%")[0] for line in lines}

    def stop(self):
        self._listener.stop()


class PingSwitch(Worker):
    """Pings through each link as mwan3 does, keeps the main route on the first link that is up, and ends the
    connections of one that went down (mwan3 leaves that to the program: this is better than it)."""

    def __init__(self, rival, target):
        super().__init__()
        self.rival, self.target = rival, target
        self.up = dict.fromkeys(rival.addresses, True)
        self._failures = dict.fromkeys(rival.addresses, 0)
        self._lock = threading.Lock()
        for port in rival.addresses:
            self._run(self._track, port)

    def _track(self, port):
        successes = 0
        while not self._stop.is_set():
            if self._ping(port):
                successes, self._failures[port] = successes + 1, 0
                if successes >= UP_AFTER:
                    self._set(port, True)
            else:
                successes, self._failures[port] = 0, self._failures[port] + 1
                if self._failures[port] >= DOWN_AFTER or not self._carrier(port):
                    self._set(port, False)
            self._wait(port, PING_INTERVAL_S)

    def _ping(self, port):
        with contextlib.suppress(LabError):
            self.rival.node.run(["ping", "-n", "-q", "-c", "1", "-W", str(PING_TIMEOUT_S), "-I", port, self.target])
            return True
        return False

    def _carrier(self, port):
        return self.rival.node.sysfs(f"class/net/{port}/carrier") == "1"

    def _wait(self, port, seconds):
        """A lost carrier is told at once, as ifplugd and netifd do."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._stop.wait(0.02):
            if self.up[port] and not self._carrier(port):
                return self._set(port, False)

    def _set(self, port, up):
        with self._lock:
            if self.up[port] == up:
                return
            self.up[port] = up
            for index, uplink in enumerate(u for u in self.rival.lab.topology.uplinks if u.port):
                metric = 10 + index + (0 if self.up[uplink.port] else 1000)
                self.rival.node.run(["sh", "-c", f"while ip route del default dev {uplink.port} 2>/dev/null; do :; done; "
                                     f"ip route add default via {uplink.gateway} dev {uplink.port} metric {metric}"],
                                    check=False)        # A link without carrier takes no route.
            if not up:
                self.rival.node.run(["ss", "-K", "src", self.rival.addresses[port]], check=False)

    def reset(self):
        """After a fault: as after UP_AFTER good answers."""
        for port in self.up:
            self._failures[port] = 0
            self._set(port, True)


class ReconnectingEcho(Worker):
    """Numbered messages every interval over one connection after the other; what a connection had not echoed is lost."""

    SIZE = 64

    def __init__(self, connect, interval_s):
        super().__init__()
        self.connect, self.interval_s = connect, interval_s
        self.sent, self.received, self.error, self.doubled = {}, {}, None, 0
        self._run(self._work)

    def _work(self):
        number, due = 0, time.monotonic()
        while not self._stop.is_set():
            with contextlib.suppress(OSError), self.connect() as connection:
                connection.settimeout(0.001)
                held = b""
                while not self._stop.is_set():
                    if time.monotonic() >= due:
                        self.sent[number] = time.monotonic()
                        connection.sendall(number.to_bytes(8, "big") * (self.SIZE // 8))
                        number, due = number + 1, max(due + self.interval_s, time.monotonic() - self.interval_s)
                    try:
                        data = connection.recv(65536)
                    except TimeoutError:
                        continue
                    if not data:
                        break
                    held += data
                    while len(held) >= self.SIZE:
                        echoed = int.from_bytes(held[:8], "big")
                        self.doubled += echoed in self.received
                        self.received[echoed] = time.monotonic()
                        held = held[self.SIZE:]
            self._stop.wait(0.05)

    def moments(self):
        return sorted(set(list(self.received.values())))


class SwitchedTls:
    """stunnel at both ends, one TCP connection inside; a ping script switches the route under it."""
    name = "stunnel, route by mwan3's pings"
    every = 5           # of a contest's runs: one takes 14..21 s, and differs by the moment between two pings

    def __init__(self, rival):
        self.rival, lab = rival, rival.lab
        self.switch = PingSwitch(rival, lab.console.address)
        server = lab.console.node.dir / "stunnel.conf"
        server.write_text(f"foreground = yes\npid =\ndebug = 4\n[echo]\naccept = {lab.console.address}:{TLS_PORT}\n"
                          f"connect = 127.0.0.1:{PLAIN_PORT}\ncert = {lab.pki.pem('console')}\n"
                          f"key = {lab.pki.key('console')}\n")
        client = rival.node.dir / "stunnel.conf"
        client.write_text(f"foreground = yes\npid =\ndebug = 4\n[echo]\nclient = yes\naccept = 127.0.0.1:{LOCAL_PORT}\n"
                          f"connect = {lab.console.address}:{TLS_PORT}\nTIMEOUTconnect = 5\n")
        self._listener = Listener(lab.console.node, PLAIN_PORT, echo)
        lab.console.node.spawn(["stunnel4", server], log="stunnel.log")
        rival.node.spawn(["stunnel4", client], log="stunnel.log")

    def _connect(self):
        connection = self.rival.node.socket()
        try:
            connection.settimeout(2)
            connection.connect(("127.0.0.1", LOCAL_PORT))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            connection.close()
            raise
        return connection

    def stream(self, interval_s):
        self.switch.reset()
        return ReconnectingEcho(self._connect, interval_s)

    def stop(self):
        self.switch.stop()
        self._listener.stop()
