"""Figures against their references, measured in the same run: gaps, start, DHCP, commands, an idle daemon."""
import json
import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

from .ns import LabError, ip_batch, kill_by_pidfd
from .probes import carrier_to_address_s, cpu_ticks, rss_kib
from .product import HOST_ID, REPOSITORY
from .scenario import Lab, NotMet
from .streams import CheckedEnd, EchoStream, Forward, Listener, echo, plain_tls_s
from .traffic import CommandStream, longest_gap

REFERENCE_PROGRAM = "bench_udp_reference"
ECHO_PORT = 9100
INTERVAL_S = 0.005
QUIET, QUIET_S = "gap.none", 0.25      # what the commands' own way costs without a fault: fsync, the host's other work
SETTLE_S = 1.0             # the stream goes on for so long after a fault has been survived


def figure(name, unit, values, target, reference=None, reference_values=None, better="less"):
    """One entry of bench.json (interfaces.md, Figures)."""
    entry = {"figure": name, "unit": unit, "value": round(statistics.median(values), 3),
             "worst": round(max(values) if better == "less" else min(values), 3), "runs": len(values)}
    if reference_values:
        value = statistics.median(reference_values)
        entry["reference"] = {"name": reference, "value": round(value, 3)}
        entry["ratio"] = round(entry["value"] / value, 3) if value else None
    if target is not None:
        entry["target"] = target
    return entry


# -- gaps ------------------------------------------------------------------------------------------------------------

class Reference:
    """The UDP echo of tests/bench/gap beside the product: same host, same cables, same moment."""

    def __init__(self, lab, mode, active, other):
        bridges = [f"{lab.host.bridge(port)}:{port}" for port in (active, other)]
        self._child = lab.host.node.spawn(
            [lab.programs / REFERENCE_PROGRAM, mode, lab.console.address, ECHO_PORT, int(INTERVAL_S * 1e6), *bridges],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, log="reference.log")

    def end(self):
        """Moments of the echoes, in seconds of the monotonic clock."""
        out, _ = self._child.communicate(b"", timeout=10)
        return [float(line) for line in out.split()]


def gap_after(times, moment):
    """Longest pause in ms that touches or follows moment, minus the normal interval."""
    before = [t for t in times if t < moment][-1:]
    return max(0.0, longest_gap(before + [t for t in times if t >= moment])[0] - INTERVAL_S) * 1000


def healed(lab, port):
    """The cut ends; the cable is plugged anew, so that the port dials at once and not when its back-off is over."""
    lab.heal(port)
    lab.pull(port)
    lab.plug(port)


FAULTS = {   # figure: (what happens to the active port, how it is undone, reference mode, target ms)
    "gap.carrier": (lambda lab, port: lab.pull(port), lambda lab, port: lab.plug(port), "switched", 30),
    "gap.cut": (lambda lab, port: lab.cut(port), healed, "twice", 400),
    "gap.cut_up": (lambda lab, port: lab.cut(port, "up"), healed, "twice", 400),
    "gap.cut_down": (lambda lab, port: lab.cut(port, "down"), healed, "twice", 400),
    "gap.router_dead": (lambda lab, port: lab.kill_gateway(port), healed, "twice", 400),
    "gap.flap": (lambda lab, port: flap(lab, port), lambda lab, port: None, "switched", 100)}
REFERENCE_NAMES = {"switched": "udp-switched-on-carrier", "twice": "udp-sent-twice"}


STREAM_FAULTS = {"stream_gap.carrier": ("gap.carrier", 60), "stream_gap.cut": ("gap.cut", 500)}   # fault, target ms


def flap(lab, port):
    """Three times 50 ms without carrier."""
    for _ in range(3):
        lab.pull(port)
        time.sleep(0.05)
        lab.plug(port)
        time.sleep(0.05)


