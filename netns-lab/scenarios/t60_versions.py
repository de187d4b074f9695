"""T60. A host meets a Console that speaks no version of its: the path says which, it tries more and more seldom, its network
stays. A Console of a later version that still speaks ours is used, whatever else it says. The other way round: a host of
another version is told so by the Console, and its operator sees it."""
import contextlib
import json
import select
import struct
import time

from lablib.frames import CRITICAL, ERROR, HELLO, PING, PONG, WELCOME, Door, dial, frame, hello, read_frame, text, welcome
from lablib.traffic import Worker

TOPOLOGY = "one"
REFUSAL = "protocol versions 1..1 offered, 2..3 supported"


def run(lab):
    with LaterConsole(lab) as later:
        lab.step("a Console that speaks 2 and 3 only")
        lab.host.start()
        lab.expect(20, "the path says so", lambda: lab.host.path("eth0").get("broken_step") == "console"
                   and REFUSAL in lab.host.path("eth0")["cause"])
        lab.step(lab.host.path("eth0")["cause"])
        lab.check("the port is left alone", lab.host.port("eth0")["state"] == "leased")
        said = later.hellos[0]
        lab.check("it said what it speaks", (said["version_min"], said["version_max"]) == (1, 1), said)
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
        self.door = Door(lab)
        self._run(self._serve)

    def _serve(self):
        while not self._stop.is_set():
            with contextlib.suppress(OSError), self.door.accept() as tls:
                self._talk(tls)
        self.door.close()

    def _talk(self, tls):
        said = json.loads(read_frame(tls)[1])
        self.hellos.append(said)
        if self.versions[0] > said["version_max"]:
            tls.sendall(frame(ERROR, text({"code": "version", "what": REFUSAL})))
            return
        tls.sendall(frame(WELCOME, text(welcome(quantum={"entangled": True}))))
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


def greet(lab, low, high):
    """Comes as a host that speaks low..high: the kind of the answer, and its content."""
    with dial(lab) as tls:
        tls.sendall(frame(HELLO, text(hello(versions=(low, high)))))
        kind, said = read_frame(tls)
        return kind, json.loads(said)
