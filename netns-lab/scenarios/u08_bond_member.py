"""U8. One member of a bond is pulled: the other carries, no path switches; both: the path is lost and the tunnel is on B."""

TOPOLOGY = "bond"
NEEDS = "bond"


def members(lab):
    row = next(g for g in lab.host.ctl("groups") if g["group"] == "lan")
    return {m["adapter"]: m for m in row["members"]}


def carries(lab):
    return [name for name, member in members(lab).items() if member["active"]]


def run(lab):
    lab.plug("eth1", into="a")
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([{"op": "group.create", "group": "lan", "adapters": ["eth0", "eth1"], "primary": "eth0"}])
    lab.expect(15, "the group has a path", lambda: lab.host.path_states().get("eth0") in ("active", "standby"))
    lab.check("eth1 has none", "eth1" not in lab.host.path_states(), lab.host.path_states())
    lab.check("eth1 has no DHCP client", set(lab.host.dhcp_clients()) == {lab.host.bridge("eth0"), lab.host.bridge("eth2")},
              lab.host.dhcp_clients())
    lab.expect(10, "eth0 carries", lambda: carries(lab) == ["eth0"])
    lab.expect(10, "the tunnel is on the group", lambda: lab.host.active_port() == "eth0")
    session, address, last = lab.host.session(), lab.host.address("eth0"), lab.events_arrived()
    lab.step("pull the member that carries")
    lab.pull("eth0")
    lab.expect(3, "the other carries", lambda: carries(lab) == ["eth1"])
    event = lab.expect_event(last, "bond.failover")
    lab.check("the event says from, to and why",
              (event["from"], event["to"], event["cause"]) == ("eth0", "eth1", "carrier lost"), event)
    lab.check("the port has carrier, lease and address as before",
              lab.host.port("eth0")["carrier"] and lab.host.address("eth0") == address, lab.host.port("eth0"))
    lab.never(3, "a path switches", lambda: lab.switches(last))
    lab.check("the same session", lab.host.session() == session)
    lab.step("the card of the leader is taken out: the port lives on under its name")
    lab.remove_port("eth0")
    lab.expect(5, "eth0 is absent, eth1 carries", lambda: not members(lab)["eth0"]["present"] and carries(lab) == ["eth1"])
    lab.never(3, "a path switches", lambda: lab.switches(last))
    lab.check("the address stays", lab.host.address("eth0") == address, lab.host.port("eth0"))
    lab.step("pull the other too: now the path is lost")
    lab.pull("eth1")
    lab.expect(5, "the tunnel is on eth2", lambda: lab.host.active_port() == "eth2")
    lab.check("in the same session", lab.host.session() == session)
    lab.plug("eth1")
    lab.expect(15, "the group's path is back", lambda: lab.host.path_states().get("eth0") in ("active", "standby"))
