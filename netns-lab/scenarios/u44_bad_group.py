"""U44. Groups that cut the way to the Console: a management VLAN that is not there, and a group over two switches that are
not connected, are taken back within the confirm time plus 10 s, with the tunnel up and the cause at the Console, over one of
two paths and over the only one. Of the latter it is also said before it is made."""
import uuid

from lablib.product import HOST_ID

TOPOLOGY = "bond"
NEEDS = "bond vlan_filtering"
CONFIRM_S = 20
USABLE = ("active", "standby")


def run(lab):
    lab.start(active="eth0")
    lab.expect(20, "both paths", lambda: all(lab.host.path_states().get(p) in USABLE for p in ("eth0", "eth2")))
    vlan = [{"op": "group.create", "group": "lan", "adapters": ["eth0"], "management_vlan": 77}]
    tried(lab, "a management VLAN that is not there, one of two paths", vlan)
    lab.pull("eth2")
    lab.expect(10, "eth0 is the only path", lambda: lab.host.path_states()["eth2"] == "down")
    tried(lab, "a management VLAN that is not there, the only path", vlan)
    lab.step("a group over two switches that are not connected")
    lab.plug("eth1", into="dead")
    lab.expect(10, "eth1 has carrier", lambda: lab.host.port("eth1").get("carrier"))
    split = [{"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"], "primary": "eth1"}]
    planned = lab.console.command(split, dry_run=True, wait=30)
    lab.check("said before it is made: they do not hear each other", "eth0 | eth1" in str(planned.get("warnings")), planned)
    tried(lab, "its primary is on the other switch, the only path", split)
    lab.plug("eth2")
    lab.expect(30, "eth2 has a path again", lambda: lab.host.path_states().get("eth2") in USABLE)
    tried(lab, "the same, one of two paths", split)
    lab.check("no bond is left", not lab.host.kernel("link", "show", "type", "bond"))


def tried(lab, name, operations):
    lab.step(name)
    id, revision = str(uuid.uuid4()), lab.host.ctl("status")["revision"]
    lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands",
                        {"id": id, "operations": operations, "confirm_within_s": CONFIRM_S})
    took = lab.expect(CONFIRM_S + 10, "it is taken back", lambda: lab.console.command_state(id)["state"] == "rolled_back")
    lab.figure(f"back_{len(lab.figures)}", took * 1000)
    record = lab.console.command_state(id)
    lab.check("the path and its step are named", "path eth0/" in str(record["problems"]), record)
    lab.check("at the revision from before", lab.host.ctl("status")["revision"] == revision)
    lab.expect(20, "the path is up again", lambda: lab.host.path_states()["eth0"] in USABLE)
    lab.check("no VLAN device is left", not [x for x in lab.host.kernel("link") if x["ifname"].startswith("mv")])
