"""Builds a topology: namespaces, cables, switches, routers. Everything is named ul-<instance>-<node>."""
import contextlib
import fcntl
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile

from . import nics, ns
from .dhcp_server import DhcpServer
from .faults import Faults
from .hardware import far_mac, port_mac
from .ns import LabError, Node

REGISTRY = pathlib.Path("/run/uplink-lab")
NETNS_PREFIX = "ul-"
CABLE_IFINDEX_BASE = 2000
PORT_IFINDEX_BASE = 500      # equal numbers on both ends of a cable: carrier events as late as on a physical NIC
FOLDERS = os.environ.get("UPLINK_LAB_FOLDERS", "/tmp")   # where labs keep what their programs write: stores, logs


class Network(Faults):
    """One instance of a topology. Owner: the process that called up(); everything in it dies with that process."""

    def __init__(self, topology, instance=None):
        self.topology = topology
        self.instance = instance or secrets.token_hex(3)
        self.nodes = {}
        self.servers = {}
        self.plugged = {}
        self.dir = None
        self._cables_made = 0

    # -- building -------------------------------------------------------------------------------------------------
    def up(self):
        """Builds it all. Errors: LabError; what was built until then goes with down()."""
        ns.become_subreaper()
        collect_dead_instances()
        if self.topology.nic == "virtio":
            nics.check(self.topology)
        registry = REGISTRY / f"{self.instance}.json"
        REGISTRY.mkdir(parents=True, exist_ok=True)
        try:
            registry_fd = os.open(registry, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            raise LabError(f"instance {self.instance} is already up: netns-lab/lab down --instance {self.instance}")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"ul-{self.instance}-", dir=FOLDERS))
        os.chmod(self.dir, 0o755)
        with os.fdopen(registry_fd, "w") as file:
            json.dump({"instance": self.instance, "pid": os.getpid(), "started": process_start(os.getpid()),
                       "dir": str(self.dir), "topology": self.topology.name}, file)
        self._namespaces()
        self._cables()
        self._switches()
        self._hosts()
        for uplink in self.topology.uplinks:
            self._router(uplink)
        for node in self.nodes.values():
            node.wait_ready()
        return self

    def _namespaces(self):
        names = ["sw", "hv", "console"]
        for uplink in self.topology.uplinks:
            names += [f"router-{uplink.name}"] + ([f"client-{uplink.name}"] if uplink.client else [])
        self.nodes = {name: Node(self.instance, name, self.dir) for name in names}
        ns.ip_batch([f"netns add {node.netns}" for node in self.nodes.values()])
        for name, node in self.nodes.items():
            node.open(machine=name in ("hv", "console"))
            node.sysctl("net/ipv6/conf/default/disable_ipv6", 0 if name == "hv" else 1)
            node.set_link("lo", True)

    def add_node(self, name, machine=True):
        """One more machine, for a VM."""
        node = Node(self.instance, name, self.dir)
        ns.ip_batch([f"netns add {node.netns}"])
        node.open(machine=machine)
        node.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
        node.set_link("lo", True)
        self.nodes[name] = node
        node.wait_ready()
        return node

    def _cables(self):
        lines = []
        for index, port in enumerate(self.topology.ports):
            if self.topology.nic == "virtio":
                node, far = self.far_end(port)
                nics.take(index, port_mac(index), port, self.nodes["hv"].netns)
                nics.take(index, far_mac(index), far, self.nodes[node].netns)
            else:
                lines.append(self.port_cable(index, port))
        for uplink in self.topology.uplinks:
            if not uplink.direct:
                lines.append(self.cable(f"router-{uplink.name}", "lan", "sw", f"r-{uplink.name}"))
            lines.append(self.cable(f"router-{uplink.name}", "wan", "sw", f"w-{uplink.name}"))
            if uplink.client:
                lines.append(self.cable(f"client-{uplink.name}", "eth0", "sw", f"c-{uplink.name}"))
        lines.append(self.cable("console", "eth0", "sw", "console"))
        ns.ip_batch(lines)

    def cable(self, node, name, peer_node, peer):
        """A cable whose ends have different numbers: its carrier events are urgent and come at once."""
        self._cables_made += 1
        return (f"link add {name} index {1000 + self._cables_made} netns {self.nodes[node].netns} type veth "
                f"peer name {peer} index {CABLE_IFINDEX_BASE + self._cables_made} netns {self.nodes[peer_node].netns}")

    def port_cable(self, index, port, ifindex=None, mac=None):
        """The `ip` line that makes a port of the host and the socket in the wall that it goes to."""
        ifindex = ifindex or PORT_IFINDEX_BASE + index
        peer_index = ifindex if self.topology.equal_ifindex else ifindex + 1000
        node, peer = self.far_end(port)
        return (f"link add {port} index {ifindex} address {mac or port_mac(index)} netns {self.nodes['hv'].netns} "
                f"type veth peer name {peer} index {peer_index} netns {self.nodes[node].netns}")

    def _switches(self):
        bridges = ["inet", "dead"] + [f"sw-{u.name}" for u in self.topology.uplinks]
        lines = [f"link add {b} type bridge forward_delay 0 stp_state 0 mcast_snooping 0" for b in bridges]
        lines += [f"link set {b} up" for b in bridges] + ["link set console master inet up"]
        for uplink in self.topology.uplinks:
            lines.append(f"link set w-{uplink.name} master inet up")
            lines += [] if uplink.direct else [f"link set r-{uplink.name} master sw-{uplink.name} up"]
            lines += [f"link set c-{uplink.name} master sw-{uplink.name} up"] if uplink.client else []
            if uplink.port:
                self.plugged[uplink.port] = uplink.name
                lines += [] if uplink.direct else [f"link set p-{uplink.port} master sw-{uplink.name} up"]
        ns.ip_batch(lines, self.nodes["sw"].netns)

    def _hosts(self):
        lines = [f"addr add {a}/24 dev eth0" for a in self.topology.console_addresses] + ["link set eth0 up"]
        ns.ip_batch(lines, self.nodes["console"].netns)
        for uplink in self.topology.uplinks:
            if uplink.client:
                length = uplink.network().prefixlen
                ns.ip_batch([f"addr add {uplink.client_address()}/{length} dev eth0", "link set eth0 up",
                             f"route add default via {uplink.gateway}"], self.nodes[f"client-{uplink.name}"].netns)

    def _router(self, uplink):
        node = self.nodes[f"router-{uplink.name}"]
        lan = f"p-{uplink.port}" if uplink.direct else "lan"
        ns.ip_batch([f"addr add {uplink.network()[1]}/{uplink.network().prefixlen} dev {lan}", f"link set {lan} up",
                     f"addr add {uplink.wan}/24 dev wan", "link set wan up"], node.netns)
        node.sysctl("net/ipv4/ip_forward", 1)
        node.nft(f"""table ip lab {{
  chain fault {{ type filter hook forward priority -300; }}
  chain nat {{ type nat hook postrouting priority 100; oifname "wan" masquerade; }}
}}""")
        server = DhcpServer(node, uplink, self.topology.console_addresses, lan)
        self.servers[uplink.name] = server
        server.start()

    # -- finding --------------------------------------------------------------------------------------------------
    def node(self, name):
        if name not in self.nodes:
            raise LabError(f'no node "{name}"; there are: {" ".join(sorted(self.nodes))}')
        return self.nodes[name]

    def router(self, name):
        return self.node(f"router-{name}")

    def client(self, name):
        return self.node(f"client-{name}")

    # -- ending ---------------------------------------------------------------------------------------------------
    def down(self):
        """Takes everything away, undisturbed by signals. Returns what should have gone and did not: [] when clean."""
        with shielded():
            return self._down()

    def _down(self):
        for node in self.nodes.values():
            with contextlib.suppress(OSError):
                node.close()
        leftovers = remove_instance(self.instance, self.dir)
        if self.topology.nic == "virtio" and self.nodes:
            leftovers += nics.give_back(self.topology.ports)
        self.nodes = {}
        return leftovers


