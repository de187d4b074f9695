"""T20, U43. A has IPv4 alone, B IPv6 alone: both paths carry the tunnel. Then B has both and its IPv6 is broken: B goes on over IPv4."""
from lablib import ipv6
from lablib.traffic import CommandStream

TOPOLOGY = "two"


def run(lab):
    lab.servers["b"].stop_dhcp()
    ipv6.serve_console(lab)
    ipv6.serve_uplink(lab, "b", 2)
    lab.start(active="eth0")
    lab.expect(30, "B's path works, by IPv6 alone", lambda: lab.host.path_states().get("eth1") == "standby")
    lab.check("B has no IPv4 address", not lab.host.kernel_addresses("eth1"), lab.host.kernel_addresses("eth1"))
    lab.nat_interface()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.02) as stream:
        lab.step("pull A: commands go on over IPv6")
        lab.pull("eth0")
        lab.expect(10, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
        lab.plug("eth0")
        lab.expect(20, "A is usable again", lambda: lab.host.path_states()["eth0"] in ("standby", "active"))
        lab.figure("gap", stream.gap_s() * 1000)
    lab.check_exactly_once(stream)

    lab.step("B gets IPv4 too, its IPv6 leads nowhere any more; its cable is plugged anew")
    lab.servers["b"].start_dhcp()
    ipv6.break_forwarding(lab, "b")
    lab.pull("eth1")
    lab.expect(10, "B's path is gone", lambda: lab.host.path_states()["eth1"] in ("down", "dialing"))
    lab.plug("eth1")
    took = lab.expect(20, "B's path works again, over IPv4", lambda: lab.host.path_states()["eth1"] in ("standby", "active"))
    lab.figure("broken_ipv6_to_usable", took * 1000)
    lab.check("its IPv4 address carries it", lab.host.kernel_addresses("eth1"), lab.host.paths())
