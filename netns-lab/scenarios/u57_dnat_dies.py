"""U57. Clients hold connections to a publication through A and through B, over IPv4 and IPv6. A dies: exactly its connection
tracking entries go, B's connections live on, new ones work through B, and A's entries do not hold the port."""
import contextlib
import socket

from lablib.reach import advertise, dhcpv6, global_addresses, guest, reach
from lablib.traffic import TcpEcho, tcp_greeting

TOPOLOGY = "two"
PORTS = {"a": "eth0", "b": "eth1"}


def run(lab):
    outside6 = {name: advertise(lab, name, f"fd00:{number}::") for name, number in (("a", 1), ("b", 2))}
    lab.start(active="eth0")
    lab.wait_paths()
    lab.console.must([{"op": "network.create", "network": "lan", "kind": "nat", "subnet": "10.99.0.0/24", "subnet6": "auto"},
                      {"op": "interface.attach", "interface": "web", "vm": "vm-web", "network": "lan"}])
    vm, _, _ = guest(lab, "web", ipv6=True)
    dhcpv6(lab, vm)
    lab.console.must(lab.publish("r-web", port=8080, to_port=80))
    v4 = {name: lab.host.address(port) for name, port in PORTS.items()}
    lab.expect(20, "the host has an IPv6 address on both uplinks", lambda: all(own6(lab, name) for name in PORTS))
    v6 = {name: own6(lab, name) for name in PORTS}
    with TcpEcho(vm.node, 80, "web"), contextlib.ExitStack() as stack:
        for name in PORTS:
            client = lab.client(name)
            for address, source in ((v4[name], lab.topology.uplink(name).client_address()), (v6[name], outside6[name])):
                lab.expect(10, f"client-{name} reaches the VM at {address}, its own address intact",
                           lambda client=client, address=address, source=source: reach(client, address, 8080) == f"web {source}")
        lab.step("hairpin: the VM reaches itself by the host's public address")
        lab.check("hairpin works", tcp_greeting(vm.node, v4["a"], 8080).startswith("web "))
        held = {address: stack.enter_context(connection(lab.client(name), address))
                for name in PORTS for address in (v4[name], v6[name])}
        for address, one in held.items():
            lab.check(f"the connection to {address} is tracked", tracked(lab, address, one), listed(lab, address))
        lab.step("pull A")
        lab.pull("eth0")
        for family, address in (("", v4["a"]), ("6", v6["a"])):
            took = lab.expect(2, f"entries of {address} are gone",
                              lambda address=address: "dport=8080" not in listed(lab, address), interval=0.02)
            lab.figure(f"purge{family}", took * 1000)
        for address in (v4["b"], v6["b"]):
            lab.check(f"the entry of the connection to {address} stands", tracked(lab, address, held[address]), listed(lab, address))
            held[address].sendall(b"still there?")
            lab.check("and the connection with it", held[address].recv(100) == b"still there?")
            lab.check("a new one works", reach(lab.client("b"), address, 8080).startswith("web "))
    lab.console.must({"op": "gateway.withdraw", "rule": "r-web"})
    for address in (v4["b"], v6["b"]):
        lab.check("withdrawn: nobody is there", reach(lab.client("b"), address, 8080, timeout_s=1.0) == "")


def own6(lab, name):
    """The host's IPv6 address on an uplink; "" before it has one."""
    return next(iter(global_addresses(lab.host.node, lab.host.bridge(PORTS[name]))), "")


def connection(node, address):
    """One that the VM has greeted."""
    made = node.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    made.settimeout(5)
    made.connect((address, 8080))
    made.recv(100)
    return made


def listed(lab, address):
    """Connection tracking entries of what came to an address."""
    family = "ipv6" if ":" in address else "ipv4"
    return lab.host.node.run(["conntrack", "-L", "-f", family, "-p", "tcp", "--orig-dst", address], check=False)


def tracked(lab, address, one):
    return f"sport={one.getsockname()[1]} dport=8080" in listed(lab, address)
