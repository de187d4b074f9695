"""U21. The Console refuses TCP on both paths, then a load balancer in its place answers 503: the host says that the fault is
on the server's side, tears nothing down, and is back when its back-off allows: without any path that ends at 15 s, drawn from the whole of it, so that ten thousand
hosts do not come at once."""

from lablib.streams import Listener

TOPOLOGY = "two"


def unavailable(connection):
    """What a load balancer says whose Console is gone."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.close()


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    revision, before = lab.host.ctl("status")["revision"], lab.host.picture()
    lab.console.kill()
    lab.expect(5, "the host knows that the Console is at fault", lambda: lab.host.ctl("status")["console"]["server_side"])
    lab.lasts(8)
    lab.check("the ports are leased", all(p["state"] == "leased" for p in lab.host.ctl("ports")))
    lab.check("the kernel is as before", lab.host.picture() == before)
    with Listener(lab.console.node, lab.topology.console_port, unavailable, address="0.0.0.0"):
        lab.expect(40, "both paths name the 503, and the Console's step", lambda: all(
            p["broken_step"] == "console" and "503" in p["cause"] for p in lab.host.paths()))
        lab.check("it is still the server's side, no login page", lab.host.ctl("status")["console"]["server_side"])
        lab.check("nothing was torn down", lab.host.picture() == before)
    lab.console.start()
    took = lab.expect(18, "the host is back", lab.console.online)
    lab.figure("console_to_online", took * 1000)
    lab.check("at the same revision", lab.host.ctl("status")["revision"] == revision)
