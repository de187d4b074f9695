"""Taking over (N69): the daemon starts on a machine whose ports are in use. A TCP connection over a port that becomes ours lives on,
because the address moves to the bridge in one step: of 50 pings per second to it none is lost, on the way in and, at the purge,
on the way back. One over another port, managed or not, never notices: nothing of it is sent again, no echo is late."""
import re
import signal

from lablib.streams import EchoStream
from lablib.traffic import TcpEcho, UdpEcho, UdpFlow, longest_gap, retransmitted

TOPOLOGY = "three"
EXCLUSIVE = True
NOTICED_S = 0.2              # Linux's shortest retransmission time-out: a lost segment, either way, costs as much
LIVES_S = 1.0                # over the port that is taken


class Watched:
    """A TCP connection from a client to an address of the host, a small echo every 10 ms."""

    def __init__(self, lab, client, address):
        self.lab, self.connection = lab, lab.client(client).socket()
        self.connection.settimeout(5)
        self.connection.connect((address, 7000))
        self.connection.makefile("rb", buffering=0).readline()                     # the greeting
        self.stream = EchoStream(self.connection, 0.01)

    def begin(self):
        self.lab.expect(3, "it echoes", lambda: len(self.stream.received) > 20)
        self.first, self.retransmitted = len(self.stream.moments()) - 1, retransmitted(self.connection)

    def gap_s(self):
        """The longest pause between two echoes since begin(), minus the interval."""
        return max(0.0, longest_gap(self.stream.moments()[self.first:])[0] - self.stream.interval_s)

    def sent_again(self):
        return retransmitted(self.connection) - self.retransmitted

    def lives(self):
        """It carries something now, and every echo so far was right."""
        count = len(self.stream.received)
        self.lab.expect(3, "it echoes still", lambda: len(self.stream.received) > count + 20)
        self.lab.check("no byte was wrong or lost", not self.stream.error, self.stream.error)


def restart(lab, ignore, *ours):
    """The daemon anew, with these ports left alone; until those of ours are usable."""
    if lab.host.running():
        lab.host.stop()
    lab.host.settings["adapters"]["ignore"] = ignore
    lab.host.start()
    lab.expect(15, f"{' and '.join(ours)} usable", lambda: all(
        lab.host.path_states().get(port) in ("active", "standby") for port in ours))


def run(lab):
    host, uplink = lab.host.node, {u.port: u for u in lab.topology.uplinks}
    addresses = {}
    for port in ("eth0", "eth1", "eth2"):
        network = uplink[port].network()
        addresses[port] = str(network[50])
        host.ip("link", "set", port, "up")
        host.ip("addr", "add", f"{network[50]}/{network.prefixlen}", "dev", port)
        lab.expect(3, "the address answers", lambda: "1 received" in lab.client(uplink[port].name).run(
            ["ping", "-c1", "-W1", addresses[port]], check=False))
    lab.console.start()
    with TcpEcho(host, 7000, "host"), UdpEcho(host, 7001), \
            UdpFlow(lab.client("c"), (addresses["eth2"], 7001), interval_s=0.01) as foreign_udp:
        own = {port: Watched(lab, uplink[port].name, addresses[port]) for port in addresses}
        lab.expect(3, "the flow over the foreign port runs", foreign_udp.flowing)
        taken = []
        for port in ("eth1", "eth0"):
            lab.step(f"{port} is taken over" + (f"; {taken[0]} is ours already" if taken else ""))
            for one in own.values():
                one.begin()
            taken.append(port)
            with Pings(lab, uplink[port].name, addresses[port]):
                restart(lab, [p for p in addresses if p not in taken], *taken)
                lab.lasts(0.5)
            for one in own.values():
                one.lives()
            lab.check("the address is on the bridge", addresses[port] in lab.host.kernel_addresses(port),
                      lab.host.kernel_addresses(port))
            for name, one in own.items():
                what = "taken" if name == port else "managed" if name in taken else "ignored"
                lab.figure(f"{port}_{what}_{name}_gap", one.gap_s() * 1000)
                lab.figure(f"{port}_{what}_{name}_sent_again", one.sent_again(), "")
                lab.check(f"{name}, {what}, while {port} is taken: the pause", one.gap_s() < lab.limit(
                    LIVES_S if what == "taken" else NOTICED_S), one.gap_s())
                lab.check(f"{name}, {what}: nothing is sent again", what == "taken" or one.sent_again() == 0,
                          one.sent_again())
        lab.figure("foreign_udp_gap", foreign_udp.gap_s() * 1000)
        for one in own.values():
            one.stream.stop()
    lab.check("the ignored port is in no bridge", "master" not in lab.host.kernel("link", "show", "dev", "eth2")[0])
    lab.check("and is not shown as a port", "eth2" not in [p["port"] for p in lab.host.ctl("ports")])
    lab.step("the purge gives the port back under the same pings")
    lab.host.stop()
    with Pings(lab, uplink["eth0"].name, addresses["eth0"]):
        lab.host.purge()
        lab.lasts(0.5)
    lab.check("the address is on the adapter", addresses["eth0"] in str(lab.host.kernel("-4", "addr", "show", "dev", "eth0")))
    lab.host.start()


class Pings:
    """While the block runs, 50 pings per second from a client; after it, none may be lost."""

    def __init__(self, lab, client, address):
        self.lab, self.client, self.address = lab, lab.client(client), address

    def __enter__(self):
        name = f"pings-{len(self.lab.figures)}.log"
        self.log = self.client.dir / name
        self.program = self.client.spawn(["ping", "-n", "-i", "0.02", self.address], log=name)
        self.lab.expect(5, "they are answered", lambda: "bytes from" in self.log.read_text())

    def __exit__(self, kind, *error):
        self.program.send_signal(signal.SIGINT)
        self.program.wait(timeout=10)
        if kind:
            return
        # Up to the last one that was heard: ping may be ended between a question and its answer.
        heard = {int(number) for number in re.findall(r"icmp_seq=(\d+)", self.log.read_text())}
        self.lab.figure(f"pings_lost_of_{max(heard)}", max(heard) - len(heard), "packets")
        self.lab.check("none is lost", max(heard) == len(heard) and len(heard) >= 25, sorted(set(range(1, max(heard))) - heard))
