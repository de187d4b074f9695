"""U32. A DHCP server is away with the link up: a lease comes 5 s or less after its return, whatever the back-off.

14 s away here: dhcpcd's own next packet would come 14 s later."""

TOPOLOGY = "two"


def run(lab):
    lab.servers["a"].stop_dhcp()
    lab.start(active="eth1")
    lab.expect(5, "A says carrier, no lease", lambda: lab.host.port("eth0")["state"] == "carrier, no lease")
    lab.lasts(14)
    lab.step("the server is back")
    lab.servers["a"].start_dhcp()
    took = lab.expect(8, "A has a lease", lambda: lab.host.port("eth0")["state"] == "leased")
    lab.figure("return_to_lease", took * 1000, target=5000)
    lab.expect(3, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
