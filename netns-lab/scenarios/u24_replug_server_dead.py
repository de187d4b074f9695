"""U24. DHCP server dead at replug, lease valid: the old address is used again within 5 s, once the gateway answers; also after
a restart of the daemon and a power cut, with the server as dead."""
from lablib.power import Power

TOPOLOGY = "two"


def run(lab):
    power = Power(lab)
    lab.start(active="eth0")
    lab.wait_paths()
    address = lab.host.address("eth0")
    lab.pull("eth0")
    lab.expect(2, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
    lab.servers["a"].stop_dhcp()
    lab.step("replug, no DHCP server")
    lab.plug("eth0")
    took = lab.expect(5, "A has a usable path with the old address", lambda: (
        lab.host.path_states()["eth0"] == "standby" and address in lab.host.kernel_addresses("eth0")))
    lab.figure("replug_to_path", took * 1000)
    lease = lab.host.lease("eth0")
    lab.check("the lease is shown as the stored one", lease["address"].split("/")[0] == address, lease)
    for name, cut in (("killed", power.cut_daemon), ("power_cut", power.cut)):
        lab.step(f"the daemon, or the whole machine: {name}, no DHCP server")
        cut()
        lab.host.start()
        took = lab.expect(5, "A has a usable path with the stored address", lambda: (
            lab.host.path_states().get("eth0") in ("standby", "active") and address in lab.host.kernel_addresses("eth0")))
        lab.figure(name + "_to_path", took * 1000)
    lab.step("replug into another network: the old address must not be used there")
    lab.pull("eth0")
    lab.expect(2, "carrier is gone", lambda: not lab.host.port("eth0")["carrier"])
    lab.plug("eth0", into="dead")
    lab.never(4, "a path over A in a network without its gateway",
              lambda: lab.host.path_states()["eth0"] in ("standby", "active"))
