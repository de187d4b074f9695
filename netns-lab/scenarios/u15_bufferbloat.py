"""U15. A guest's upload saturates A, whose router queues three seconds of it: nothing is declared dead, commands are answered."""
import socket
import time

from lablib.traffic import CommandStream, Worker

TOPOLOGY = "two"
EXCLUSIVE = True
RATE_BITS, QUEUE_MS, UPLOAD_S = 2_000_000, 3000, 15


class Flood(Worker):
    """Datagrams as an upload by TCP sends them: twice the rate of the uplink until the queue is full, then just above it. (At
    twice the rate for good half of all packets is lost: that is another fault, in which TCP itself falls silent for 6 s.)"""

    def __init__(self, node, address):
        super().__init__()
        self._socket = node.socket(kind=socket.SOCK_DGRAM)
        self._address = address
        self._run(self._work)

    def _work(self):
        due = time.monotonic()
        full = due + QUEUE_MS / 1000
        while not self._stop.is_set():
            self._socket.sendto(bytes(1200), (self._address, 9))
            due += 1200 * 8 / ((2 if due < full else 1.05) * RATE_BITS)
            self._stop.wait(max(0.0, due - time.monotonic()))
        self._socket.close()


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    vm = lab.nat_network()
    router = lab.router("a")
    router.run(["tc", "qdisc", "replace", "dev", "wan", "root", "tbf", "rate", f"{RATE_BITS}bit", "burst", "3000",
                "latency", f"{QUEUE_MS}ms"])
    after, worst = lab.events_arrived(), 0.0
    with CommandStream(lab.console, lab.publishing(), interval_s=0.1) as stream, Flood(vm.node, lab.console.address):
        end = time.monotonic() + UPLOAD_S
        while time.monotonic() < end:
            worst = max([worst] + [p.get("rtt_ms", 0.0) for p in lab.host.paths() if p["port"] == "eth0"])
            lab.lasts(0.2)
        lab.figure("gap", stream.gap_s() * 1000)
    lab.figure("rtt_seen", worst)
    lab.check("the queue was felt", worst > 500, worst)
    lab.check_exactly_once(stream)
    down = [e for e in lab.host.events() if e["n"] > after and e["kind"] == "path.down"]
    lab.check("nothing was declared dead", not down, down)
    lab.check("one switch at most", len(lab.switches(after)) <= 1, lab.switches(after))
