"""T6. The standby falls silent with nothing to do: found dead and told to the Console; the active path never notices."""

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    after = lab.events_arrived()
    lab.cut("b")
    took = lab.expect(4, "the host knows", lambda: lab.host.path_states()["eth1"] not in ("standby", "active"))
    lab.figure("found", took * 1000)
    lab.expect(3, "the Console has the event", lambda: [e for e in lab.console.events(after) if e["kind"] == "path.down"])
    lab.expect(3, "and shows the path as down", lambda: [p for p in lab.console.host()["paths"]
                                                        if p["port"] == "eth1" and p["state"] == "down"])
    lab.check("the tunnel stayed on A", not lab.switches(after), lab.switches(after))
    lab.heal("b")
    lab.expect(15, "B is standby", lambda: lab.host.path_states()["eth1"] == "standby")
