"""What DHCP takes: medians of seven runs or more, each of which fails the bench when it is above its bound."""
import shutil
import subprocess
import time

from .bench_figures import figure, progress
from .ns import kill_by_pidfd
from .probes import carrier_to_address_s
from .scenario import Lab

RUNS_MIN = 7
AWAY_S = (4, 10, 20, 35, 60, 95, 130)       # of the servers that return: dhcpcd's own back-off has reached 64 s by the last
WITHIN_S = 30                               # a run that takes longer ends the bench; the bound is for the median
DHCPCD_BACKOFF_S = 70                       # dhcpcd's own asks again within this


def forget(lab):
    """The daemon ends, and all that it knew or made is gone."""
    lab.host.stop()
    lab.host.purge()
    shutil.rmtree(lab.host.state)


def measure_carrier(programs, runs):
    """Carrier to address on the bridge, no lease known. Reference: bare dhcpcd with the same options, exec to address."""
    lab, times, floor = Lab("direct", programs, say=lambda text: None), [], []
    try:
        lab.prepare()
        lab.pull("eth0")
        lab.console.start()
        for _ in range(max(runs, RUNS_MIN)):
            floor.append(bare_dhcpcd_ms(lab))
            lab.host.start()
            lab.expect(5, "the port stands without carrier, its client runs", lambda: lab.host.port("eth0").get(
                "state") == "no carrier" and lab.host.bridge("eth0") in lab.host.dhcp_clients())
            times.append(carrier_to_address_s(lab, "eth0") * 1000)
            forget(lab)
            lab.pull("eth0")
            progress(f"dhcp.carrier_to_address: {times[-1]:.0f} ms, bare dhcpcd {floor[-1]:.0f} ms")
        return [figure("dhcp.carrier_to_address", "ms", times, 150, "bare dhcpcd", floor, must=True)]
    finally:
        lab.down()


def measure_replug(programs, runs):
    """A replug with the server dead and the lease valid, to a usable path with the old address. No reference: dhcpcd alone gives
    its lease up after 5 s without an answer (facts/dhcpcd.md), or, told `lastlease`, never takes the address away."""
    lab, times = Lab("two", programs, say=lambda text: None), []
    try:
        lab.prepare().start(active="eth0")
        lab.wait_paths()
        address = lab.host.address("eth0")
        lab.servers["a"].stop_dhcp()
        for _ in range(max(runs, RUNS_MIN)):
            lab.pull("eth0")
            lab.expect(5, "the port is down", lambda: lab.host.path_states()["eth0"] == "down")
            start = time.monotonic()
            lab.plug("eth0")
            lab.expect(WITHIN_S, "the old address is used again", lambda: lab.host.path_states()["eth0"] in (
                "standby", "active") and lab.host.kernel_addresses("eth0") == [address])
            times.append((time.monotonic() - start) * 1000)
            progress(f"dhcp.replug_server_dead: {times[-1]:.0f} ms")
        return [figure("dhcp.replug_server_dead", "ms", times, 5000, must=True)]
    finally:
        lab.down()


def measure_return(programs, _):
    """The return of a server to a lease from it. A port for each time that a server is away, from before the daemon's start:
    AWAY_S; the other ports have their leases. Reference: dhcpcd alone on each, with the back-off of its own."""
    lab, floor = Lab("sixteen", programs, say=lambda text: None), []
    try:
        lab.prepare()
        lab.console.start()
        waiting = dict(zip(AWAY_S, lab.topology.uplinks))
        ports = [uplink.port for uplink in waiting.values()]
        for uplink in waiting.values():
            lab.servers[uplink.name].stop_dhcp()
        with Bare(lab, ports) as bare:
            floor = returns_ms(lab, waiting, lambda port: port in bare.leased(), "dhcpcd alone ")
        for uplink in waiting.values():
            lab.servers[uplink.name].stop_dhcp()
        lab.host.start()
        lab.expect(15, "the other ports have leases", lambda: sum(
            p["state"] == "leased" for p in lab.host.ctl("ports")) == len(lab.topology.ports) - len(waiting))
        times = returns_ms(lab, waiting, lab.host.kernel_addresses, "")
        return [figure("dhcp.server_returns", "ms", times, 5000, "bare dhcpcd", floor, must=True, target_worst=5000)]
    finally:
        lab.down()


