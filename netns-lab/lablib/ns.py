"""Namespaces: enter one with a thread, run programs in one, find what still lives in one."""
import contextlib
import ctypes
import fcntl
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading
import time

from . import pace

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
IFF_UP = 1
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something the lab itself could not do; the text says what and why."""


def setns_net(fd):
    """Moves the calling thread, and only it, into the network namespace behind fd."""
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns: " + os.strerror(ctypes.get_errno()))


def become_subreaper():
    """Orphans of our children (dhcpcd below a killed uplinkd) become ours, so that we see and reap them."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(sig):
    """We get this signal when the process that made us is gone. Pre: that is still there, which the caller checks."""
    _libc.prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0)


def ip_batch(lines, netns=None):
    """Runs `ip -batch` on lines, inside netns if named. Errors: LabError with ip's words."""
    command = ["ip"] + (["-n", netns] if netns else []) + ["-batch", "-"]
    done = subprocess.run(command, input="\n".join(lines) + "\n", text=True, capture_output=True)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")


def existing(prefix):
    """Names of the network namespaces that start with prefix."""
    folder = pathlib.Path("/run/netns")
    return sorted(p.name for p in folder.glob(prefix + "*")) if folder.is_dir() else []


def processes_in(names):
    """Pids of all processes whose network namespace is one of names (found by inode, never by program name)."""
    inodes = set()
    for name in names:
        with contextlib.suppress(OSError):
            inodes.add(os.stat(f"/run/netns/{name}").st_ino)
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{entry}/ns/net").st_ino in inodes:
                    found.append(int(entry))
    return found


def kill_by_pidfd(pids, sig=signal.SIGKILL, timeout_s=3.0):
    """Ends exactly these processes and waits until they are gone."""
    fds = []
    for pid in pids:
        with contextlib.suppress(OSError):
            fd = os.pidfd_open(pid)
            fds.append((pid, fd))
            signal.pidfd_send_signal(fd, sig)
    deadline = time.monotonic() + pace.deadline(timeout_s)
    for pid, fd in fds:
        while not _ended(pid) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.close(fd)


def _ended(pid):
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


class Node:
    """One machine of the lab: a network namespace and a private mount namespace (/sys, /run, /var/lib, resolv.conf).

    Threads: run(), inside() and socket() from any; spawn() only from the main thread, because a child dies with
    the thread that made it."""

    def __init__(self, instance, name, folder):
        self.name = name
        self.netns = f"ul-{instance}-{name}"
        self.dir = pathlib.Path(folder) / name
        self.children = []
        self._anchor = None
        self._fd = -1
        self._flags_socket = None

    def open(self, machine=False):
        """Pre: the network namespace exists. machine: also its own mounts, for nodes that run whole programs."""
        self.dir.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(f"/run/netns/{self.netns}", os.O_RDONLY | os.O_CLOEXEC)
        with self.inside():
            self._flags_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if machine:
            self._start_anchor()

    def _start_anchor(self):
        for part in ("run", "var-lib/dhcpcd", "var-lib/misc", "var-lib/kea"):
            (self.dir / part).mkdir(parents=True, exist_ok=True)
        resolv = self.dir / "resolv.conf"
        resolv.touch()
        script = ("mount -t sysfs sysfs /sys && mount --bind \"$1/run\" /run && mount --bind \"$1/var-lib\" /var/lib "
                  "&& mount --bind \"$1/resolv.conf\" /etc/resolv.conf && echo ready && exec sleep infinity")
        self._anchor = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/run/netns/{self.netns}", "unshare", "--mount",
             "--propagation", "private", "sh", "-c", script, "anchor", str(self.dir)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def wait_ready(self):
        """Blocks until the private mounts stand."""
        if self._anchor and self._anchor.stdout:
            if self._anchor.stdout.readline().strip() != "ready":
                raise LabError(f"node {self.name}: could not mount its private /sys, /run and /var/lib")
            self._anchor.stdout.close()

    def netns_file(self):
        """A name of the network namespace that also works where /run is another. Pre: opened with machine."""
        return f"/proc/{self._anchor.pid}/ns/net"

    def processes(self):
        """Pids of all that runs in this node, but for what holds its mounts."""
        return [pid for pid in processes_in([self.netns]) if not self._anchor or pid != self._anchor.pid]

    def entry(self):
        """The command prefix that runs a program in this node."""
        mounts = [f"--mount=/proc/{self._anchor.pid}/ns/mnt"] if self._anchor else []
        return ["nsenter", f"--net=/run/netns/{self.netns}"] + mounts + ["--"]

    def spawn(self, argv, log=None, env=None, stdin=subprocess.DEVNULL, stdout=None):
        """Starts a long-lived program; it dies with the lab. log: file name in the node's folder."""
        if threading.current_thread() is not threading.main_thread():
            raise LabError("spawn() belongs to the main thread")
        out = open(self.dir / log, "ab") if log else subprocess.DEVNULL
        try:
            child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + self.entry() + [str(a) for a in argv],
                                     stdin=stdin, stdout=stdout or out, stderr=out,
                                     env={**os.environ, **(env or {})}, start_new_session=True)
        finally:
            if log:
                out.close()
        self.children.append(child)
        return child

    def run(self, argv, check=True, text=None, timeout=30):
        """Runs a program to its end and returns its standard output. Errors: LabError with its words."""
        done = subprocess.run(self.entry() + [str(a) for a in argv], input=text, text=True, capture_output=True,
                              timeout=pace.deadline(timeout))
        if check and done.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(map(str, argv))}: exit {done.returncode}: "
                           f"{(done.stderr or done.stdout).strip()}")
        return done.stdout

    @contextlib.contextmanager
    def inside(self):
        """The calling thread is in the node's network namespace for the block; sockets made there stay there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns_net(self._fd)
            yield
        finally:
            setns_net(home)
            os.close(home)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        """A socket that lives in this node."""
        with self.inside():
            return socket.socket(family, kind, protocol)

    def set_link(self, name, up):
        """Sets a link up or down by ioctl: no fork between the decision and the event."""
        request = struct.pack("16sh14x", name.encode(), 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(self._flags_socket, SIOCGIFFLAGS, request))[1]
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(self._flags_socket, SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), flags))

    def sysctl(self, key, value=None):
        """Reads or writes /proc/sys/<key> of this node's network namespace."""
        with self.inside():
            path = pathlib.Path("/proc/sys") / key
            if value is None:
                return path.read_text().strip()
            path.write_text(str(value))
            return str(value)

    def sysfs(self, path):
        """Reads /sys/<path> as this node sees it, "" when it is not there. Pre: opened with machine."""
        try:
            return pathlib.Path(f"/proc/{self._anchor.pid}/root/sys/{path}").read_text().strip()
        except OSError:
            return ""

    def nft(self, rules):
        """Loads an nft script in one transaction."""
        self.run(["nft", "-f", "-"], text=rules)

    def ip(self, *arguments):
        """`ip` in this node."""
        return self.run(["ip", *arguments])

    def close(self):
        """Ends the children and the anchor; the namespace itself is the lab's to delete."""
        for child in self.children:
            if child.poll() is None:
                kill_by_pidfd([child.pid])
        for child in self.children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=pace.deadline(2))
        if self._anchor:
            self._anchor.kill()
            self._anchor.wait()
        if self._flags_socket:
            self._flags_socket.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
