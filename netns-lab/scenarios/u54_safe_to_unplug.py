"""U54. "Is it safe to unplug A?" is answered truly, with the consequences; pulling confirms it."""
import json

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    status, out, _ = lab.host.uplinkctl("--json", "unplug", "eth0")
    answer = json.loads(out)
    lab.check("yes, and the Console stays reachable over B", status == 0 and answer["safe"] and "eth1" in out, out)
    lab.pull("eth0")
    lab.expect(1.5, "so it was", lambda: lab.host.active_port() == "eth1" and lab.console.online())
    status, out, _ = lab.host.uplinkctl("--json", "unplug", "eth1", check=False)
    lab.check("B now is the only way: exit 3", status == 3 and not json.loads(out)["safe"], [status, out])
    lab.pull("eth1")
    lab.expect(10, "so it was: the host is offline", lambda: not lab.console.online())
    status, out, _ = lab.host.uplinkctl("--json", "doctor", check=False)
    rows = json.loads(out)
    lab.check("doctor names the carrier of both", status == 3 and [r["broken_step"] for r in rows] == ["carrier"] * 2, out)
