"""The product under test: where its programs are, the host's daemon, the Console."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import uuid

from . import pace
from .hardware import port_mac
from .ns import LabError, processes_in
from .program import Program

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = ("uplinkd", "uplink-dhcp-keeper", "uplink-dhcp-hook", "uplinkctl", "uplink-console")
HOST_ID = "hv-01"
CONSOLE_NAME = "console.example"
TOKEN = "lab-token-0123456789abcdef0123456789abcdef"
COMMAND_WAIT_MAX_S = 300     # the API's own limit
USABLE = ("active", "standby")     # States of a path that carries the tunnel, or could at once.


def program_folder(build=None):
    """The folder with the programs. build: a build folder or its bin; else $UPLINK_BIN; else build/release, built now."""
    chosen = build or os.environ.get("UPLINK_BIN")
    if chosen:
        folder = pathlib.Path(chosen).resolve()
        folder = folder if (folder / "uplinkd").exists() else folder / "bin"
        missing = [name for name in PROGRAMS if not (folder / name).exists()]
        if missing:
            raise LabError(f"{folder}: no {', '.join(missing)}; build it, or leave --build and UPLINK_BIN away")
        return folder
    subprocess.run([REPOSITORY / "tests/install-packages", "--build"], check=True)
    log = REPOSITORY / "build/lab-build.log"
    log.parent.mkdir(exist_ok=True)
    print("Building build/release (first time: a few minutes) ...", flush=True)
    with open(log, "wb") as out:
        for command in (["cmake", "--preset", "release"],
                        ["cmake", "--build", "build/release", "--target", *PROGRAMS]):
            if subprocess.run(command, cwd=REPOSITORY, stdout=out, stderr=out).returncode != 0:
                raise LabError(f"{' '.join(command)} failed:\n" + "\n".join(log.read_text().splitlines()[-20:]))
    return REPOSITORY / "build/release/bin"


class Host(Program):
    """uplinkd on node hv, and what it says about itself."""

    def __init__(self, node, programs, pki, topology):
        super().__init__("uplinkd", node, programs, "uplink.toml")
        self.pki, self.topology, self.runtime = pki, topology, node.dir / "runtime"
        self.entry = ["setpriv", "--bounding-set", "-sys_time"]      # the machine's clock is not the lab's
        self.settings = {
            "host": {"id": HOST_ID},
            "paths": {"state": str(self.state), "runtime": str(self.runtime)},
            "adapters": {"match": ["eth*"]} if topology.nic == "veth" else {},     # veth has no bus device
            "console": {"endpoints": [f"{CONSOLE_NAME}:{topology.console_port}"], "server_name": CONSOLE_NAME,
                        "ca": str(pki.pem("ca")), "certificate": str(pki.pem("host")), "key": str(pki.key("host"))},
            "tunnel": {"heartbeat_ms": int(pace.deadline(250)), "dead_after": 3},
            "status": {"listen": "127.0.0.1:8480"},
            "log": {"level": os.environ.get("LAB_LOG", "info")}}

    def write_config(self):
        self.config_file.write_text(toml(self.settings))

    def first_answer(self):
        return self.ctl("status")

    def purge(self):
        """uplinkd --purge: everything that is marked ours goes; what it says. Pre: the daemon does not run."""
        environment = [f"{name}={value}" for name, value in self.environment.items()]
        return self.node.run(["env", *environment, self.programs / "uplinkd", "--config", self.config_file, "--purge"])

    def ctl(self, command, **args):
        """One question on the control socket; its data. Errors: LabError with the daemon's words, OSError if absent."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(pace.deadline(10))
            connection.connect(str(self.runtime / "control.sock"))
            connection.sendall(json.dumps({"command": command, "args": args}).encode() + b"\n")
            line = connection.makefile("rb").readline()
        if not line:
            raise OSError("the daemon closed the connection")
        answer = json.loads(line)
        if "data" not in answer:
            raise LabError(f"uplinkctl {command}: {answer.get('error', answer)}")
        return answer["data"]

    def uplinkctl(self, *arguments, check=True):
        """The program as a person runs it: (exit status, standard output, standard error)."""
        done = subprocess.run(self.node.entry() + [str(self.programs / "uplinkctl"), "--socket",
                                                   str(self.runtime / "control.sock"), *map(str, arguments)],
                              capture_output=True, text=True, timeout=pace.deadline(30))
        if check and done.returncode != 0:
            raise LabError(f"uplinkctl {' '.join(map(str, arguments))}: exit {done.returncode}: {done.stderr.strip()}")
        return done.returncode, done.stdout, done.stderr

    # -- what it says, as small facts ------------------------------------------------------------------------------
    def port(self, name):
        return next((p for p in self.ctl("ports") if p["port"] == name), {})

    def lease(self, name):
        return next((x for x in self.ctl("leases") if x["port"] == name), {})

    def address(self, name):
        """The address of a port without its length, "" when it has none."""
        return self.lease(name).get("address", "").split("/")[0]

    def paths(self):
        return self.ctl("paths")

    def path_states(self):
        """{port: state}, of a port with several endpoints the best one."""
        order = ["down", "dialing", "suspect", "standby", "active"]
        states = {}
        for path in self.paths():
            best = states.get(path["port"], "down")
            states[path["port"]] = max(best, path["state"], key=order.index)
        return states

    def path(self, port):
        return next((p for p in self.paths() if p["port"] == port), {})

    def active_port(self):
        """The port of the path that carries the session; also while that path is suspect, which a stalled machine
        makes it without a fault."""
        return next((p["port"] for p in self.paths() if p["active"]), None)

    def events(self):
        return self.ctl("events", limit=10000)

    def session(self):
        return self.ctl("status")["console"].get("session")

    def revision(self):
        """Number of the model in force. Each command that is done and changes the model makes one; a trial that is taken back
        may use one up."""
        return self.ctl("status")["revision"]

    def kernel(self, *arguments):
        """`ip -j ...` in the host, parsed."""
        return json.loads(self.node.run(["ip", "-j", *arguments]) or "[]")

    def picture(self):
        """What the kernel shows of the host's network, without what changes by itself: {part: sorted lines}."""
        routes = self.kernel("route", "show", "table", "all")
        return {"links": sorted(f"{x['ifname']} {x['address']} {x['mtu']} {x.get('master', '')} {x.get('ifalias', '')}"
                                for x in self.kernel("link")),
                "addresses": sorted(f"{x['ifname']} {a['local']}" for x in self.kernel("addr")
                                    for a in x["addr_info"] if a["scope"] == "global"),
                "routes": sorted(f"{r['dst']} {r.get('gateway', '')} {r.get('dev', '')} {r.get('table', 'main')}"
                                 for r in routes if not r["dst"].startswith(("fe80", "ff00", "multicast"))
                                 and r.get("type") not in ("multicast",)),
                "rules": sorted(str(sorted(r.items())) for r in self.kernel("rule")),
                "nft": self.node.run(["nft", "-s", "list", "ruleset"]).splitlines()}

    def bridge(self, port):
        """Name of the bridge that a port of the host got: br and the twelve hex digits of its MAC."""
        return "br" + port_mac(self.topology.ports.index(port)).replace(":", "")

    def kernel_addresses(self, port):
        """IPv4 addresses on the port's bridge, as the kernel says: ["192.168.1.100"]."""
        links = self.kernel("-4", "addr", "show", "dev", self.bridge(port))
        return [a["local"] for link in links for a in link.get("addr_info", [])]

    def dhcp_clients(self, family=4):
        """{interface: pid} of the running DHCP clients; a list of two or more pids shows a duplicate."""
        clients = {}
        for pid in self.children("dhcpcd"):
            try:
                title = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
            match = re.match(rf"dhcpcd: (\S+) \[ip{family}\]", title)
            if match:
                clients.setdefault(match[1], []).append(pid)
        return clients

    def doubled_clients(self):
        """{(interface, family): pids} where more than one DHCP client is alive, a stopped one and one that is being replaced
        counted as well. A client has a PID namespace of its own: a helper that it has just forked, and that still bears its
        title, is none."""
        found = {}
        for family in (4, 6):
            for interface, pids in self.dhcp_clients(family).items():
                homes = set()
                for pid in pids:
                    with contextlib.suppress(OSError):      # It has ended since.
                        homes.add(os.stat(f"/proc/{pid}/ns/pid").st_ino)
                if len(homes) > 1:
                    found[interface, family] = pids
        return found

    def children(self, program):
        """Pids of running processes of this program name on the host (found by namespace)."""
        pids = []
        for pid in processes_in([self.node.netns]):
            try:
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == program:
                    pids.append(pid)
            except OSError:
                pass
        return pids