def returns_ms(lab, waiting, leased, whose):
    """The servers return in turn, AWAY_S after now: each one's return to the address of its port."""
    since, times = time.monotonic(), []
    for away_s, uplink in waiting.items():
        time.sleep(max(0.0, since + away_s - time.monotonic()))
        start = time.monotonic()
        lab.servers[uplink.name].start_dhcp()
        lab.expect(DHCPCD_BACKOFF_S, f"{uplink.port} has a lease", lambda: leased(uplink.port))
        times.append((time.monotonic() - start) * 1000)
        progress(f"dhcp.server_returns: {whose}{times[-1]:.0f} ms after {away_s} s")
    return times


def measure_sixteen_leases(programs, runs):
    """Daemon start (exec), nothing known, to an address in the kernel on each of sixteen ports. Reference: dhcpcd
    alone on each of them, all started at once."""
    lab, times, floor = Lab("sixteen", programs, say=lambda text: None), [], []
    try:
        lab.prepare()
        lab.console.start()
        for _ in range(max(runs, RUNS_MIN)):
            floor.append(bare_leases_ms(lab, lab.topology.ports))
            start = time.monotonic()
            lab.host.start()
            lab.expect(WITHIN_S, "all sixteen have leases", lambda: sum(
                p["state"] == "leased" for p in lab.host.ctl("ports")) == len(lab.topology.ports))
            lab.expect(WITHIN_S, "all sixteen have addresses", lambda: all(map(lab.host.kernel_addresses, lab.topology.ports)))
            times.append((time.monotonic() - start) * 1000)
            progress(f"dhcp.sixteen_leases: {times[-1]:.0f} ms, sixteen bare dhcpcd {floor[-1]:.0f} ms")
            forget(lab)
        return [figure("dhcp.sixteen_leases", "ms", times, 5000, "sixteen bare dhcpcd", floor, must=True)]
    finally:
        lab.down()


def bare_dhcpcd_ms(lab):
    """The floor: dhcpcd alone on the adapter, from its start with carrier to its address."""
    lab.plug("eth0")
    took = bare_leases_ms(lab, ["eth0"])
    lab.pull("eth0")
    return took


def bare_leases_ms(lab, ports):
    """dhcpcd alone on each of these adapters, from their start with carrier to an address on each. Nothing of it stays."""
    with Bare(lab, ports) as bare:
        bare.wait_for(ports)
        return (time.monotonic() - bare.start) * 1000


class Bare:
    """dhcpcd alone on each of these adapters, from their start with carrier on. Nothing of it stays."""

    def __init__(self, lab, ports):
        self._lab, self._ports, self._children = lab, ports, []
        self._config = lab.host.node.dir / "bare.conf"
        self._config.write_text("nodelay\nnoarp\nnoipv4ll\nnohook resolv.conf, hostname\n")

    def __enter__(self):
        host = self._lab.host.node
        for port in self._ports:
            host.set_link(port, True)
            self._lab.expect(3, f"{port} has carrier", lambda port=port: "LOWER_UP" in host.ip("link", "show", port))
        self.start = time.monotonic()
        self._children = [host.spawn(["dhcpcd", "-B", "-4", "-f", self._config, port], log=f"bare-{port}.log")
                          for port in self._ports]
        return self

    def leased(self):
        return {link["ifname"] for link in self._lab.host.kernel("-4", "addr") if link.get("addr_info")}

    def wait_for(self, ports):
        self._lab.expect(10, "bare dhcpcd has the addresses", lambda: set(ports) <= self.leased(), interval=0.001)

    def __exit__(self, *_):
        host = self._lab.host.node
        for child in self._children:
            child.terminate()
        for child in self._children:
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:  # Its way out is no part of the figure.
                kill_by_pidfd([child.pid])
                child.wait(timeout=5)
        for port in self._ports:
            host.ip("addr", "flush", "dev", port)
        for lease in (host.dir / "var-lib/dhcpcd").glob("*.lease"):
            lease.unlink()
