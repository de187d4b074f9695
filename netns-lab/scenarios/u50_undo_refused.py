"""U50. The undo of a trial is itself refused by the kernel: the next older revision is shown; where that is refused as well,
the rescue state, DHCP on every port without groups. The Console hears where the host landed, the revisions say it, and a
daemon that is killed in such a trial dials nothing before it has landed."""
from lablib.product import HOST_ID, USABLE
from lablib.trial import begin, state

TOPOLOGY = "two"


def trial(lab, operations, within=60):
    """A change that nobody will confirm, applied."""
    return begin(lab, operations + [{"op": "adapter.set", "adapter": "eth1", "mtu": 3000}], confirm_within_s=within)


def in_the_way(lab, *names):
    for name in names:
        lab.host.node.ip("link", "add", name, "type", "bridge")


def out_of_the_way(lab, *names):
    for name in names:
        lab.host.node.ip("link", "delete", name)


def addresses(lab):
    """IPv4, of eth0's port."""
    shown = lab.host.kernel("addr", "show", "dev", lab.host.bridge("eth0"))[0]
    return {f"{a['local']}/{a['prefixlen']}" for a in shown["addr_info"] if a["family"] == "inet"}


def landed(lab, id, where):
    lab.expect(30, "the Console has its end", lambda: state(lab, id) == "rolled_back")
    record = lab.console.command_state(id)
    lab.check(f"it says: {where}", where in str(record["problems"]), record)
    lab.expect(20, "both paths are usable", lambda: [lab.host.path_states().get(p) in USABLE for p in ("eth0", "eth1")]
               == [True, True])
    lab.expect(10, "the plan is empty: what is shown is what is stored", lambda: lab.host.ctl("plan")["plan"] == [])
    status, kept = lab.console.request("GET", f"/api/v1/hosts/{HOST_ID}/revisions?limit=5")
    lab.check("the Console shows the revision that it made", status == 200 and kept["revisions"][0]["cause"] == id, kept)
    return record


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    first = lab.host.ctl("status")["revision"]
    lab.console.must([{"op": "network.create", "network": "blue", "kind": "nat", "subnet": "10.50.0.0/24"}])

    lab.step("the next older revision")
    id = trial(lab, [{"op": "network.delete", "network": "blue"}])
    in_the_way(lab, "n-blue")            # Somebody else's, under the name that the undo needs.
    lab.host.uplinkctl("rollback")       # A person ends the trial at once.
    landed(lab, id, f"the model of revision {first}")
    out_of_the_way(lab, "n-blue")

    lab.step("the same from a static address: the older revision has its lease again")
    leased = addresses(lab)
    static = {"adapter": "eth0", "address": "192.168.1.77/24", "gateway": "192.168.1.1"}
    lab.console.must([{"op": "host.set", "management": static}])
    lab.wait_paths()
    lab.console.must([{"op": "network.create", "network": "green", "kind": "nat", "subnet": "10.52.0.0/24"}])
    lab.check("it stands on it", addresses(lab) == {"192.168.1.77/24"}, addresses(lab))
    id = trial(lab, [{"op": "network.delete", "network": "green"}])
    in_the_way(lab, "n-green")
    lab.host.uplinkctl("rollback")
    landed(lab, id, "the model of revision")
    lab.check("the address is that of the revision that it landed at", addresses(lab) == {"192.168.1.77/24"}, addresses(lab))
    out_of_the_way(lab, "n-green")
    id = trial(lab, [{"op": "host.set", "management": None}, {"op": "network.create", "network": "grey", "kind": "nat"}], within=5)
    lab.expect(30, "nobody confirms: taken back", lambda: state(lab, id) == "rolled_back")
    lab.expect(10, "the static address is back", lambda: addresses(lab) == {"192.168.1.77/24"})
    lab.console.must([{"op": "host.set", "management": None}])
    lab.expect(10, "the lease is back", lambda: addresses(lab) == leased)
    lab.wait_paths()

    lab.step("the rescue state")
    tap = [{"op": "network.delete", "network": "default"},
           {"op": "network.create", "network": "lan", "kind": "untagged", "adapter": "eth1"},
           {"op": "interface.attach", "interface": "web", "vm": "v", "network": "lan"}]
    lab.console.must(tap)
    bare = [{"op": "interface.detach", "interface": "web"}, {"op": "network.delete", "network": "lan"}]
    id = trial(lab, bare, within=5)
    in_the_way(lab, "t-web", "n-default", "n-blue")
    landed(lab, id, "the rescue state")
    model = lab.host.ctl("export")
    lab.check("no bridged network is left, the daemon serves on", "lan" not in str(model.get("networks")), model)
    out_of_the_way(lab, "t-web", "n-default", "n-blue")

    lab.step("killed in the trial: landed before anything is dialled")
    lab.console.must([{"op": "network.create", "network": "red", "kind": "nat", "subnet": "10.51.0.0/24"}])
    id = trial(lab, [{"op": "network.delete", "network": "red"}])
    lab.host.kill()
    in_the_way(lab, "n-red")
    lab.host.start()
    record = landed(lab, id, "the model of revision")
    lab.check("and why", "the daemon stopped while it was tried out" in str(record["problems"]), record)
    kinds = [e["kind"] for e in lab.host.events() if e["kind"] in ("daemon.started", "undo.refused", "path.up")]
    kinds = kinds[len(kinds) - kinds[::-1].index("daemon.started"):]
    lab.check("nothing was dialled before", kinds[0] == "undo.refused" and "path.up" in kinds, kinds)
    out_of_the_way(lab, "n-red")
