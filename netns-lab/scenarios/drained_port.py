"""A drained port is the last resort, not away: the tunnel leaves it, comes back when nothing else is there, and leaves it again
when another path is up. A drain without another path needs force, and changes nothing until there is one."""
import json

from lablib.product import USABLE

TOPOLOGY = "two"


def usable(lab):
    return sorted(port for port, state in lab.host.path_states().items() if state in USABLE)


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()

    lab.step("A is drained for a day: the tunnel leaves it")
    lab.host.uplinkctl("drain", "eth0", "1d")
    lab.expect(3, "the tunnel is on B alone", lambda: lab.host.active_port() == "eth1" and usable(lab) == ["eth1"])
    lab.never(1, "A is dialled", lambda: lab.host.path_states()["eth0"] != "down")
    lab.check("it says why", "is drained: used only when" in lab.host.path("eth0")["cause"], lab.host.path("eth0"))

    lab.step("B is lost: the host is online over A, whatever the drain says")
    lab.pull("eth1")
    took = lab.expect(5, "the tunnel is on A", lambda: lab.host.active_port() == "eth0" and lab.console.online())
    lab.figure("drained_takes_over", took * 1000)

    lab.step("B is back: the tunnel leaves A again")
    lab.plug("eth1")
    lab.expect(20, "the tunnel is on B alone", lambda: lab.host.active_port() == "eth1" and usable(lab) == ["eth1"])

    lab.step("the drain is ended")
    lab.host.uplinkctl("drain", "eth0", "0s")
    lab.wait_paths()

    lab.step("A is the only way: it is not drained unless somebody insists")
    lab.pull("eth1")
    lab.expect(5, "A is the only way", lambda: usable(lab) == ["eth0"] and lab.host.active_port() == "eth0")
    code, out, _ = lab.host.uplinkctl("--json", "drain", "eth0", "1h", check=False)
    said = json.loads(out)
    lab.check("refused, with what to do", code == 1 and said["state"] == "refused"
              and "uplinkctl drain --force" in said["problems"][0]["what"], out)
    lab.host.uplinkctl("drain", "eth0", "1h", "--force")
    lab.never(1, "the host is cut off", lambda: lab.host.active_port() != "eth0")
    lab.plug("eth1")
    lab.expect(20, "the tunnel leaves it for B", lambda: lab.host.active_port() == "eth1" and usable(lab) == ["eth1"])

    lab.step("what the command line says of durations is what the host takes")
    code, _, err = lab.host.uplinkctl("drain", "eth0", "25h", check=False)
    lab.check("more than a day", code == 2 and "expected 0s..1d" in err, err)
