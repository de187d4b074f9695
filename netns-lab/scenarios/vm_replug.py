"""A real NIC that carries the tunnel is taken out of its PCIe slot: the tunnel moves; put in again, it is a path again."""

TOPOLOGY = "virtio"
NEEDS = "virtio"


def run(lab):
    host = lab.host
    lab.start(active="eth0")
    lab.wait_paths()
    bridge = host.bridge("eth0")
    for attempt in (1, 2):
        carrier = host.active_port()
        lab.step(f"{carrier}, which carries the tunnel, leaves its slot")
        lab.remove_port(carrier)
        took = lab.expect(10, "the tunnel is elsewhere", lambda: host.active_port() not in (carrier, None))
        lab.figure(f"removal_switch_{attempt}", took * 1000)
        lab.expect(10, "the kernel has let go of it",
                   lambda: carrier not in [link["ifname"] for link in host.kernel("link")], 0.05)
        lab.expect(3, "the port is absent", lambda: host.port(carrier).get("state", "absent") == "absent")
        lab.return_port(carrier)
        took = lab.expect(15, "it is standby again", lambda: host.path_states().get(carrier) == "standby")
        lab.figure(f"return_to_standby_{attempt}", took * 1000)
    lab.check("the bridge of A is the one it was", host.kernel("link", "show", "dev", "eth0")[0]["master"] == bridge)
