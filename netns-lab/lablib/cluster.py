"""More hosts beside hv: each a machine of its own with uplinkd, its ports on the switches of the same lab."""
import json

from .ns import ip_batch
from .pki import host_names
from .product import Host

CLUSTER_IFINDEX_BASE = 3000


def member_mac(number, index):
    return f"02:00:00:00:{number:02x}:{index:02x}"


class Member(Host):
    """Host number 2, 3, ...: id hv-02, node hv-02, ports eth0, eth1, ... into the named switches (uplinks)."""

    def __init__(self, lab, number, switches):
        self.number, self.switches, self.lab = number, switches, lab
        name = f"hv-{number:02d}"
        node = lab.nodes.get(name) or lab.add_node(name)
        super().__init__(node, lab.programs, lab.pki, lab.topology)
        certificate = f"host-{number:02d}"
        lab.pki.issue(certificate, "ca", host_names(name))
        self.settings["host"]["id"] = name
        self.settings["console"] |= {"certificate": str(lab.pki.pem(certificate)),
                                     "key": str(lab.pki.key(certificate))}
        lines, wall = [], []
        for index, switch in enumerate(switches):
            ifindex = CLUSTER_IFINDEX_BASE + 16 * number + index
            lines.append(f"link add eth{index} index {ifindex} address {member_mac(number, index)} netns {node.netns} "
                         f"type veth peer name {self.socket_name(index)} index {ifindex + 1000} "
                         f"netns {lab.nodes['sw'].netns}")
            wall.append(f"link set {self.socket_name(index)} master sw-{switch} up")
        ip_batch(lines)
        ip_batch(wall, lab.nodes["sw"].netns)
        lab.others.append(self)

    def socket_name(self, index):
        return f"h{self.number}-{index}"

    def bridge(self, port):
        return "br" + member_mac(self.number, int(port.removeprefix("eth"))).replace(":", "")

    def pull(self, port):
        self.lab.nodes["sw"].set_link(self.socket_name(int(port.removeprefix("eth"))), False)

    def plug(self, port):
        self.lab.nodes["sw"].set_link(self.socket_name(int(port.removeprefix("eth"))), True)


def set_host(host, **fields):
    """host.set at the machine itself, through the whole model: `uplinkctl export`, edit, `apply`."""
    _, text, _ = host.uplinkctl("export")
    model = json.loads(text)
    model = model.get("model", model)
    model["host"] |= fields
    file = host.node.dir / "model.json"
    file.write_text(json.dumps(model))
    host.uplinkctl("apply", file)