@contextlib.contextmanager
def shielded():
    """Ctrl-C and TERM wait until the block has ended."""
    mask = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    old = signal.pthread_sigmask(signal.SIG_BLOCK, mask)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def process_start(pid):
    """Start time of a process in ticks: with the pid it names one process for ever. 0: it has ended, though nobody may have
    waited for it yet."""
    try:
        facts = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return 0 if facts[0] in "ZX" else int(facts[19])


def instances():
    """All registered instances: {name: facts}, each with alive: bool."""
    found = {}
    for path in sorted(REGISTRY.glob("*.json")) if REGISTRY.is_dir() else []:
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads(path.read_text())
            facts["alive"] = process_start(facts["pid"]) == facts["started"] and facts["started"] != 0
            found[facts["instance"]] = facts
    return found


def remove_instance(instance, folder):
    """Ends the processes in the instance's namespaces, deletes them and its folder. Returns what is left over."""
    names = ns.existing(f"{NETNS_PREFIX}{instance}-")
    for _ in range(3):
        pids = ns.processes_in(names)
        if not pids:
            break
        ns.kill_by_pidfd(pids)
    left = [f"process {pid}" for pid in ns.processes_in(names)]
    for name in names:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    for left_file in (f"{instance}.json", f"{instance}.sock"):
        (REGISTRY / left_file).unlink(missing_ok=True)
    left += [f"namespace {name}" for name in ns.existing(f"{NETNS_PREFIX}{instance}-")]
    left += [f"folder {p}" for p in pathlib.Path(FOLDERS).glob(f"ul-{instance}-*")]
    return left


def collect_dead_instances():
    """Clears away what a killed lab left: its owner is gone, so nobody else will. One at a time: the name may be used anew."""
    with open("/run/uplink-lab.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, facts in instances().items():
            if not facts["alive"]:
                remove_instance(name, pathlib.Path(facts["dir"]))
