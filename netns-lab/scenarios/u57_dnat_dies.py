"""U57. A client connected to a publication through A, A dies: its connection tracking entry goes, a connection through
B works, and A's entry does not hold the port."""
from lablib.traffic import TcpEcho, tcp_greeting

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    vm = lab.nat_network()
    lab.console.must(lab.publish("r-web", port=8080, to_port=80))
    a, b = lab.host.address("eth0"), lab.host.address("eth1")
    host = lab.host.node
    with TcpEcho(vm.node, 80, "web"):
        for client, address in (("a", a), ("b", b)):
            said = tcp_greeting(lab.client(client), address, 8080)
            lab.check(f"client-{client} reaches the VM at {address}:8080, its address intact",
                      said == f"web {lab.topology.uplink(client).client_address()}", said)
        lab.step("hairpin: the VM reaches itself by the host's public address")
        lab.check("hairpin works", tcp_greeting(vm.node, a, 8080).startswith("web "))
        with lab.client("a").socket() as held:
            held.settimeout(3)
            held.connect((a, 8080))
            held.recv(100)
            entries = host.run(["conntrack", "-L", "-p", "tcp", "--orig-dst", a], check=False)
            lab.check("the connection is tracked", "dport=8080" in entries, entries)
            lab.step("pull A")
            lab.pull("eth0")
            took = lab.expect(2, "entries of A are gone", lambda: "dport=8080" not in host.run(
                ["conntrack", "-L", "-p", "tcp", "--orig-dst", a], check=False), interval=0.02)
            lab.figure("purge", took * 1000)
        lab.check("a client reaches it through B", tcp_greeting(lab.client("b"), b, 8080).startswith("web "))
        lab.console.must({"op": "gateway.withdraw", "rule": "r-web"})
        lab.check("withdrawn: nobody is there", tcp_greeting(lab.client("b"), b, 8080, 1.0) == "")
