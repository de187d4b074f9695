"""U31. dhcpcd killed (-9) or stopped: it is replaced, the address stays, there are never two on one port:
a stopped one is gone before the next one runs. (IPv6: v6_router_advertisement.)"""
import os
import signal

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    bridge, address = lab.host.bridge("eth0"), lab.host.address("eth0")
    for name, sig in (("KILL", signal.SIGKILL), ("STOP", signal.SIGSTOP)):
        [old] = lab.host.dhcp_clients()[bridge]
        lab.step(f"{name} to the DHCP client of A")
        os.kill(old, sig)
        kept = []

        def replaced():
            kept.append(lab.host.kernel_addresses("eth0"))
            doubled = lab.host.doubled_clients()
            lab.check("never two on one port, nor the old one beside the new", not doubled, [old, doubled])
            now = lab.host.dhcp_clients().get(bridge, [])
            return len(now) == 1 and now != [old]

        took = lab.expect(15, "another one runs", replaced)
        lab.figure(name.lower() + "_to_new", took * 1000)
        lab.check("the address stayed", all(address in seen for seen in kept), kept)
        lab.expect(5, "the lease is bound", lambda: lab.host.lease("eth0")["state"] == "bound")
    lab.check("the tunnel never moved", lab.host.active_port() == "eth0")
    lab.check("the other port's client was left alone", len(lab.host.dhcp_clients()) == 2, lab.host.dhcp_clients())
