"""U7. Cable in a dead switch: the port says "carrier, no lease", the other is unaffected, the tunnel never leaves B."""

TOPOLOGY = "two"


def run(lab):
    lab.plug("eth0", into="dead")
    lab.start(active="eth1")
    lab.expect(5, "A says carrier, no lease", lambda: lab.host.port("eth0")["state"] == "carrier, no lease")
    path = lab.host.path("eth0")
    lab.check("A's path is broken at the lease", path["broken_step"] == "lease", path)
    lab.check("it says why in words", path["cause"], path)
    lab.never(5, "the tunnel leaves B", lambda: lab.host.active_port() != "eth1")
    lab.check("no switch happened", len([e for e in lab.switches() if e["data"].get("from")]) == 0, lab.switches())
    _, table, _ = lab.host.uplinkctl("ports")
    lab.check("uplinkctl ports tells a person the same", "no lease" in table, table)
    lab.step("plug A where it belongs")
    lab.plug("eth0", into="a")
    took = lab.expect(10, "A has a lease", lambda: lab.host.port("eth0")["state"] == "leased")
    lab.figure("plug_to_lease", took * 1000, target=5000)
    lab.expect(5, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
