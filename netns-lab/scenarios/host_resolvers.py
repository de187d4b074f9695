"""U35, U37. The host's own programs have resolvers too: <runtime>/resolv.conf names those of the port that carries the tunnel
first, then the other ports'; it follows a pulled cable, and the C library finds names by it."""
import pathlib

from lablib.product import CONSOLE_NAME

TOPOLOGY = "two"


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    file = pathlib.Path(lab.host.runtime) / "resolv.conf"
    of = {name: server.router_address() for name, server in lab.servers.items()}

    def named():
        return [line.split()[1] for line in file.read_text().splitlines() if line.startswith("nameserver ")]

    def found():
        """What a program of the host that knows nothing of ports gets for the Console's name."""
        script = f'cat "$1" >/etc/resolv.conf && getent ahostsv4 {CONSOLE_NAME} || true'
        return {line.split()[0] for line in lab.host.node.run(["sh", "-c", script, "sh", file]).splitlines()}

    lab.expect(5, "A's resolver first, then B's", lambda: named() == [of["a"], of["b"]])
    lab.check("anyone may read it", file.stat().st_mode & 0o777 == 0o644, oct(file.stat().st_mode))
    lab.expect(10, "the host finds the Console's name", lambda: found() == set(lab.topology.console_addresses), 0.5)
    lab.step("A is pulled")
    lab.pull("eth0")
    lab.expect(5, "B's alone is left", lambda: named() == [of["b"]])
    lab.expect(10, "the host finds the name by it", lambda: found() == set(lab.topology.console_addresses), 0.5)
    lab.step("A is back, the tunnel stays on B: B's comes first")
    lab.plug("eth0")
    lab.expect(15, "B's first, then A's", lambda: named() == [of["b"], of["a"]])
    lab.step("B's DNS is dead: the next one is asked")
    lab.servers["b"].stop_dns()
    lab.expect(20, "the host finds the name all the same", lambda: found() == set(lab.topology.console_addresses), 0.5)
    lab.step("the daemon is purged: nothing of it is left")
    lab.host.stop()
    lab.host.purge()
    lab.check("the file is gone", not file.exists())
