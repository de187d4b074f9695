"""Everything that is measured beside the gaps and DHCP: start, commands, goodput, an idle daemon, VLANs."""
import json
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time

from .bench_figures import figure, progress
from .bench_gaps import SteadyCommands
from .ns import LabError, ip_batch
from .probes import cpu_ticks, rss_kib
from .product import HOST_ID, REPOSITORY
from .scenario import Lab, NotMet
from .streams import CheckedEnd, Forward, Listener, plain_tls_s

GOODPUT_BYTES = 200_000_000
GOODPUT_RATE = "1gbit"


def measure_goodput(programs, runs):
    """200 MB from the Console to the host through a forward, over a path of 1 Gbit/s. Reference: the same bytes over one
    plain TLS 1.3 connection that the host opens over the same path (Python's ssl over the same OpenSSL)."""
    lab, rates, floor = Lab("one", programs, say=lambda text: None), [], []
    try:
        lab.prepare()
        lab.host.settings["tunnel"]["streams_allow"] = ["127.0.0.1:9022"]
        lab.start()
        lab.wait_paths()
        router = lab.router(lab.topology.uplinks[0].name)
        for link in ("lan", "wan"):
            router.run(["tc", "qdisc", "replace", "dev", link, "root", "tbf", "rate", GOODPUT_RATE, "burst", "256kb",
                        "latency", "20ms"])
        forward = Forward(lab.console, HOST_ID, "127.0.0.1:2222", "127.0.0.1:9022")
        for number in range(runs):
            floor.append(GOODPUT_BYTES / 1e6 / plain_tls_s(lab, GOODPUT_BYTES))
            rates.append(GOODPUT_BYTES / 1e6 / stream_s(lab, forward))
            progress(f"tunnel.goodput {number + 1}/{runs}: {rates[-1]:.0f} MB/s, plain TLS {floor[-1]:.0f} MB/s")
        target = round(0.9 * statistics.median(floor), 1)
        return [figure("tunnel.goodput", "MB/s", rates, target, "plain TLS", floor, better="more")]
    finally:
        lab.down()


def stream_s(lab, forward):
    """Seconds from the first byte to the last at the host, each byte checked."""
    ends = []
    with Listener(lab.host.node, 9022, lambda connection: ends.append(CheckedEnd(connection, send_bytes=0))):
        with CheckedEnd(forward.connect(), send_bytes=GOODPUT_BYTES):
            start = time.monotonic()
            lab.expect(120, "all bytes are there", lambda: ends and ends[0].ended.is_set(), interval=0.05)
            end = ends[0]
            if end.wrong_at is not None or end.received != GOODPUT_BYTES:
                raise NotMet(f"goodput: {end.received} bytes, wrong at {end.wrong_at}: {end.error}")
            took = end.moments[-1][0] - start
            end.stop()
    return took


# -- start --------------------------------------------------------------------------------------------------

def measure_start(programs, runs):
    """Daemon start (exec) to the first WELCOME, with a stored lease. Reference: exec to exit of uplinkd --check."""
    lab, times, floor = Lab("two", programs, say=lambda text: None), [], []
    try:
        lab.prepare().start()
        lab.wait_paths()
        for _ in range(runs):
            lab.host.stop()
            start = time.monotonic()
            lab.host.node.run([programs / "uplinkd", "--config", lab.host.config_file, "--check"])
            floor.append((time.monotonic() - start) * 1000)
            start = time.monotonic()
            lab.host.start()
            lab.expect(15, "a path is active", lambda: lab.host.active_port(), interval=0.001)
            times.append((time.monotonic() - start) * 1000)
            lab.wait_paths()
            progress(f"start.first_welcome: {times[-1]:.0f} ms")
        return [figure("start.first_welcome", "ms", times, 1000, "uplinkd --check", floor)]
    finally:
        lab.down()


def measure_sixteen(programs, runs):
    """Daemon start (exec), nothing known, to the complete default state of a machine of 16 ports: a bridge, a lease's
    address and a usable path each, and the network `default`. Reference: the same bridges and addresses by `ip -batch`."""
    times, floor = [], []
    for _ in range(runs):
        lab = Lab("sixteen", programs, say=lambda text: None)
        try:
            lab.prepare()
            lab.console.start()
            floor.append(sixteen_bridges_ms(lab))
            start = time.monotonic()
            lab.host.start()
            lab.expect(30, "every port has a usable path", lambda: [
                state in ("standby", "active") for state in lab.host.path_states().values()].count(True) == len(lab.topology.ports))
            lab.expect(5, "the network default serves", lambda: lab.host.children("dnsmasq") and any(
                link.get("ifname") == "n-default" for link in lab.host.kernel("addr", "show", "dev", "n-default")))
            times.append((time.monotonic() - start) * 1000)
            for port in lab.topology.ports:
                if lab.host.kernel_addresses(port) != [lab.host.address(port)]:
                    raise NotMet(f"{port}: the kernel has {lab.host.kernel_addresses(port)}, the lease {lab.host.address(port)}")
            progress(f"start.sixteen_ports: {times[-1]:.0f} ms, ip -batch {floor[-1]:.0f} ms")
        finally:
            lab.down()
    return [figure("start.sixteen_ports", "ms", times, None, "bridges and addresses by ip -batch", floor)]


