"""U54. "Is it safe to unplug A?" is answered truly, with the consequences and the paths that remain; pulling confirms it.
So is "what if A were switched off?", a command that is only planned; applying it confirms it."""
import json

from lablib.reach import reach
from lablib.traffic import TcpEcho

TOPOLOGY = "two"


def switched(on):
    return [{"op": "adapter.set", "adapter": "eth0", "enabled": on}]


def active_path(lab):
    return lab.host.ctl("status")["console"]["active_path"]


def guests(lab):
    """One guest in A's LAN, one behind the NAT; what it offers is published on both ports and on A alone."""
    vm = lab.nat_network()
    lab.console.must([
        {"op": "network.create", "network": "lan-a", "kind": "untagged", "adapter": "eth0"},
        {"op": "interface.attach", "interface": "in-lan", "vm": "vm-lan", "network": "lan-a"},
        lab.publish("r-both"), lab.publish("r-a", port=8081, adapters=["eth0"])])
    return vm


def loses_guests(lab, lines, port, nowhere=("r-a",)):
    """Who loses what when that port goes is said, and of nobody else."""
    said = "\n".join(lines)
    lab.check("the guest in its LAN is cut off", f'VM "vm-lan": interface "in-lan" is cut off network "lan-a"' in said, said)
    lab.check("the guest behind the NAT is not", 'interface "web"' not in said, said)
    for rule in ("r-both", "r-a"):
        line = next((line for line in lines if f'rule "{rule}"' in line), "")
        lab.check(f"{rule} ends there{', and everywhere' if rule in nowhere else ''}",
                  f'of port "{port}"' in line and ("reachable nowhere" in line) == (rule in nowhere), said)


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    with TcpEcho(guests(lab).node, 80, "web"):
        asked(lab)


def asked(lab):
    active = active_path(lab)
    endpoint = active.partition("/")[2]
    address = {"a": lab.host.kernel_addresses("eth0")[0], "b": lab.host.kernel_addresses("eth1")[0]}

    def reachable(port, side):
        return reach(lab.client(side), address[side], port, timeout_s=1.0).startswith("web ")

    lab.step("planned: A is switched off")
    planned = lab.console.command(switched(False), dry_run=True)
    foretold = planned["console"]
    lab.check("the path over B is left and becomes active", foretold["reachable"] and foretold["was_active"] == active
              and foretold["active"] == f"eth1/{endpoint}" and [p["port"] for p in foretold["paths"]] == ["eth1"]
              and [p["path"] for p in foretold["ended"]] == [active], foretold)
    lab.check("in words as well", any(f"over eth1/{endpoint} (becomes active" in line for line in planned["consequences"]),
              planned["consequences"])
    loses_guests(lab, planned["consequences"], "eth0")
    lab.check("its publications were reachable", reachable(8080, "a") and reachable(8080, "b") and reachable(8081, "a"))
    lab.console.must(switched(False))
    lab.check("so it was", active_path(lab) == foretold["active"], active_path(lab))
    lab.check("and so were the publications", reachable(8080, "b") and not reachable(8081, "a"))
    lab.console.must(switched(True))
    lab.wait_paths()
    lab.check("B is active still: A has to be steady for longer first", lab.host.active_port() == "eth1")

    lab.step("asked: may B be unplugged, the active one now?")
    status, out, _ = lab.host.uplinkctl("--json", "unplug", "eth1")
    answer = json.loads(out)
    lab.check("yes, and the Console stays reachable over A", status == 0 and answer["safe"]
              and answer["console"]["active"] == active and answer["other_paths"] == ["eth0"], out)
    _, words, _ = lab.host.uplinkctl("unplug", "eth1")
    lab.check("in words as well", f"over {active} (becomes active)" in words, words)
    loses = "\n".join(answer["consequences"])
    lab.check("the publication on both ends at eth1 alone, those of eth0 are not named", 'rule "r-both" (tcp 8080) ends at' in loses
              and "nowhere" not in loses and "r-a" not in loses and "in-lan" not in loses, loses)
    lab.pull("eth1")
    lab.expect(1.5, "so it was", lambda: active_path(lab) == active and lab.console.online())
    status, out, _ = lab.host.uplinkctl("--json", "unplug", "eth0", check=False)
    answer = json.loads(out)
    loses_guests(lab, answer["consequences"], "eth0", nowhere=("r-both", "r-a"))
    lab.check("A now is the only way: exit 3", status == 3 and not answer["safe"] and answer["console"]["active"] is None
              and not answer["console"]["reachable"], [status, out])
    lab.step("and while the Console is away: it would come back to nobody")
    lab.console.kill()
    lab.expect(15, "no path is up", lambda: not lab.host.active_port())
    status, out, _ = lab.host.uplinkctl("--json", "unplug", "eth0", check=False)
    lab.check("still the only way", status == 3 and not json.loads(out)["safe"], [status, out])
    status, out, _ = lab.host.uplinkctl("--json", "unplug", "eth1", check=False)
    lab.check("that without a cable costs nothing", status == 0 and json.loads(out)["safe"], [status, out])
    lab.console.start()
    lab.expect(30, "the Console has the host again", lab.console.online)
    lab.pull("eth0")
    lab.expect(10, "so it was: the host is offline", lambda: not lab.console.online())
    status, out, _ = lab.host.uplinkctl("--json", "doctor", check=False)
    rows = json.loads(out)
    lab.check("doctor names the carrier of both", status == 3 and [r["broken_step"] for r in rows] == ["carrier"] * 2, out)
