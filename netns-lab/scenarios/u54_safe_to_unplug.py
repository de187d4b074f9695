"""U54. "Is it safe to unplug A?" is answered truly, with the consequences and the paths that remain; pulling confirms it.
So is "what if A were switched off?", a command that is only planned; applying it confirms it."""
import json

TOPOLOGY = "two"


def switched(on):
    return [{"op": "adapter.set", "adapter": "eth0", "enabled": on}]


def active_path(lab):
    return lab.host.ctl("status")["console"]["active_path"]


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    active = active_path(lab)
    endpoint = active.partition("/")[2]
    lab.step("planned: A is switched off")
    planned = lab.console.command(switched(False), dry_run=True)
    foretold = planned["console"]
    lab.check("the path over B is left and becomes active", foretold["reachable"] and foretold["was_active"] == active
              and foretold["active"] == f"eth1/{endpoint}" and [p["port"] for p in foretold["paths"]] == ["eth1"]
              and [p["path"] for p in foretold["ended"]] == [active], foretold)
    lab.check("in words as well", any(f"over eth1/{endpoint} (becomes active" in line for line in planned["consequences"]),
              planned["consequences"])
    lab.console.must(switched(False))
    lab.check("so it was", active_path(lab) == foretold["active"], active_path(lab))
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
    lab.pull("eth1")
    lab.expect(1.5, "so it was", lambda: active_path(lab) == active and lab.console.online())
    status, out, _ = lab.host.uplinkctl("--json", "unplug", "eth0", check=False)
    answer = json.loads(out)
    lab.check("A now is the only way: exit 3", status == 3 and not answer["safe"] and answer["console"]["active"] is None
              and not answer["console"]["reachable"], [status, out])
    lab.pull("eth0")
    lab.expect(10, "so it was: the host is offline", lambda: not lab.console.online())
    status, out, _ = lab.host.uplinkctl("--json", "doctor", check=False)
    rows = json.loads(out)
    lab.check("doctor names the carrier of both", status == 3 and [r["broken_step"] for r in rows] == ["carrier"] * 2, out)
