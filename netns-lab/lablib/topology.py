"""Topologies as values: read topologies/NAME.toml, fill in the defaults, check it."""
import dataclasses
import ipaddress
import pathlib
import tomllib

from .ns import LabError

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "topologies"
INTERNET = "203.0.113.0/24"
INTERFACE_NAME_MAX = 15


@dataclasses.dataclass
class Uplink:
    """One way out: a router with DHCP and DNS, its switch, a port of the host, perhaps a client on the same wire."""
    name: str                       # "a": nodes router-a and client-a, switch a
    port: str                       # port of the host that is plugged in at the start; "" = none
    subnet: str
    gateway: str = ""               # default: first address
    wan: str = ""                   # router's address on the internet segment
    dhcp: str = "dnsmasq"           # dnsmasq | kea | none
    dhcp_from: str = ""             # default .100
    dhcp_to: str = ""               # default .199
    lease_s: int = 3600             # dnsmasq: at least 120
    authoritative: bool = True
    client: bool = True
    direct: bool = False            # cable straight into the router: no switch that swallows the first packet
    dhcp_options: list = dataclasses.field(default_factory=list)   # dnsmasq --dhcp-option=...

    def network(self):
        return ipaddress.ip_network(self.subnet)

    def client_address(self):
        return str(self.network()[-6])


@dataclasses.dataclass
class Topology:
    """What `lab up NAME` builds. Invariant: every port belongs to at most one uplink."""
    name: str
    summary: str
    ports: list                     # ports of the host, in the order of uplink preference
    uplinks: list
    console_addresses: list
    equal_ifindex: bool = True      # late carrier events like those of a physical NIC (facts/tunnel.md, fact 2)
    nic: str = "veth"               # veth | virtio: cards of the emulated machine, cables pulled by QEMU
    console_port: int = 8443
    api_port: int = 8480

    def uplink(self, name):
        for uplink in self.uplinks:
            if uplink.name == name:
                return uplink
        raise LabError(f'no uplink "{name}" in topology {self.name}; there are: '
                       + " ".join(u.name for u in self.uplinks))


def names():
    return sorted(p.stem for p in FOLDER.glob("*.toml"))


def load(name):
    """Reads topologies/<name>.toml. Errors: LabError that names the file and the field."""
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        raise LabError(f'no topology "{name}"; there are: {" ".join(names())}')
    try:
        raw = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise LabError(f"{path.name}: {error}") from error
    return parse(name, raw)


def parse(name, raw):
    known = {field.name for field in dataclasses.fields(Topology)} | {"uplinks"}
    for key in raw:
        if key not in known:
            raise LabError(f'{name}.toml: unknown key "{key}"; allowed: {" ".join(sorted(known))}')
    uplinks = []
    for index, entry in enumerate(raw.get("uplinks", [])):
        try:
            uplink = Uplink(**entry)
        except TypeError as error:
            raise LabError(f"{name}.toml: uplinks[{index}]: {error}") from error
        network = uplink.network()
        uplink.gateway = uplink.gateway or str(network[1])
        uplink.wan = uplink.wan or str(ipaddress.ip_network(INTERNET)[20 + index])
        uplink.dhcp_from = uplink.dhcp_from or str(network[100])
        uplink.dhcp_to = uplink.dhcp_to or str(network[199])
        if uplink.dhcp == "dnsmasq" and uplink.lease_s < 120:
            raise LabError(f"{name}.toml: uplink {uplink.name}: lease_s {uplink.lease_s}: dnsmasq needs 120 or more; "
                           'use dhcp = "kea"')
        uplinks.append(uplink)
    ports = raw.get("ports") or [u.port for u in uplinks if u.port]
    used = [u.port for u in uplinks if u.port]
    if len(set(used)) != len(used) or any(len(p) > INTERFACE_NAME_MAX - 2 for p in ports):
        raise LabError(f"{name}.toml: a port belongs to one uplink at most and its name has at most 13 characters")
    nic = raw.get("nic", "veth")
    if nic not in ("veth", "virtio"):
        raise LabError(f'{name}.toml: nic "{nic}": allowed: veth virtio')
    return Topology(name=name, summary=raw.get("summary", ""), ports=ports, uplinks=uplinks,
                    console_addresses=raw.get("console_addresses", ["203.0.113.10"]),
                    equal_ifindex=raw.get("equal_ifindex", True), nic=nic)
