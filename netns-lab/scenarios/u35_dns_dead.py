"""U35. A's DNS is dead, routing is fine: the Console is reached over A with the last good address within 5 s."""

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.step("A's DNS dies, A is pulled and plugged again")
    lab.servers["a"].stop_dns()
    lab.pull("eth0")
    lab.expect(2, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.plug("eth0")
    lab.expect(5, "A has its lease", lambda: lab.host.port("eth0")["state"] == "leased")
    took = lab.expect(5, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
    lab.figure("lease_to_standby", took * 1000)
