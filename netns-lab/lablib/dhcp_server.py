"""What a router runs: dnsmasq for DHCP and DNS, or Kea for DHCP with leases shorter than dnsmasq's two minutes."""
import json
import signal
import time

from . import pace
from .ns import LabError


class DhcpServer:
    """The DHCP and DNS service of one uplink. DNS goes on while DHCP is stopped, as in real outages."""

    def __init__(self, node, uplink, console_addresses, lan):
        self.node, self.uplink, self.lan = node, uplink, lan
        self.console_addresses = list(console_addresses)
        self._dns = self._dhcp = None

    def start(self):
        self._dns = self._start_dnsmasq(with_dhcp=False)
        self.start_dhcp()

    def start_dhcp(self):
        """(Re)starts DHCP with the settings that self.uplink holds now."""
        self.stop_dhcp()
        if self.uplink.dhcp == "dnsmasq":
            self._dhcp = self._start_dnsmasq(with_dhcp=True)
        elif self.uplink.dhcp == "kea":
            self._dhcp = self._start_kea()

    def stop_dhcp(self):
        """The DHCP server dies; leases it gave out live on with the clients, its memory of them in the file."""
        self._end(self._dhcp)
        self._dhcp = None

    def stop_dns(self):
        self._end(self._dns)
        self._dns = None

    def answer(self, addresses):
        """DNS begins anew and names these as the Console's; none: there is no such name."""
        self.stop_dns()
        self.console_addresses = list(addresses)
        self._dns = self._start_dnsmasq(with_dhcp=False)

    def pause_dhcp(self, paused=True):
        """SIGSTOP: the socket stays, nobody answers."""
        if self._dhcp:
            self._dhcp.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def resume_dhcp(self):
        """A paused one goes on, a dead one begins anew."""
        if self._dhcp and self._dhcp.poll() is None:
            self.pause_dhcp(paused=False)
        else:
            self.start_dhcp()

    @staticmethod
    def _end(child):
        if child and child.poll() is None:
            child.kill()
            child.wait(timeout=pace.deadline(3))

    def _start_dnsmasq(self, with_dhcp):
        uplink, folder = self.uplink, self.node.dir
        kind = "dhcp" if with_dhcp else "dns"
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--no-hosts", "--no-resolv",
                f"--pid-file={folder}/dnsmasq-{kind}.pid", "--log-facility=-", "--bind-interfaces",
                f"--interface={self.lan}", "--except-interface=lo"]
        if with_dhcp:
            network = uplink.network()
            argv += ["--port=0", "--no-ping", "--log-dhcp", f"--dhcp-leasefile={folder}/leases",
                     f"--dhcp-range={uplink.dhcp_from},{uplink.dhcp_to},{network.netmask},{uplink.lease_s}",
                     f"--dhcp-option=option:router,{uplink.gateway}",
                     f"--dhcp-option=option:dns-server,{self.router_address()}"]
            argv += ["--dhcp-authoritative"] if uplink.authoritative else []
            argv += [f"--dhcp-option={option}" for option in uplink.dhcp_options]
        else:
            argv += ["--local=/example/"] + [f"--host-record=console.example,{a}" for a in self.console_addresses]
        return self.node.spawn(argv, log=f"dnsmasq-{kind}.log")

    def router_address(self):
        return str(self.uplink.network()[1])

    def _wait_running(self):
        deadline = time.monotonic() + pace.deadline(5)
        while "state UP" not in self.node.ip("link", "show", self.lan) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _start_kea(self):
        uplink, folder = self.uplink, self.node.dir
        config = {"Dhcp4": {
            "interfaces-config": {"interfaces": [self.lan], "dhcp-socket-type": "raw"},
            "lease-database": {"type": "memfile", "persist": True, "name": f"{folder}/kea-leases.csv",
                               "lfc-interval": 0},
            "authoritative": uplink.authoritative, "valid-lifetime": uplink.lease_s,
            "renew-timer": uplink.lease_s // 2, "rebind-timer": uplink.lease_s * 7 // 8,
            "subnet4": [{"subnet": uplink.subnet, "id": 1,
                         "pools": [{"pool": f"{uplink.dhcp_from} - {uplink.dhcp_to}"}],
                         "option-data": [{"name": "routers", "data": uplink.gateway},
                                         {"name": "domain-name-servers", "data": self.router_address()}]}],
            "loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout"}]}]}}
        path = folder / "kea.json"
        path.write_text(json.dumps(config))
        log = folder / "kea.log"
        log.write_text("")
        self._wait_running()     # Kea opens no socket on a link that is not running, and never tries again
        child = self.node.spawn(["kea-dhcp4", "-c", path], log="kea.log",
                                env={"KEA_PIDFILE_DIR": str(folder), "KEA_LOCKFILE_DIR": "none"})
        deadline = time.monotonic() + pace.deadline(5)
        while "DHCP4_STARTED" not in log.read_text():
            if child.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"kea-dhcp4 did not start: {log.read_text()[-500:]}")
            time.sleep(0.01)
        return child
