"""Of two paths one is metered: commands are not mirrored on it and no acknowledgement goes over it, it beats seldom, both ends
show it; when the other one is cut, commands go over it, and it is left again."""
import time

from lablib.traffic import CommandStream

TOPOLOGY = "two"
EXCLUSIVE = True
TIMEOUT_S = 300
MEASURED_S = 10
COMMANDS = 100
# PING and PONG every 3.75 to 5 s, each about 120 bytes on the wire with their acknowledgements; DHCP and ARP beside.
METERED_BYTES_PER_S = 600
GAP_S = 0.5


def counted(lab, port):
    """Bytes in and out of a port."""
    return sum(int(lab.host.node.sysfs(f"class/net/{port}/statistics/{way}_bytes")) for way in ("rx", "tx"))


def under_commands(lab, name):
    """Bytes per second over eth1 while COMMANDS commands run."""
    before, start = counted(lab, "eth1"), time.monotonic()
    with CommandStream(lab.console, lambda n: [lab.publish(f"{name}-{n}", port=20000 + n)], interval_s=0.1, fields={"dry_run": True}) as stream:
        lab.expect(MEASURED_S * 6, "commands are answered", lambda: len(stream.replied()) >= COMMANDS)
    lab.settle(stream)
    return (counted(lab, "eth1") - before) / (time.monotonic() - start)


def run(lab):
    lab.host.settings["tunnel"]["metered"] = ["eth1"]
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    row = lab.host.path("eth1")
    lab.check("the host shows it", row.get("metered") is True and row["heartbeat_ms"] == 5 * 4 * lab.host.settings["tunnel"]["heartbeat_ms"], row)
    lab.check("uplinkctl paths shows it", ", metered" in lab.host.uplinkctl("paths")[1])
    lab.check("the Console knows it", [p["metered"] for p in lab.console.host()["paths"] if p["port"] == "eth1"] == [True])
    lab.check("and of the other one that it is not", [p["metered"] for p in lab.console.host()["paths"] if p["port"] == "eth0"] == [False])
    metered = under_commands(lab, "m")
    lab.figure("metered_port", metered, "B/s")
    lab.check(f"at most {METERED_BYTES_PER_S} B/s on it", metered <= METERED_BYTES_PER_S, metered)

    lab.step("the other path is cut, and nothing says so")
    with CommandStream(lab.console, lab.publishing(), interval_s=0.02) as stream:
        lab.expect(20, "commands flow", lambda: len(stream.replied()) > 50)
        moment = time.monotonic()
        lab.cut("a")
        lab.expect(15, "commands flow over the metered one", lambda: (
            sum(t > moment + 2 for t in stream.replied()) > 20 and lab.host.active_port() == "eth1"))
    lab.settle(stream)
    lab.check_exactly_once(stream)
    lab.figure("gap", stream.gap_s(moment) * 1000)
    lab.check("late copies keep the pause short", stream.gap_s(moment) <= lab.limit(GAP_S), stream.gap_s(moment))
    lab.heal("a")
    lab.expect(100, "it is left when the other one is steady", lambda: lab.host.active_port() == "eth0")

    lab.step("the same without the mark")
    lab.host.stop()
    lab.host.settings["tunnel"]["metered"] = []
    lab.host.start()
    lab.wait_paths()
    # Its cut is remembered: after a restart too it is chosen only when it has been steady.
    lab.expect(100, "A is active", lambda: lab.host.active_port() == "eth0")
    mirrored = under_commands(lab, "u")
    lab.figure("unmetered_port", mirrored, "B/s")
    lab.check("there commands are mirrored", mirrored > 5 * METERED_BYTES_PER_S, mirrored)
