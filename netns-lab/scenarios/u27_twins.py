"""U27. A and B are different networks with the same subnet, gateway and leased address: both tunnels stand; VM traffic
takes one of them and keeps to it."""
from lablib.traffic import UdpEcho, UdpFlow

TOPOLOGY = "twins"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    a, b = lab.host.address("eth0"), lab.host.address("eth1")
    lab.check("both have the same address", a == b == "192.168.1.50", [a, b])
    lab.check("the kernel has it on both bridges", lab.host.kernel_addresses("eth0") == lab.host.kernel_addresses("eth1"))
    vm = lab.nat_network()
    wan = {u.name: u.wan for u in lab.topology.uplinks}
    with UdpEcho(lab.node("console"), 9000) as echo, UdpFlow(vm.node, ("203.0.113.10", 9000)) as flow:
        lab.expect(3, "the VM's flow is answered", flow.flowing)
        lab.never(3, "it changes its way", lambda: len(echo.sources) > 1)
        lab.check("it goes through A, the preferred", echo.sources == [wan["a"]], echo.sources)
        lab.step("a client behind each network reaches the host at the same address")
        for name in ("a", "b"):
            said = lab.client(name).run(["ping", "-c3", "-i0.2", "-W1", a], check=False)
            lab.check(f"client-{name} is answered", ", 0% packet loss" in said, said)
        lab.step("pull A")
        lab.pull("eth0")
        lab.expect(2, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
        lab.expect(2, "the VM's flow goes through B", lambda: echo.sources[-1] == wan["b"] and flow.flowing())
