"""T60. A host meets a Console that speaks no version of its: the path says which, it tries more and more seldom, its network
stays. A Console of a later version that still speaks ours is used, whatever else it says. The other way round: a host of
another version is told so by the Console, and its operator sees it."""
import contextlib
import json
import select
import socket
import ssl
import struct
import time

from lablib.product import CONSOLE_NAME, HOST_ID
from lablib.traffic import Worker

TOPOLOGY = "one"
HELLO, WELCOME, PING, PONG, ERROR = 0x01, 0x02, 0x03, 0x04, 0x07
CRITICAL = 0x80
REFUSAL = "protocol versions 1..1 offered, 2..3 supported"


def run(lab):
    with LaterConsole(lab) as later:
        lab.step("a Console that speaks 2 and 3 only")
        lab.host.start()
        lab.expect(20, "the path says so", lambda: lab.host.path("eth0").get("broken_step") == "console"
                   and REFUSAL in lab.host.path("eth0")["cause"])
        lab.step(lab.host.path("eth0")["cause"])
        lab.check("the port is left alone", lab.host.port("eth0")["state"] == "leased")
        hello = later.hellos[0]
        lab.check("it said what it speaks", (hello["version_min"], hello["version_max"]) == (1, 1), hello)
        lab.expect(120, "it waits 15 s and more in the end", lambda: lab.host.path("eth0").get("retry_in_ms", 0) > 15000)
        lab.figure("hellos_until_slow", len(later.hellos), "")
        lab.check("seldom from the start", len(later.hellos) <= 12, len(later.hellos))

        lab.step("one that speaks ours too, with members and frames that we do not know")
        later.versions = (1, 3)
        lab.host.stop()
        lab.host.start()
        lab.expect(20, "the path is up", lambda: lab.host.active_port() == "eth0")
        lab.expect(10, "it answers PINGs after the unknown frames", lambda: later.pongs >= 3)
        lab.check("and was never given up", lab.host.path("eth0")["dials"] == 1, lab.host.path("eth0"))
        later.critical = True
        down = lab.expect_event(0, "path.down", 20)
        lab.check("an unknown critical one ends the connection", down["cause"] == "protocol" and "0x41" in down["detail"], down)
        lab.host.stop()

    lab.step("hosts of other versions at our Console")
    lab.console.start()
    answer = greet(lab, 2, 3)
    lab.check("told which", answer == (ERROR, {"code": "version", "what": "protocol versions 2..3 offered, 1..1 supported"}), answer)
    lab.check("the operator sees it", "2..3" in lab.console.host()["version_refused"]["reason"], lab.console.host())
    lab.check("in its metrics, too",
              "uplink_console_versions_refused_total 1\n" in lab.console.request("GET", "/metrics")[1])
    kind, answer = greet(lab, 1, 3)
    lab.check("one that speaks ours too is served in it", (kind, answer.get("version")) == (WELCOME, 1), answer)
    lab.check("no complaint is left", "version_refused" not in lab.console.host())


class LaterConsole(Worker):
    """Speaks the frames of PROTOCOL.md by hand: one connection at a time, at the Console's address."""

    def __init__(self, lab):
        super().__init__()
        self.versions, self.critical = (2, 3), False
        self.hellos, self.pongs = [], 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.load_cert_chain(lab.pki.pem("console"), lab.pki.key("console"))
        self.context.load_verify_locations(lab.pki.pem("ca"))
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.set_alpn_protocols(["gallium/1"])
        self.door = lab.console.node.socket()
        self.door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.door.bind((lab.console.address, lab.topology.console_port))
        self.door.listen(16)
        self.door.settimeout(0.1)
        self._run(self._serve)

    def _serve(self):
        while not self._stop.is_set():
            try:
                bare, _ = self.door.accept()
            except TimeoutError:
                continue
            with contextlib.suppress(OSError), contextlib.closing(bare):
                bare.settimeout(5)
                with self.context.wrap_socket(bare, server_side=True) as tls:
                    self._talk(tls)
        self.door.close()

    def _talk(self, tls):
        kind, said = read_frame(tls)
        hello = json.loads(said)
        self.hellos.append(hello)
        if self.versions[0] > hello["version_max"]:
            tls.sendall(frame(ERROR, json.dumps({"code": "version", "what": REFUSAL}).encode()))
            return
        tls.sendall(frame(WELCOME, json.dumps({
            "version": 1, "session": "61d0d8f3c5a979f9", "epoch": 1, "resumed": False, "next": [1, 1, 1, 1, 1, 1, 1],
            "time": int(time.time() * 1000), "heartbeat": {"active_ms": 250, "standby_ms": 1000, "dead_after": 3, "mood": "calm"},
            "detach_ttl_s": 600, "quantum": {"entangled": True}}).encode()))
        tls.sendall(frame(0x40, b"from a later version", flags=0, channel=77, seq=12345))
        tls.sendall(frame(0x20, b"", flags=0x02))
        nonce = 0
        while not self._stop.is_set():
            nonce += 1
            tls.sendall(frame(PING, struct.pack(">QQIB3x", nonce, 1, 0, 0) + b"more of a longer PING"))
            if self.critical:
                tls.sendall(frame(0x41, b"", flags=CRITICAL))
            until = time.monotonic() + 0.2
            while (left := until - time.monotonic()) > 0:
                if not tls.pending() and not select.select([tls], [], [], left)[0]:
                    break
                kind, said = read_frame(tls)
                if kind == PING:
                    tls.sendall(frame(PONG, said[:24] + bytes(8)))
                elif kind == PONG:
                    self.pongs += 1


def frame(kind, payload, flags=CRITICAL, channel=0, seq=0):
    return struct.pack(">BBHIQ", kind, flags, channel, len(payload), seq) + payload


def read_frame(tls):
    header = read(tls, 16)
    return header[0], read(tls, struct.unpack(">I", header[4:8])[0])


def read(tls, count):
    heard = b""
    while len(heard) < count:
        part = tls.recv(count - len(heard))
        if not part:
            raise OSError("the other end closed the connection")
        heard += part
    return heard


def greet(lab, low, high):
    """Comes as a host that speaks low..high: the kind of the answer, and its content."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(lab.pki.pem("ca"))
    context.load_cert_chain(lab.pki.pem("host"), lab.pki.key("host"))
    context.set_alpn_protocols(["gallium/1"])
    bare = lab.console.node.socket()
    bare.settimeout(lab.limit(10))
    bare.connect((lab.console.address, lab.topology.console_port))
    with context.wrap_socket(bare, server_hostname=CONSOLE_NAME) as tls:
        tls.sendall(frame(HELLO, json.dumps({
            "version_min": low, "version_max": high, "host": HOST_ID, "install": "i", "boot": "b", "instance": "9f3c5a7e11d20b48",
            "session": "0" * 16, "epoch": 0, "next": [], "time": int(time.time() * 1000), "heartbeat": {
                "active_ms": 250, "standby_ms": 1000, "dead_after": 3}, "software": "uplink 9",
            "path": {"id": 1, "label": "x/y", "port": "x", "endpoint": "y:1", "adapter": "x", "class": 0, "rank": 0}}).encode()))
        kind, said = read_frame(tls)
        return kind, json.loads(said)
