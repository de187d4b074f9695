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
    """A replug with the server dead and the lease valid, to a usable path with the old address."""
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
    AWAY_S; the other ports have their leases."""
    lab, times = Lab("sixteen", programs, say=lambda text: None), []
    try:
        lab.prepare()
        lab.console.start()
        waiting = list(zip(AWAY_S, lab.topology.uplinks))
        for _, uplink in waiting:
            lab.servers[uplink.name].stop_dhcp()
        lab.host.start()
        lab.expect(15, "the other ports have leases", lambda: sum(
            p["state"] == "leased" for p in lab.host.ctl("ports")) == len(lab.topology.ports) - len(waiting))
        since = time.monotonic()
        for away_s, uplink in waiting:
            time.sleep(max(0.0, since + away_s - time.monotonic()))
            start = time.monotonic()
            lab.servers[uplink.name].start_dhcp()
            lab.expect(WITHIN_S, f"{uplink.port} has a lease", lambda: lab.host.kernel_addresses(uplink.port))
            times.append((time.monotonic() - start) * 1000)
            progress(f"dhcp.server_returns: {times[-1]:.0f} ms after {away_s} s")
        return [figure("dhcp.server_returns", "ms", times, 5000, must=True, target_worst=5000)]
    finally:
        lab.down()


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
    host = lab.host.node
    config = host.dir / "bare.conf"
    config.write_text("nodelay\nnoarp\nnoipv4ll\nnohook resolv.conf, hostname\n")
    for port in ports:
        host.set_link(port, True)
        lab.expect(3, f"{port} has carrier", lambda port=port: "LOWER_UP" in host.ip("link", "show", port))
    start = time.monotonic()
    children = [host.spawn(["dhcpcd", "-B", "-4", "-f", config, port], log=f"bare-{port}.log") for port in ports]
    lab.expect(10, "bare dhcpcd has the addresses", lambda: set(ports) <= {
        link["ifname"] for link in lab.host.kernel("-4", "addr") if link.get("addr_info")}, interval=0.001)
    took = (time.monotonic() - start) * 1000
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:  # Its way out is no part of the figure.
            kill_by_pidfd([child.pid])
            child.wait(timeout=5)
    for port in ports:
        host.ip("addr", "flush", "dev", port)
    for lease in (host.dir / "var-lib/dhcpcd").glob("*.lease"):
        lease.unlink()
    return took
