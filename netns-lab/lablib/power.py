"""A power cut: what was synced to the disk is left, every process is dead, and the kernel that comes up knows nothing.

The daemon runs with a library that copies what it fsyncs to a second folder (powercut.c); after a cut its state folder holds
no more than that copy."""
import pathlib
import shutil
import subprocess
import uuid

from .ns import kill_by_pidfd

LIBRARY = pathlib.Path(__file__).with_name("powercut.c")
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Power:
    """Pre: made before the host starts."""

    def __init__(self, lab):
        self.lab, self.durable, self.boot = lab, lab.dir / "durable", lab.dir / "boot_id"
        library = lab.dir / "powercut.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, LIBRARY, "-ldl"], check=True)
        self.durable.mkdir()
        lab.host.environment = {"LD_PRELOAD": str(library), "POWERCUT_STATE": str(lab.host.state),
                                "POWERCUT_DURABLE": str(self.durable),
                                "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}
        self.boot.write_text(f"{uuid.uuid4()}\n")

    def cut_daemon(self):
        """Only the daemon and its disk: the kernel goes on."""
        self.lab.host.kill()
        shutil.rmtree(self.lab.host.state)
        shutil.copytree(self.durable, self.lab.host.state)

    def cut(self):
        """The whole machine. Pre: the topology's cards are veth."""
        host, node, ports = self.lab.host, self.lab.host.node, self.lab.topology.ports
        kill_by_pidfd([host.daemon.pid])       # At once; what is forked below takes its time.
        self.cut_daemon()
        kill_by_pidfd(node.processes())
        shutil.rmtree(host.runtime, ignore_errors=True)
        for left in (node.dir / "run").iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        node.run(["nft", "flush", "ruleset"])
        for link in host.kernel("link"):
            if link["ifname"] not in ports + ["lo"]:
                node.run(["ip", "link", "delete", link["ifname"]], check=False)     # A VLAN goes with its parent.
        for port in ports:
            node.ip("link", "set", "dev", port, "down")
            node.ip("link", "set", "dev", port, "nomaster", "mtu", "1500")
            node.ip("addr", "flush", "dev", port)
        for family in ("-4", "-6"):
            node.ip(family, "rule", "flush")
            node.ip(family, "rule", "add", "pref", "32766", "lookup", "main")
        node.ip("rule", "add", "pref", "32767", "lookup", "default")
        self.boot.write_text(f"{uuid.uuid4()}\n")
        if node.run(["cat", BOOT_ID]) != self.boot.read_text():
            node.run(["mount", "--bind", self.boot, BOOT_ID])
