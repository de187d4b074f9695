"""U9. A NIC disappears and returns with a new ifindex: rules and tables are rebuilt, none is left of the old one. A veth has no
permanent address: under another MAC it is still the port that it was. A revision that names it can be gone back to meanwhile."""
import json

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    bridge = lab.host.bridge("eth0")

    def ours():
        """Rules and routes marked ours, without what tells nothing."""
        rules = sorted(str(sorted(r.items())) for r in lab.host.kernel("rule") if r.get("protocol") == "117")
        routes = sorted(str((r.get("table", "main"), r["dst"], r.get("gateway"), r["dev"]))
                        for r in lab.host.kernel("route", "show", "table", "all") if r.get("protocol") == "117")
        return rules, routes

    before = ours()
    lab.check("there are rules and routes of ours", before[0] and before[1], before)
    plain = lab.host.ctl("export")
    named = lab.console.must([{"op": "adapter.set", "adapter": "eth0", "mtu": 1600}])["revision"]
    back = lab.console.must([{"op": "model.replace", "model": plain}])["revision"]
    lab.wait_paths()
    lab.step("the NIC of A vanishes")
    lab.remove_port("eth0")
    lab.expect(1.5, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.expect(3, "the port is absent", lambda: lab.host.port("eth0").get("state", "absent") == "absent")
    lab.expect(3, "no route uses the old port", lambda: not any(bridge in route for route in ours()[1]))
    lab.step("a revision that names it can be shown and gone back to while it is away, and left again")
    _, model, _ = lab.host.uplinkctl("export", "--revision", named)
    lab.check("its model", json.loads(model)["adapters"][0]["mtu"] == 1600, model)
    for revision, adapters in ((named, 1), (back, 0)):
        lab.host.uplinkctl("rollback", revision)
        lab.check("it is in force", len(lab.host.ctl("export").get("adapters", [])) == adapters, lab.host.ctl("export"))
    lab.step("it returns with another ifindex")
    lab.return_port("eth0", ifindex=900)
    took = lab.expect(8, "A has a usable path", lambda: lab.host.path_states().get("eth0") == "standby")
    lab.figure("return_to_standby", took * 1000)
    lab.expect(3, "rules and routes are those of before", lambda: ours() == before)
    detached = [r for r in lab.host.kernel("rule") if r.get("oif_detached") or r.get("iif_detached")]
    lab.check("no rule points to a device that is gone", not detached, detached)
    lab.expect(5, "one DHCP client per port", lambda: sorted(map(len, lab.host.dhcp_clients().values())) == [1, 1])
    master = lab.host.kernel("link", "show", "dev", "eth0")[0].get("master")
    lab.check("the new NIC is in its bridge", master == bridge, master)
    lab.step("it goes again and returns with another MAC")
    lab.remove_port("eth0")
    lab.expect(3, "the port is absent", lambda: lab.host.port("eth0").get("state", "absent") == "absent")
    lab.return_port("eth0", ifindex=901, mac="02:0e:00:00:00:99")
    lab.expect(8, "A has a usable path", lambda: lab.host.path_states().get("eth0") == "standby")
    lab.check("it is the same port", lab.host.bridge("eth0") == bridge and len(lab.host.ctl("ports")) == 2, lab.host.ctl("ports"))
    lab.expect(3, "rules and routes are those of before", lambda: ours() == before)
