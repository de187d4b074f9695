"""Faults: pull, plug, cut, loss, dead gateway. Mixed into Network; every fault has its undo."""
from . import nics
from .hardware import port_mac
from .ns import LabError, ip_batch


class Faults:
    """Pre (all): the network is up. PATH is a port (eth0), an uplink (a) or a path name (eth0/console.example:8443)."""

    def far_end(self, port):
        """(node, link) at the other end of the host's cable."""
        for uplink in self.topology.uplinks:
            if uplink.port == port and uplink.direct:
                return f"router-{uplink.name}", f"p-{port}"
        return "sw", f"p-{port}"

    def check_port(self, port):
        if port not in self.topology.ports:
            raise LabError(f'no port "{port}"; there are: {" ".join(self.topology.ports)}')
        return port

    def uplink_of(self, path):
        """The uplink that a path leads through now."""
        port = path.split("/")[0]
        if port in self.plugged:
            port = self.plugged[port]
        return self.topology.uplink(port)

    def pull(self, port):
        """Unplugs the cable: the host's port loses carrier."""
        self.set_cable(port, False)

    def set_cable(self, port, plugged):
        """Carrier at both ends."""
        node, link = self.far_end(self.check_port(port))
        if self.topology.nic == "virtio":
            nics.set_cable(self.topology.ports.index(port), plugged)
        else:
            self.nodes[node].set_link(link, plugged)

    def plug(self, port, into=None, silent=False):
        """Plugs it in, into another switch if named ("dead": a switch without anything behind it).
        silent: moved behind an unmanaged switch, so that the host's carrier never changes."""
        node, link = self.far_end(self.check_port(port))
        if into is not None:
            if node != "sw":
                raise LabError(f"port {port} is cabled straight into its router")
            switches = [u.name for u in self.topology.uplinks if not u.direct] + ["dead"]
            if into not in switches:
                raise LabError(f'no switch "{into}"; there are: {" ".join(switches)}')
            if not silent:
                self.set_cable(port, False)
            ip_batch([f"link set {link} master {'dead' if into == 'dead' else 'sw-' + into}"], self.nodes[node].netns)
            self.plugged[port] = into
        self.set_cable(port, True)

    def remove_port(self, port):
        """The NIC vanishes from the machine, as by USB or PCI removal; with virtio by the latter."""
        if self.topology.nic == "virtio":
            return nics.remove(self.topology.ports.index(self.check_port(port)))
        ip_batch([f"link del {port}"], self.nodes["hv"].netns)

    def return_port(self, port, ifindex=None, mac=None):
        """The NIC comes back with the same MAC, another index, its cable plugged in where it was. ifindex, mac: veth only."""
        index = self.topology.ports.index(self.check_port(port))
        if self.topology.nic == "virtio":
            nics.insert(index)
            return nics.take(index, port_mac(index), port, self.nodes["hv"].netns)
        ip_batch([self.port_cable(index, port, ifindex, mac)])
        ip_batch([f"link set p-{port} master sw-{self.plugged[port]} up"], self.nodes["sw"].netns)

    def cut(self, path, way="both"):
        """The uplink forwards nothing any more, carrier and DHCP stay. way: both, up (host to Console) or down."""
        rules = {"both": ["drop"], "up": ['iifname != "wan" drop'], "down": ['iifname "wan" drop']}
        if way not in rules:
            raise LabError(f'cut: no way "{way}"; allowed: both up down')
        self._fault_rules(path, rules[way])

    def cut_address(self, path, address):
        """Only what goes to or comes from one address is dropped."""
        self._fault_rules(path, [f"ip daddr {address} drop", f"ip saddr {address} drop"])

    def only_through(self, path, address):
        """A site with a proxy: the router forwards for this one machine of its network, for nobody else."""
        self._fault_rules(path, [f'iifname != "wan" ip saddr != {address} drop'])

    def loss(self, path, percent):
        """Each forwarded packet of the uplink is dropped with this probability, both ways. 0: none."""
        if not 0 <= percent <= 100:
            raise LabError(f"loss {percent} is out of range 0..100 percent")
        self._fault_rules(path, [f"numgen random mod 100 < {percent} drop"] if percent else [])

    def swallow_large(self, path, above):
        """Forwarded IPv4 packets of more than so many bytes vanish, and no ICMP tells: a broken path MTU. By the router's MTU,
        because a rule on the length would see what the sender's kernel has not cut into segments yet (GSO)."""
        router = self.router(self.uplink_of(path).name)
        router.nft("add chain ip lab quiet { type filter hook output priority 0; }\n"
                   "add rule ip lab quiet icmp type destination-unreachable drop\n")
        for link in ("lan", "wan"):
            router.run(["ip", "link", "set", "dev", link, "mtu", str(above)])

    def heal(self, path):
        """Ends cut, loss and a dead gateway."""
        self.revive_gateway(path)
        self._fault_rules(path, [])

    def _fault_rules(self, path, rules):
        lines = ["flush chain ip lab fault"] + [f"add rule ip lab fault {rule}" for rule in rules]
        self.router(self.uplink_of(path).name).nft("\n".join(lines) + "\n")

    def kill_gateway(self, path):
        """The router dies behind its switch: no ARP, no DHCP, no DNS; the host's carrier stays."""
        self.router(self.uplink_of(path).name).set_link("lan", False)

    def revive_gateway(self, path):
        uplink = self.uplink_of(path)
        if not uplink.direct:
            self.router(uplink.name).set_link("lan", True)