class Console(Program):
    """uplink-console on node console, and its HTTP API. Threads: request() from any; one connection per thread."""

    def __init__(self, node, programs, pki, topology):
        super().__init__("uplink-console", node, programs, "console.toml")
        self.pki, self.topology = pki, topology
        self.address, self.api_port = topology.console_addresses[0], topology.api_port
        self.tunnel_addresses = list(topology.console_addresses)
        self.certificate = "console"
        self.client_ca = "ca"
        self.signer = None              # name of the CA that signs renewed host certificates; None: nobody does
        self._local = threading.local()

    def write_config(self):
        self.config_file.write_text(toml({
            "listen": {"tunnel": [f"{a}:{self.topology.console_port}" for a in self.tunnel_addresses],
                       "http": f"{self.address}:{self.api_port}"},
            "tls": {"ca": str(self.pki.pem(self.client_ca)), "certificate": str(self.pki.pem(self.certificate)),
                    "key": str(self.pki.key(self.certificate))},
            "paths": {"state": str(self.state)}, "http": {"token": TOKEN},
            **({"signer": {"ca": str(self.pki.pem(self.signer)), "key": str(self.pki.key(self.signer)), "days": 90,
                           "spread_s": 0}} if self.signer else {})}))

    def first_answer(self):
        return self.get("/api/v1/hosts")

    def request(self, method, path, body=None, timeout=40, token=TOKEN):
        """(status, parsed body). A connection that went stale is made again once."""
        for attempt in (1, 2):
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = NodeConnection(self.node, self.address, self.api_port)
            try:
                connection.timeout_s(pace.deadline(timeout))
                connection.request(method, path, body=None if body is None else json.dumps(body),
                                   headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
                response = connection.getresponse()
                text = response.read()
                try:
                    return response.status, json.loads(text) if text else None
                except ValueError:
                    return response.status, text.decode(errors="replace")
            except (http.client.HTTPException, ConnectionError):
                connection.close()
                self._local.connection = None
                if attempt == 2:
                    raise
            except OSError:
                connection.close()
                self._local.connection = None
                raise

    def get(self, path):
        """Errors: LabError when the status is not 200."""
        status, body = self.request("GET", path)
        if status != 200:
            raise LabError(f"GET {path}: {status} {body}")
        return body

    def command(self, operations, wait=10, id=None, **fields):
        """Sends operations (one or a list) to the host; the command's record as the API shows it at the end of wait."""
        operations = [operations] if isinstance(operations, dict) else operations
        body = {"id": id or str(uuid.uuid4()), "operations": operations, **fields}
        path = f"/api/v1/hosts/{HOST_ID}/commands" + (f"?wait={min(int(pace.deadline(wait)), COMMAND_WAIT_MAX_S)}" if wait else "")
        status, answer = self.request("POST", path, body)
        if status not in (200, 202):
            raise LabError(f"POST {path}: {status} {answer}")
        return answer

    def must(self, operations, **fields):
        """command() that has to end as done. What is tried out before it is kept may take longer than the API waits."""
        record = self.command(operations, **fields)
        if record["state"] == "confirming":
            pace.wait_until(lambda: self.command_state(record["id"])["state"] != "confirming", 30, 0.1)
            record = self.command_state(record["id"])
        if record["state"] != "done":
            raise LabError(f"command is {record['state']}: {record.get('problems')}: {operations}")
        return record

    def command_state(self, id):
        return self.get(f"/api/v1/hosts/{HOST_ID}/commands/{id}")

    def host(self):
        return self.get(f"/api/v1/hosts/{HOST_ID}")

    def online(self):
        status, body = self.request("GET", f"/api/v1/hosts/{HOST_ID}")
        return status == 200 and bool(body.get("online"))

    def events(self, after=0):
        """All events after n, page by page."""
        found = []
        while True:
            body = self.get(f"/api/v1/hosts/{HOST_ID}/events?after={after}")
            page = body["events"] if isinstance(body, dict) else body
            if not page:
                return found
            found += page
            after = page[-1]["n"]


class NodeConnection(http.client.HTTPConnection):
    """HTTP over a socket that lives in a node's namespace."""

    def __init__(self, node, host, port):
        super().__init__(host, port, timeout=pace.deadline(10))
        self._node = node

    def connect(self):
        self.sock = self._node.socket()
        self.sock.settimeout(self.timeout)
        self.sock.connect((self.host, self.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def timeout_s(self, seconds):
        self.timeout = seconds
        if self.sock:
            self.sock.settimeout(seconds)


def toml(tables):
    """A TOML text of one level of tables; strings, numbers, booleans, lists of strings, and lists of such tables."""
    def value(item):
        if isinstance(item, bool):
            return "true" if item else "false"
        return json.dumps(item)

    def many(item):
        return isinstance(item, list) and item and all(isinstance(entry, dict) for entry in item)
    lines = []
    for table, entries in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {value(item)}" for key, item in entries.items() if not many(item)]
        for key, items in entries.items():
            for entry in items if many(items) else []:
                lines.append(f"[[{table}.{key}]]")
                lines += [f"{name} = {value(item)}" for name, item in entry.items()]
    return "\n".join(lines) + "\n"
