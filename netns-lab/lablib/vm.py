"""A VM: a namespace that holds the other end of an interface's tap."""
import json
import subprocess

from .pace import wait_until
from .ns import LabError


class Vm:
    """Pre: the daemon has the interface attached and its tap made."""

    def __init__(self, network, host, interface):
        facts = next((i for i in host.ctl("interfaces") if i["interface"] == interface), None)
        if facts is None:
            raise LabError(f'uplinkd knows no interface "{interface}"')
        self.host, self.interface, self.mac, self.tap = host, interface, facts["mac"], facts["tap"]
        self.node = network.nodes.get(f"vm-{interface}") or network.add_node(f"vm-{interface}")
        self._pump = self._dhcpcd = None
        self.power_on()

    def power_on(self):
        """Opens the tap, as QEMU does when the VM starts."""
        log = self.host.node.dir / f"pump-{self.interface}.log"
        self._pump = self.host.node.spawn(["/usr/bin/python3", "-m", "lablib.tap_pump", self.tap,
                                           self.node.netns_file(), self.mac], stdout=subprocess.PIPE, log=log.name)
        line = self._pump.stdout.readline().strip()
        if line != b"ready":
            raise LabError(f"VM {self.interface}: could not open tap {self.tap}: {log.read_text()[-300:]}")

    def power_off(self):
        if self._pump:
            self._pump.kill()
            self._pump.wait()

    def dhcp(self, within_s=10):
        """Takes a lease from the network's DHCP server, sets address and route. Returns the address."""
        config = self.node.dir / "dhcpcd.conf"
        config.write_text("nodelay\nnoarp\nnoipv4ll\nnohook resolv.conf, hostname, ntp, timesyncd, ypbind\n"
                          "option routers\noption domain_name_servers\n")
        self._dhcpcd = self.node.spawn(["dhcpcd", "-B", "-4", "-f", config, "eth0"], log="dhcpcd.log")
        if wait_until(self.address, within_s, 0.02) is None:
            log = (self.node.dir / "dhcpcd.log").read_text()[-600:]
            raise LabError(f"VM {self.interface}: no address within {within_s} s: {log}")
        return self.address()

    def address(self):
        facts = json.loads(self.node.run(["ip", "-j", "-4", "addr", "show", "dev", "eth0", "scope", "global"]) or "[]")
        return next((a["local"] for entry in facts for a in entry.get("addr_info", [])), "")
