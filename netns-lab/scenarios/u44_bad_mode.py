"""U44. The wrong bond mode for the switch: it takes two sockets as one (a static aggregate, for balance-xor), the host uses one
of them at a time. What the switch sends into the other is lost; which that is, its hash decides, so both are tried: one of
them cuts the way to the Console and is taken back within the confirm time plus 10 s, over one of two paths and over the only one."""
import uuid

from lablib.product import HOST_ID
from lablib.wires import aggregate

TOPOLOGY = "bond"
NEEDS = "bond"
CONFIRM_S = 60         # A path that is not back after half of it is lost; dialling takes seconds under emulation.
USABLE = ("active", "standby")


def run(lab):
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.expect(20, "both paths", lambda: usable(lab, "eth0") and usable(lab, "eth2"))
    lab.console.must({"op": "adapter.set", "adapter": "eth1", "enabled": False})
    lab.step("the switch takes eth0 and eth1 as one; eth1 is off")
    aggregate(lab, "a", ["eth0", "eth1"], "balance-xor", "layer2")
    lab.expect(20, "eth0 has its path", lambda: usable(lab, "eth0"))
    ends = {}
    for primary in ("eth0", "eth1"):
        ends[primary] = tried(lab, primary, "one of two paths")
        if ends[primary]["state"] == "done":
            lab.console.must([{"op": "group.delete", "group": "lan"}, {"op": "adapter.set", "adapter": "eth1", "enabled": False}])
            lab.expect(20, "eth0 has its path", lambda: usable(lab, "eth0"))
    states = {primary: record["state"] for primary, record in ends.items()}
    lab.check("the switch's hash finds one of them", sorted(states.values()) == ["done", "rolled_back"], states)
    bad = next(primary for primary, state in states.items() if state == "rolled_back")
    lab.pull("eth2")
    lab.expect(10, "eth0 is the only path", lambda: lab.host.path_states()["eth2"] == "down")
    lab.check("taken back over the only path too", tried(lab, bad, "the only path")["state"] == "rolled_back")
    lab.expect(20, "the Console sees the host online", lab.console.online)


def usable(lab, port):
    return lab.host.path_states().get(port) in USABLE


def tried(lab, primary, name):
    """The end of the command that makes the group with this primary."""
    lab.step(f"{primary} carries, {name}")
    id, revision = str(uuid.uuid4()), lab.host.ctl("status")["revision"]
    lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands", {"id": id, "confirm_within_s": CONFIRM_S, "operations": [
        {"op": "adapter.set", "adapter": "eth1", "enabled": True},
        {"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"], "primary": primary}]})
    took = lab.expect(CONFIRM_S + 10, "it has ended",
                      lambda: lab.console.command_state(id)["state"] in ("done", "rolled_back", "refused"))
    record = lab.console.command_state(id)
    if record["state"] == "rolled_back":
        lab.figure(f"back_{primary}_{'two' if 'two' in name else 'only'}", took * 1000)
        lab.check("the path and its step are named", "path eth0/" in str(record["problems"]), record)
        lab.check("at the revision from before", lab.host.ctl("status")["revision"] == revision)
        lab.check("no bond is left", not lab.host.kernel("link", "show", "type", "bond"))
        lab.expect(20, "the path is up again", lambda: usable(lab, "eth0"))
    return record
