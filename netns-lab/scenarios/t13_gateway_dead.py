"""T13. The gateway's MAC is dead, carrier stays: found by silence, and the cause shown is the gateway."""

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.kill_gateway("a")
    took = lab.expect(3, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.figure("switch", took * 1000)
    lab.expect(20, "the first broken step is the gateway", lambda: lab.host.path("eth0")["broken_step"] == "gateway")
    lab.check("carrier is still there", lab.host.port("eth0")["carrier"], lab.host.port("eth0"))
    lab.revive_gateway("a")
    took = lab.expect(8, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
    lab.figure("return_to_standby", took * 1000)
