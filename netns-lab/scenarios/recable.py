"""Recabling, guided: two cables exchanged are named "swapped" and are not wrong; a cable that is left out is, with advice;
one network behind two ports is. The snapshot survives a restart of the daemon."""
import json

TOPOLOGY = "two"


def recable(lab, action):
    status, out, err = lab.host.uplinkctl("--json", "recable", action, check=False)
    data = json.loads(out) if out.strip() else {"error": err}
    return status, data, {row["port"]: row for row in data.get("ports", [])}


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    status, data, _ = recable(lab, "status")
    lab.check("nothing has begun yet", status == 1 and "begin" in data["error"], data)
    lab.check("begin", recable(lab, "begin")[0] == 0)
    lab.step("the cables are exchanged, and the daemon is restarted meanwhile")
    lab.pull("eth0")
    lab.pull("eth1")
    lab.expect(3, "both are unplugged", lambda: [row["change"] for row in recable(lab, "status")[2].values()]
               == ["unplugged"] * 2)
    status, data, _ = recable(lab, "status")
    lab.check("and that is wrong, with advice for each", status == 3 and len(data["advice"]) == 2, data)
    lab.host.stop()
    lab.host.start()
    lab.plug("eth0", into="b")
    lab.plug("eth1", into="a")
    lab.wait_paths()
    status, data, rows = recable(lab, "status")
    lab.check("swapped, and nothing is wrong", status == 0 and not data["degraded"]
              and [rows[p]["change"] for p in ("eth0", "eth1")] == ["swapped", "swapped"]
              and rows["eth0"]["with"] == "eth1", data)
    lab.step("both ports in one network")
    lab.plug("eth1", into="b")
    lab.expect(20, "one network behind two ports is named on both",
               lambda: all("same network" in row.get("wrong", "") for row in recable(lab, "status")[2].values()))
    lab.step("one cable is left out")
    lab.pull("eth1")
    lab.expect(5, "it has no carrier", lambda: recable(lab, "status")[2]["eth1"]["change"] == "unplugged")
    status, data, rows = recable(lab, "finish")
    lab.check("finished as degraded: exit 3, with advice for eth1", status == 3 and data["state"] == "finished"
              and any(line.startswith("eth1: no carrier") for line in data["advice"]), data)
    lab.check("it is over", recable(lab, "status")[0] == 1)
