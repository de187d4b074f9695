"""T23. Netlink overrun by 10,000 address changes: the daemon re-reads the kernel, paths stay, faults are still seen."""

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    host = lab.host.node
    host.ip("link", "add", "noise", "type", "bridge")
    lines = []
    for n in range(5000):
        address = f"172.20.{n % 250}.{n % 253 + 1}/32"
        lines += [f"addr add {address} dev noise", f"addr del {address} dev noise"]
    lab.step("10,000 address changes at once")
    host.run(["ip", "-batch", "-"], text="\n".join(lines) + "\n", timeout=60)
    lab.never(1, "a path suffers", lambda: set(lab.host.path_states().values()) - {"active", "standby"})
    host.ip("link", "del", "noise")
    lab.pull("eth0")
    took = lab.expect(1.5, "a pull is still seen", lambda: lab.host.active_port() == "eth1")
    lab.figure("switch", took * 1000)
    lab.plug("eth0")
    lab.expect(10, "and a plug", lambda: lab.host.path_states()["eth0"] == "standby")
