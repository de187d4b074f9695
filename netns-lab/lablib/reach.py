"""Who reaches whom: greeters of both families, one question, frames by hand, a capture, a DNS question."""
import contextlib
import ipaddress
import json
import socket
import struct
import threading

from . import pace
from .traffic import Worker

ETH_P_ALL, ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 0x0003, 0x0800, 0x0806, 0x86DD
BROADCAST = "ff:ff:ff:ff:ff:ff"


class Greeter(Worker):
    """Greets over TCP and answers over UDP on one port, IPv4 and IPv6: "<name> <address of the peer>"."""

    def __init__(self, node, port, name):
        super().__init__()
        self.name, self.peers = name, []
        self._tcp, self._udp = (self._bound(node, kind, port) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM))
        self._tcp.listen(64)
        self._run(self._serve_tcp)
        self._run(self._serve_udp)

    @staticmethod
    def _bound(node, kind, port):
        made = node.socket(socket.AF_INET6, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(("::", port))
        made.settimeout(0.1)
        return made

    def _line(self, peer):
        address = peer[0].removeprefix("::ffff:").split("%")[0]
        self.peers.append(address)
        return f"{self.name} {address}\n".encode()

    def _serve_tcp(self):
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                connection, peer = self._tcp.accept()
                with connection:
                    connection.sendall(self._line(peer))

    def _serve_udp(self):
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                _, peer = self._udp.recvfrom(2048)
                self._udp.sendto(self._line(peer), peer)

    def stop(self):
        super().stop()
        self._tcp.close()
        self._udp.close()


def reach(node, address, port, protocol="tcp", timeout_s=2.0, source=None):
    """The greeting that a node gets from address:port, "" when nobody answers."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with node.socket(family, kind) as client:
        client.settimeout(pace.deadline(timeout_s))
        try:
            if source:
                client.bind((source, 0))
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"?")
            return client.recv(200).decode().strip()
        except OSError:
            return ""


def global_addresses(node, link="eth0", family=6):
    """Global addresses of a link, tentative ones left out."""
    out = node.run(["ip", "-j", f"-{family}", "addr", "show", "dev", link, "scope", "global"])
    return [a["local"] for entry in json.loads(out or "[]") for a in entry.get("addr_info", [])
            if a.get("local") and not a.get("tentative")]


def listen_to_routers(node, link="eth0"):
    """IPv6 as a guest's kernel has it: link-local address, addresses and router from advertisements."""
    node.sysctl("net/ipv6/conf/all/disable_ipv6", 0)
    node.sysctl(f"net/ipv6/conf/{link}/accept_dad", 0)
    node.sysctl(f"net/ipv6/conf/{link}/accept_ra", 1)
    node.sysctl(f"net/ipv6/conf/{link}/disable_ipv6", 0)
    node.set_link(link, False)      # Solicits a router when it comes up.
    node.set_link(link, True)


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def frame(destination, source, ethertype, payload):
    return mac_bytes(destination) + mac_bytes(source) + struct.pack("!H", ethertype) + payload


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4_udp(source, destination, source_port, destination_port, data):
    """An IPv4 packet with a UDP datagram (checksum 0: none)."""
    udp = struct.pack("!HHHH", source_port, destination_port, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0, socket.inet_aton(source),
                       socket.inet_aton(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def ipv6(source, destination, next_header, payload):
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
    if next_header == 58:
        pseudo = addresses + struct.pack("!II", len(payload), 58)
        payload = payload[:2] + struct.pack("!H", checksum(pseudo + payload)) + payload[4:]
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, 255) + addresses + payload


def arp_request(sender_mac, sender_ip, target_ip):
    return struct.pack("!HHBBH6s4s6s4s", 1, ETH_P_IP, 6, 4, 1, mac_bytes(sender_mac), socket.inet_aton(sender_ip),
                       b"\0" * 6, socket.inet_aton(target_ip))


def send_frame(node, data, link="eth0"):
    """Puts a frame on a node's link as it is."""
    with node.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((link, 0))
        out.send(data)


class Capture:
    """Frames that pass a node's links, both ways, from entering the block on."""

    def __init__(self, node, links):
        self.frames = []
        self._sockets = {}
        with node.inside():
            for link in links:
                self._sockets[link] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                self._sockets[link].bind((link, ETH_P_ALL))
                self._sockets[link].settimeout(0.05)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read, args=entry, daemon=True)
                         for entry in self._sockets.items()]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def _read(self, link, source):
        """Until the block has ended and what has arrived by then is read."""
        while True:
            ended = self._stop.is_set()
            source.settimeout(0 if ended else 0.05)
            try:
                self.frames.append((link, source.recv(65535)))
            except OSError:
                if ended:
                    return

    def __exit__(self, *exception):
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)
        for source in self._sockets.values():
            source.close()

    def having(self, *parts):
        """Frames that contain one of the byte strings."""
        return [(link, data.hex()) for link, data in list(self.frames) if any(part in data for part in parts)]