def measure_gaps(programs, wanted, runs, entries):
    """Appends all wanted gap.* figures, measured in one lab; each run hits the port that is active then."""
    lab = Lab("two", programs, say=lambda text: None)
    try:
        lab.prepare().start()
        lab.wait_paths()
        lab.nat_interface()
        server = lab.console.node.spawn([programs / REFERENCE_PROGRAM, "serve", ECHO_PORT], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        server.stdout.readline()
        sent, quiet = 0, []
        for name in wanted:
            product, reference = [], []
            for number in range(runs):
                sent, gap, floor, before = one_gap(lab, name, sent)
                product.append(gap)
                reference.append(floor)
                quiet.append(before)
                progress(f"{name} {number + 1}/{runs}: {gap:.0f} ms, before the fault {before:.0f} ms, reference {floor:.0f} ms")
            mode, target = FAULTS[name][2:]
            entries.append(figure(name, "ms", product, target, REFERENCE_NAMES[mode], reference))
        return [figure(QUIET, "ms", quiet, None)]
    finally:
        lab.down()


def one_gap(lab, name, sent):
    """One fault under commands and reference at once: commands sent so far; the gap, the reference's, and the longest in
    the quarter second before the fault, each in ms."""
    fault, repair, mode, _ = FAULTS[name]
    active = lab.host.active_port()
    other = next(p for p in lab.topology.ports if p != active)
    reference = Reference(lab, mode, active, other)
    with CommandStream(lab.console, lambda n: [lab.publish(f"b-{sent + n}", port=20000 + (sent + n) % 12000)],
                       INTERVAL_S, fields={"dry_run": True}) as stream:
        lab.expect(30, "commands flow", lambda: len(stream.replied()) > 60)
        moment = time.monotonic()
        fault(lab, active)
        lab.expect(10, "the tunnel is on the other port",
                   lambda: lab.host.active_port() == other or name == "gap.flap")
        time.sleep(SETTLE_S)
    echoes = reference.end()
    states = set(lab.settle(stream).values())
    if states != {"done"}:
        raise NotMet(f"{name}: not every command was done: {stream.states()}")
    repair(lab, active)
    lab.expect(40, f"{active} is usable again", lambda: lab.host.path_states()[active] in ("standby", "active"))
    replied = stream.replied()
    quiet = gap_after([t for t in replied if t < moment], moment - QUIET_S)
    return sent + len(stream.records), gap_after(replied, moment), gap_after(echoes, moment), quiet


# -- streams ---------------------------------------------------------------------------------------------------------

def measure_stream_gaps(programs, wanted, runs, entries):
    """A small echo every 5 ms over one forwarded connection, the active port struck; each run checks every byte."""
    lab = Lab("two", programs, say=lambda text: None)
    try:
        lab.prepare()
        lab.host.settings["tunnel"]["streams_allow"] = ["127.0.0.1:9022"]
        lab.start()
        lab.wait_paths()
        server = lab.console.node.spawn([programs / REFERENCE_PROGRAM, "serve", ECHO_PORT], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        server.stdout.readline()
        forward = Forward(lab.console, HOST_ID, "127.0.0.1:2222", "127.0.0.1:9022")
        with Listener(lab.host.node, 9022, echo):
            for name in wanted:
                product, reference = [], []
                for number in range(runs):
                    gap, floor = one_stream_gap(lab, forward, STREAM_FAULTS[name][0])
                    product.append(gap)
                    reference.append(floor)
                    progress(f"{name} {number + 1}/{runs}: {gap:.0f} ms, reference {floor:.0f} ms")
                mode = FAULTS[STREAM_FAULTS[name][0]][2]
                entries.append(figure(name, "ms", product, STREAM_FAULTS[name][1], REFERENCE_NAMES[mode], reference))
        return []
    finally:
        lab.down()


def one_stream_gap(lab, forward, fault_name):
    """One fault under an echoing stream and the reference at once: (gap ms, reference gap ms)."""
    fault, repair, mode, _ = FAULTS[fault_name]
    active = lab.host.active_port()
    other = next(p for p in lab.topology.ports if p != active)
    reference = Reference(lab, mode, active, other)
    with EchoStream(forward.connect(), INTERVAL_S) as stream:
        lab.expect(30, "the stream echoes", lambda: len(stream.received) > 60)
        moment = time.monotonic()
        fault(lab, active)
        lab.expect(10, "the tunnel is on the other port",
                   lambda: lab.host.active_port() == other or fault_name == "gap.flap")
        time.sleep(SETTLE_S)
        if stream.error or not stream.received or time.monotonic() - max(stream.received.values()) > 0.5:
            raise NotMet(f"{fault_name}: the stream did not go on: {stream.error}")
        moments = stream.moments()
    echoes = reference.end()
    repair(lab, active)
    lab.expect(20, f"{active} is usable again", lambda: lab.host.path_states()[active] in ("standby", "active"))
    return gap_after(moments, moment), gap_after(echoes, moment)


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


# -- start and DHCP --------------------------------------------------------------------------------------------------

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


def measure_dhcp(programs, runs):
    """Carrier to address on the bridge, no lease known. Reference: bare dhcpcd with the same options, exec to address."""
    lab, times, floor = Lab("direct", programs, say=lambda text: None), [], []
    try:
        lab.prepare()
        lab.pull("eth0")
        lab.console.start()
        for _ in range(runs):
            floor.append(bare_dhcpcd_ms(lab))
            lab.host.start()
            lab.expect(5, "the port stands without carrier, its client runs", lambda: lab.host.port("eth0").get(
                "state") == "no carrier" and lab.host.bridge("eth0") in lab.host.dhcp_clients())
            times.append(carrier_to_address_s(lab, "eth0") * 1000)
            lab.host.stop()
            lab.host.purge()
            shutil.rmtree(lab.host.state)
            lab.pull("eth0")
            progress(f"dhcp.carrier_to_address: {times[-1]:.0f} ms, bare dhcpcd {floor[-1]:.0f} ms")
        return [figure("dhcp.carrier_to_address", "ms", times, 150, "bare dhcpcd", floor)]
    finally:
        lab.down()


def bare_dhcpcd_ms(lab):
    """The floor: dhcpcd alone on the adapter, from its start with carrier to its address."""
    host = lab.host.node
    lab.plug("eth0")
    host.set_link("eth0", True)
    config = host.dir / "bare.conf"
    config.write_text("nodelay\nnoarp\nnoipv4ll\nnohook resolv.conf, hostname\n")
    lab.expect(3, "eth0 has carrier", lambda: "LOWER_UP" in host.ip("link", "show", "eth0"))
    start = time.monotonic()
    child = host.spawn(["dhcpcd", "-B", "-4", "-f", config, "eth0"], log="bare.log")
    lab.expect(10, "bare dhcpcd has an address", lambda: "inet " in host.ip("-4", "addr", "show", "dev", "eth0"), interval=0.001)
    took = (time.monotonic() - start) * 1000
    child.terminate()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:  # Its way out is no part of the figure.
        kill_by_pidfd([child.pid])
        child.wait(timeout=5)
    host.ip("addr", "flush", "dev", "eth0")
    for lease in (host.dir / "var-lib/dhcpcd").glob("*.lease"):
        lease.unlink()
    lab.pull("eth0")
    return took


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
            with CommandStream(lab.console, lambda n: [lab.publish(f"b-{base + n}", port=20000 + base + n)],
                               interval_s=0.0, connections=12) as stream:
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
    """Memory and CPU of the daemon with four paths and nothing to do, over 20 s."""
    lab = Lab("four", programs, say=lambda text: None)
    try:
        lab.prepare().start()
        lab.wait_paths()
        time.sleep(3)
        pid, samples = lab.host.daemon.pid, []
        for _ in range(4):
            ticks, start = cpu_ticks([pid]), time.monotonic()
            time.sleep(5)
            samples.append((cpu_ticks([pid]) - ticks) / (time.monotonic() - start))     # 100 ticks a second: percent
        return [figure("idle.rss", "MiB", [rss_kib(pid) / 1024], 25), figure("idle.cpu", "% of a core", samples, 1.0)]
    finally:
        lab.down()


# -- VLANs, where the kernel has them --------------------------------------------------------------------------------

VM_PROGRAM = "vm_bench_vlan"


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


# -- all of it -------------------------------------------------------------------------------------------------------

def measure_failover(programs, runs):
    """The product and its rivals, fault by fault. Minutes per run."""
    from . import bench_failover
    return bench_failover.measure(programs, runs)


VLANS = ("vlan.create_1000", "vlan.create_4093", "vlan.add_one", "vlan.delete_one", "vlan.dump_1000",
         "vlan.delete_4093_others_wait", "vlan.create_100_against_bridges")
ON_DEMAND = ("failover", *VLANS)   # minutes, or another kernel: only when they are named
OTHERS = {"failover": (measure_failover, 20), "start.first_welcome": (measure_start, 10), "start.sixteen_ports": (measure_sixteen, 3), "dhcp.carrier_to_address": (measure_dhcp, 7),
          "commands.rate": (measure_commands, 3), "tunnel.goodput": (measure_goodput, 3), "idle.rss": (measure_idle, 1), "idle.cpu": (measure_idle, 1),
          **{name: (measure_vlans, 1) for name in VLANS}}


def run_programs(programs, wanted):
    """The bench programs beside the product print figures as JSON lines."""
    entries = []
    for program in sorted(programs.glob("bench_*")):
        if program.name == REFERENCE_PROGRAM:
            continue
        progress(f"running {program.name}")
        done = subprocess.run([program], capture_output=True, text=True, timeout=300)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        entries += [e for e in lines if "figure" in e and (not wanted or matches(e["figure"], wanted))]
        if done.returncode != 0:
            raise LabError(f"{program.name}: exit {done.returncode}: {done.stderr[-500:]}")
    return entries


def matches(name, wanted):
    return any(name == w or name.startswith(w + ".") for w in wanted)


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def run(programs, wanted, runs, json_file):
    """Measures the wanted figures (none named: all), prints a table, writes JSON. Exit status 1 if one failed."""
    known = list(FAULTS) + list(STREAM_FAULTS) + list(OTHERS)
    entries, failures = [], []

    def attempt(text, measure, *arguments):
        try:
            entries.extend(measure(*arguments))
        except (NotMet, LabError, OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{text}: {error}")

    chosen = [n for n in known if (matches(n, wanted) if wanted else n not in ON_DEMAND)]
    gaps = [n for n in chosen if n in FAULTS]
    stream_gaps = [n for n in chosen if n in STREAM_FAULTS]
    if (gaps or stream_gaps or "failover" in chosen) and not (programs / REFERENCE_PROGRAM).exists():
        build_reference(programs)
    if gaps:
        attempt(" ".join(gaps), measure_gaps, programs, gaps, runs, entries)
    if stream_gaps:
        attempt(" ".join(stream_gaps), measure_stream_gaps, programs, stream_gaps, runs, entries)
    for measure in dict.fromkeys(OTHERS[n][0] for n in chosen if n in OTHERS):
        most = max(OTHERS[n][1] for n in chosen if n in OTHERS and OTHERS[n][0] is measure)
        attempt(measure.__name__, measure, programs, min(runs, most))
    if not wanted or [w for w in wanted if not any(matches(n, [w]) for n in known)]:
        attempt("bench programs", run_programs, programs, wanted)
    entries = [e for e in entries if not wanted or matches(e["figure"], wanted)]
    print_table([e for e in entries if "contestant" not in e])
    target = pathlib.Path(json_file) if json_file else REPOSITORY / "build/bench.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(entries, indent=1) + "\n")
    missing = [w for w in wanted if not any(matches(e["figure"], [w]) for e in entries)]
    for failure in failures + [f"no figure {w}; there are: {' '.join(known)} and those of the bench programs"
                               for w in missing if not failures]:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures or missing else 0


def build_reference(programs):
    """Builds the reference probe into the same build folder."""
    done = subprocess.run(["cmake", "--build", programs.parent, "--target", REFERENCE_PROGRAM], capture_output=True,
                          text=True)
    if done.returncode != 0 or not (programs / REFERENCE_PROGRAM).exists():
        raise LabError(f"cannot build {REFERENCE_PROGRAM}: {(done.stdout + done.stderr)[-500:]}")


def print_table(entries):
    print(f"{'figure':<26}{'median':>10}{'worst':>10} {'unit':<12}{'runs':>5}  {'reference':<34}{'ratio':>7}{'target':>9}")
    for e in entries:
        reference = e.get("reference")
        words = f"{reference['name']} {reference['value']:g}" if reference else ""
        ratio = f"{e['ratio']:g}" if e.get("ratio") is not None else ""
        print(f"{e['figure']:<26}{e['value']:>10g}{e['worst']:>10g} {e['unit']:<12}{e['runs']:>5}  {words:<34}{ratio:>7}"
              f"{e.get('target', ''):>9}")
