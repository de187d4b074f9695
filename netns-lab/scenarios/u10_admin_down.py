"""U10, T11. A local user sets A down: same as a pull, its connection closed at once, but the state says "disabled locally"."""

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    address = lab.host.address("eth0")
    lab.step("ip link set eth0 down, by a person")
    lab.host.node.ip("link", "set", "eth0", "down")
    took = lab.expect(1.5, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.figure("switch", took * 1000)
    lab.expect(1, "no connection from its address is left", lambda: not lab.host.node.run(
        ["ss", "-Htn", "state", "established", f"src {address}"]).strip())
    lab.expect(2, "the port says disabled locally", lambda: lab.host.port("eth0")["state"] == "disabled locally")
    lab.never(3, "the daemon sets it up against the person's will",
              lambda: "UP" in lab.host.kernel("link", "show", "dev", "eth0")[0]["flags"])
    lab.host.node.ip("link", "set", "eth0", "up")
    lab.expect(8, "A is standby again", lambda: lab.host.path_states().get("eth0") == "standby")