def sixteen_bridges_ms(lab):
    """What the kernel alone takes, on adapters of its own."""
    node, count = lab.add_node("bare"), len(lab.topology.ports)
    for number in range(count):
        node.ip("link", "add", f"p{number}", "type", "veth", "peer", "name", f"q{number}")
    lines = []
    for number in range(count):
        lines += [f"link add b{number} type bridge forward_delay 0", f"link set p{number} master b{number} up", f"link set b{number} up",
                  f"addr add 10.9.{number}.2/24 dev b{number}", f"route add default via 10.9.{number}.1 table {100 + number}",
                  f"rule add from 10.9.{number}.2 table {100 + number}"]
    start = time.monotonic()
    ip_batch(lines, node.netns)
    return (time.monotonic() - start) * 1000


# -- commands and idling -------------------------------------------------------------------------------------------

def measure_commands(programs, runs):
    """Commands per second, stored, executed and answered, 12 in flight. Reference: bare SQLite WAL FULL commits."""
    rates, floor = [], []
    lab = Lab("one", programs, say=lambda text: None)
    try:
        lab.prepare().start()
        lab.nat_interface()
        for number in range(runs):
            floor.append(bare_commits_per_s())
            base = number * 3000
            with SteadyCommands(lab, first=base, interval_s=0.0) as stream:
                lab.expect(20, "300 commands are answered", lambda: len(stream.replied()) >= 300)
            replied = stream.replied()
            rates.append((len(replied) - 1) / (replied[-1] - replied[0]))
            lab.console.must([{"op": "gateway.withdraw", "rule": rule} for rule in sorted(lab.rules("b-"))])
            progress(f"commands.rate: {rates[-1]:.0f}/s, bare commits {floor[-1]:.0f}/s")
        return [figure("commands.rate", "commands/s", rates, 200, "sqlite WAL FULL commits", floor, better="more")]
    finally:
        lab.down()


def bare_commits_per_s(count=500):
    with tempfile.TemporaryDirectory(prefix="ul-bench-") as folder:
        database = sqlite3.connect(os.path.join(folder, "bare.db"), isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE command(id INTEGER PRIMARY KEY, payload TEXT)")
        start = time.monotonic()
        for _ in range(count):
            database.execute("INSERT INTO command(payload) VALUES (?)", ("x" * 200,))
        took = time.monotonic() - start
        database.close()
        return count / took


def measure_idle(programs, _):
    """Memory and CPU of the daemon with four paths and nothing to do, over 20 s. Reference of the CPU: one `ping` per path at
    the heartbeat's pace, in the same 20 s."""
    lab = Lab("four", programs, say=lambda text: None)
    try:
        lab.prepare().start()
        lab.wait_paths()
        time.sleep(3)
        pid, samples, floor = lab.host.daemon.pid, [], []
        interval = str(lab.host.settings["tunnel"]["heartbeat_ms"] / 1000)
        pings = [lab.host.node.spawn(["ping", "-q", "-i", interval, "-I", lab.host.bridge(uplink.port), str(uplink.network()[1])],
                                     log=f"ping-{uplink.port}.log").pid for uplink in lab.topology.uplinks]
        for _ in range(4):
            before, start = [cpu_ticks(pids) for pids in ([pid], pings)], time.monotonic()
            time.sleep(5)
            spent = [cpu_ticks(pids) - ticks for pids, ticks in zip(([pid], pings), before)]
            took = time.monotonic() - start
            samples.append(spent[0] / took)     # 100 ticks a second: percent
            floor.append(spent[1] / took)
        return [figure("idle.rss", "MB", [rss_kib(pid) * 1024 / 1e6], 25, must=True),
                figure("idle.cpu", "% of a core", samples, 1.0, f"{len(pings)} pings", floor, must=True)]
    finally:
        lab.down()


# -- VLANs, where the kernel has them --------------------------------------------------------------------------------

VM_PROGRAM = "vm_bench_vlan"


def measure_thousand(programs, _):
    """A thousand VLAN networks end to end, by the scenario that makes them under Debian's kernel. Errors: LabError."""
    from . import kernels
    [result] = kernels.run_emulated(["vlan_thousand"], programs, 1, False)
    if result["result"] != "passed":
        raise LabError(f"vlan_thousand: {result['reason']}")
    return [{**figure(name, made["unit"], [made["value"]], made.get("target"),
                      better="more" if name == "thousand.create_bridges_ratio" else "less"), "kernel": result["kernel"]}
            for name, made in result["figures"].items()]


def measure_vlans(programs, _):
    """VLANs of a bridge's port, read, written and deleted, under Debian's kernel. Emulated: only the ratios mean something."""
    from . import machine
    out, err = bytearray(), bytearray()
    with machine.Machine(REPOSITORY / "build/log/vm-bench", say=progress) as guest:
        status = guest.run([programs / VM_PROGRAM], out.extend, err.extend, timeout_s=600)
        kernel = guest.kernel.version
    if status != 0:
        raise LabError(f"{VM_PROGRAM}: exit {status}: {err[-500:].decode(errors='replace')}")
    return [{**json.loads(line), "kernel": kernel} for line in out.decode().splitlines() if line.startswith("{")]