def packed(address):
    return ipaddress.ip_address(address).packed


def dns(node, server, name, timeout_s=1.0):
    """(response code, number of answers) of a question for an IPv4 address; None: no answer."""
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with node.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(pace.deadline(timeout_s))
        try:
            client.sendto(struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1),
                          (server, 53))
            answer = client.recv(1500)
        except OSError:
            return None
        return answer[3] & 15, struct.unpack("!H", answer[6:8])[0]


def advertise(lab, uplink, prefix):
    """The router of an uplink speaks IPv6 from now on: it advertises prefix (a /64, "fd00:1::") and is ::1 in it;
    the client there is ::c."""
    router = lab.router(uplink)
    for node, link, host in ((router, "lan", 1), (lab.client(uplink), "eth0", 0xC)):
        node.sysctl(f"net/ipv6/conf/{link}/accept_ra", 0)
        node.sysctl("net/ipv6/conf/all/disable_ipv6", 0)
        node.sysctl(f"net/ipv6/conf/{link}/disable_ipv6", 0)
        node.ip("-6", "addr", "add", f"{prefix}{host:x}/64", "dev", link, "nodad")
    router.sysctl("net/ipv6/conf/all/forwarding", 1)
    lab.client(uplink).ip("-6", "route", "add", "default", "via", f"{prefix}1")
    config = router.dir / "ra.conf"
    config.write_text(f"port=0\ninterface=lan\nbind-dynamic\nenable-ra\nra-param=lan,5,1800\n"
                      f"dhcp-range={prefix},ra-only,64,10m\ndhcp-leasefile={router.dir}/ra.leases\npid-file=\n")
    router.spawn(["dnsmasq", "-k", "-C", str(config)], log="ra-dnsmasq")
    return f"{prefix}c"


def guest(lab, interface, ipv6=False):
    """A VM with its lease; with ipv6 also an address of the network's advertisement: (vm, v4, v6)."""
    vm = lab.vm(interface)
    if ipv6:
        listen_to_routers(vm.node)
    v4 = vm.dhcp()
    if ipv6:
        lab.expect(15, f"{interface} has an IPv6 address", lambda: global_addresses(vm.node))
    return vm, v4, (global_addresses(vm.node) or [""])[0]


def dhcpv6(lab, vm):
    """The address that the network's DHCPv6 has for a VM: the host number of its IPv4 lease. Pre: guest(ipv6=True)."""
    config = vm.node.dir / "dhcpcd6.conf"
    config.write_text("nodelay\nnoipv6rs\nnohook resolv.conf, hostname, ntp, timesyncd, ypbind\n"
                      "duid ll\ninterface eth0\nia_na 1\n")
    before = set(global_addresses(vm.node))
    vm.node.spawn(["dhcpcd", "-B", "-6", "-f", config, "eth0"], log="dhcpcd6.log")
    lab.expect(15, f"{vm.interface} has an address by DHCPv6", lambda: set(global_addresses(vm.node)) - before)
    return (set(global_addresses(vm.node)) - before).pop()
