"""Others who configure a machine's network: Debian's NetworkManager and firewalld, the real programs, on a bus of their own.

They run from where tests/install-packages unpacks them: installed, they would bring udev and systemd and begin to manage the
machine that the lab runs on."""
import pathlib
import subprocess

from . import pace
from .ns import LabError
from .product import REPOSITORY

UNPACKED = pathlib.Path("/var/cache/uplink-lab/managers")
PYTHON = {"PYTHONPATH": str(UNPACKED / "usr/lib/python3/dist-packages")}
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""
NETWORK_MANAGER = """[main]
plugins=keyfile
dns=none
no-auto-default=*
[keyfile]
path={folder}/connections
[device]
match-device=type:veth
managed=1
[logging]
level=INFO
backend=stderr
"""
CONNECTION = """[connection]
id={port}
uuid=11111111-1111-4111-8111-{number:012}
type=ethernet
interface-name={port}
[ipv4]
method=manual
address1={address},{gateway}
[ipv6]
method=disabled
"""


class Managers:
    """Of one host. Pre: made before the product starts there."""

    def __init__(self, lab):
        self.lab, self.node, self.folder = lab, lab.host.node, lab.host.node.dir / "managers"
        if subprocess.run([REPOSITORY / "tests/install-packages", "--managers"]).returncode != 0:
            raise LabError("NetworkManager and firewalld cannot be unpacked: see what tests/install-packages --managers says")
        (self.folder / "connections").mkdir(parents=True)
        (self.folder / "firewalld").mkdir()
        self.node.run(["mkdir", "-p", "/run/dbus", "/run/NetworkManager", "/var/lib/NetworkManager"])
        config = self.folder / "bus.conf"
        config.write_text(BUS)
        self.node.spawn(["dbus-daemon", f"--config-file={config}", "--nofork"], log="dbus.log")
        lab.expect(5, "the bus is there", lambda: (self.node.dir / "run/dbus/system_bus_socket").exists())

    def network_manager(self, addresses):
        """NetworkManager runs and has set {port: (address with length, gateway)}."""
        for number, (port, (address, gateway)) in enumerate(addresses.items()):
            file = self.folder / f"connections/{port}.nmconnection"
            file.write_text(CONNECTION.format(port=port, number=number, address=address, gateway=gateway))
            file.chmod(0o600)
        self.addresses = addresses
        config = self.folder / "NetworkManager.conf"
        config.write_text(NETWORK_MANAGER.format(folder=self.folder))
        # Where /sys is read-only it asks no udev what a device is.
        argv = [UNPACKED / "usr/sbin/NetworkManager", "--no-daemon", f"--config={config}", f"--config-dir={self.folder}/none",
                f"--system-config-dir={self.folder}/none", f"--intern-config={self.folder}/intern.conf"]
        self._network_manager = self.node.spawn(["unshare", "--mount", "sh", "-c", "mount -o remount,bind,ro /sys && exec \"$@\"", "sh", *argv],
                                                log="NetworkManager.log", env=self._libraries())
        self.lab.expect(20, "NetworkManager has connected them", lambda: all(
            self.device(port).startswith("connected") for port in addresses), interval=0.2)

    def restart_network_manager(self):
        """As systemd does when its package is upgraded."""
        self._network_manager.terminate()
        self._network_manager.wait(timeout=pace.deadline(10))
        self.network_manager(self.addresses)

    def _libraries(self):
        return {"LD_LIBRARY_PATH": str(next((UNPACKED / "usr/lib").glob("*-linux-gnu")))}

    def nmcli(self, *arguments):
        variables = [f"{name}={value}" for name, value in self._libraries().items()]
        return self.node.run(["env", *variables, UNPACKED / "usr/bin/nmcli", *arguments])

    def device(self, port):
        """NetworkManager's word for its state: "connected", "unmanaged"."""
        lines = self.nmcli("-t", "-f", "DEVICE,STATE", "device").splitlines()
        return dict(line.split(":", 1) for line in lines).get(port, "")

    def firewalld(self):
        """firewalld runs with Debian's default zone, and its table stands."""
        argv = ["/usr/bin/python3", UNPACKED / "usr/sbin/firewalld", "--nofork", "--nopid",
                f"--system-config={self.folder}/firewalld", f"--default-config={UNPACKED}/usr/lib/firewalld",
                f"--log-file={self.folder}/firewalld.log"]
        self.node.spawn(argv, log="firewalld-out.log", env=PYTHON)
        self.lab.expect(30, "firewalld has its table", lambda: "firewalld" in self.node.run(["nft", "list", "tables"]),
                        interval=0.2)

    def _firewall_cmd(self, *arguments):
        return self.node.run(["env", *[f"{name}={value}" for name, value in PYTHON.items()], "/usr/bin/python3",
                              UNPACKED / "usr/bin/firewall-cmd", *arguments], timeout=90)

    def allow(self, protocol, port):
        """A port of the default zone, kept over a reload."""
        for permanent in ([], ["--permanent"]):
            self._firewall_cmd(*permanent, f"--add-port={port}/{protocol}")

    def reload_firewalld(self):
        self._firewall_cmd("--reload")

    def firewall(self):
        """firewalld's rules, without those that say which link is in which zone: NetworkManager has a say in that."""
        lines = self.node.run(["nft", "-s", "list", "table", "inet", "firewalld"]).splitlines()
        return sorted(line.strip() for line in lines if "ifname" not in line)
