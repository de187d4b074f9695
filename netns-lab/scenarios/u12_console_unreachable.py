"""U12. A drops only what goes to and from the Console: A's path says that the Console cannot be reached, its port stays
up, the tunnel is on B."""

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.cut_address("a", lab.console.address)
    took = lab.expect(5, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.figure("switch", took * 1000)
    lab.expect(20, "A's first broken step is the Console's TCP", lambda: (
        lab.host.path("eth0")["state"] != "standby" and lab.host.path("eth0")["broken_step"] in ("tcp", "console")))
    lab.check("A is still leased", lab.host.port("eth0")["state"] == "leased")
    lab.check("and still carries a default route", any(
        r["dst"] == "default" and r["dev"] == lab.host.bridge("eth0") for r in lab.host.kernel("route")))
    lab.heal("a")
    lab.expect(15, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
