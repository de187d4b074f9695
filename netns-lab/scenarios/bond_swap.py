"""N14, N57. A group made before its second card is there: the card comes, joins by itself and carries. Two groups swap members
in one command under the tunnel: both go on with the same addresses, each member carries in its new group."""

TOPOLOGY = "bonds"
NEEDS = "bond"
USABLE = ("active", "standby")


def group(lab, name):
    return next(g for g in lab.host.ctl("groups") if g["group"] == name)


def carries(lab, name):
    return [m["adapter"] for m in group(lab, name)["members"] if m["active"]]


def has(lab, name, *adapters):
    """Whether model, daemon and kernel have just these members in the group's bond, the first of them leading."""
    row = group(lab, name)
    slaves = lab.host.node.run(["cat", f"/sys/class/net/{row['bond']}/bonding/slaves"], check=False).split()
    return row["adapters"] == list(adapters) and set(slaves) == set(adapters)


def run(lab):
    mac = lab.host.kernel("link", "show", "dev", "eth1")[0]["address"]
    lab.remove_port("eth1")
    lab.start(active="eth0")
    lab.wait_paths()
    for port in ("eth2", "eth3"):
        lab.plug(port, into="a")
    lab.expect(15, "eth2 and eth3 are in network a", lambda: all(
        lab.host.address(port).startswith("192.168.1.") and lab.host.path_states().get(port) in USABLE for port in ("eth2", "eth3")))
    session = lab.host.session()
    lab.step("a group of eth0 and of a card that is not there")
    lab.console.must([{"op": "group.create", "group": "one", "adapters": ["eth0", mac], "allow_pending": True},
                      {"op": "group.create", "group": "two", "adapters": ["eth2", "eth3"]}])
    lab.expect(20, "both groups have a path", lambda: all(lab.host.path_states().get(p) in USABLE for p in ("eth0", "eth2")))
    awaited = [m for m in group(lab, "one")["members"] if m["role"] == "pending"]
    lab.check("the card that is awaited is shown", [(m["mac"], m["present"]) for m in awaited] == [(mac, False)], group(lab, "one"))
    lab.step("the card comes")
    lab.plugged["eth1"] = "a"
    lab.return_port("eth1", mac=mac)
    took = lab.expect(10, "it is a member", lambda: has(lab, "one", "eth0", "eth1"))
    lab.figure("joined", took * 1000)
    lab.expect(10, "it has carrier", lambda: all(m["carrier"] for m in group(lab, "one")["members"]))
    lab.step("it carries once eth0 is pulled, and eth0 is back")
    lab.pull("eth0")
    lab.expect(5, "eth1 carries", lambda: carries(lab, "one") == ["eth1"])
    lab.plug("eth0")
    lab.expect(20, "the path is up", lambda: lab.host.path_states().get("eth0") in USABLE)
    swap(lab)
    lab.check("the same session", lab.host.session() == session)


def swap(lab):
    lab.step("eth1 and eth3 swap their groups in one command")
    addresses = {port: lab.host.address(port) for port in ("eth0", "eth2")}
    lab.console.must([{"op": "group.update", "group": "one", "adapters": ["eth0", "eth3"]},
                      {"op": "group.update", "group": "two", "adapters": ["eth2", "eth1"]}])
    lab.expect(10, "they have", lambda: has(lab, "one", "eth0", "eth3") and has(lab, "two", "eth2", "eth1"))
    lab.expect(20, "both groups have a path", lambda: all(lab.host.path_states().get(p) in USABLE for p in addresses))
    lab.check("the same addresses", all(lab.host.address(p) == a for p, a in addresses.items()), addresses)
    for name, first, second in (("one", "eth0", "eth3"), ("two", "eth2", "eth1")):
        lab.expect(10, f"{name}: both have carrier", lambda name=name: all(m["carrier"] for m in group(lab, name)["members"]))
        lab.pull(first)
        lab.expect(5, f"{name}: {second} carries", lambda name=name, second=second: carries(lab, name) == [second])
        lab.expect(10, f"{name}: its path is up", lambda first=first: lab.host.path_states().get(first) in USABLE)
        lab.plug(first)
    lab.step("a member that two groups would have is refused")
    refused = lab.console.command({"op": "group.update", "group": "one", "adapters": ["eth0", "eth3", "eth1"]})
    lab.check("naming adapter and group", refused["state"] == "refused" and all(
        word in str(refused["problems"]) for word in ("eth1", "two", "belongs to one group")), refused)
