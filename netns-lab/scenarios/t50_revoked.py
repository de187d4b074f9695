"""T50. A host is revoked while it is connected: within 5 s it has no path any more and says why; what comes again is
refused, also after the Console was restarted and with whatever a TLS session leaves to resume; its network stays as it
is. Restored, it is back, and the command that waited is done, once."""
import json
import ssl
import struct
import uuid

from lablib.product import CONSOLE_NAME, HOST_ID, USABLE

TOPOLOGY = "two"
REASON = "stolen from the van"
REVOKE = f"/api/v1/hosts/{HOST_ID}/revoke"
PORTS = ("eth0", "eth1")


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    lab.nat_interface()
    before = lab.host.picture()

    lab.step("revoked while both paths are up")
    lab.check("the Console takes it", lab.console.request("POST", REVOKE, {"reason": REASON})[0] == 200)
    took = lab.expect(5, "no path is up any more", lambda: not usable(lab) and not lab.console.online())
    lab.figure("revoked_to_down", took * 1000)
    lab.expect(10, "each path says that it was refused, and why", lambda: told(lab))
    lab.check("the Console shows it", lab.console.host()["revoked"]["reason"] == REASON)
    lab.check("in its metrics, too", "uplink_console_hosts_revoked 1\n" in lab.console.request("GET", "/metrics")[1])
    status, answer = lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands",
                                         {"operations": [lab.publish("r-new", port=20001)]})
    lab.check("a new command is refused with the reason", status == 409 and REASON in answer["detail"], answer)
    lab.check("the network is as it was", lab.host.picture() == before)

    lab.step("its certificate, with what the first TLS session left")
    context = client_context(lab)
    first = hello(lab, context, None)
    lab.check("refused at HELLO", first["error"] == {"code": "revoked", "what": f"revoked by the Console: {REASON}"}, first)
    lab.check("no ticket was given", not first["ticket"])
    again = hello(lab, context, first["session"])
    lab.check("a full handshake, and refused again", not again["resumed"] and again["error"]["code"] == "revoked", again)

    lab.step("restored")
    lab.check("the Console lifts it", lab.console.request("DELETE", REVOKE)[0] == 204)
    took = lab.expect(60, "the host is back", lambda: lab.console.online() and lab.host.active_port())
    lab.figure("restored_to_online", took * 1000)

    lab.step("revoked while it is away, with a command waiting; the Console restarts")
    for port in PORTS:
        lab.pull(port)
    lab.expect(10, "it is offline", lambda: not lab.console.online())
    waiting = str(uuid.uuid4())
    lab.check("the command waits", lab.console.request("POST", f"/api/v1/hosts/{HOST_ID}/commands", {
        "id": waiting, "operations": [lab.publish("r-waits", port=20002)]})[0] == 202)
    lab.check("the Console takes it", lab.console.request("POST", REVOKE, {"reason": REASON})[0] == 200)
    lab.console.kill()
    lab.console.start()
    for port in PORTS:
        lab.plug(port)
    lab.expect(30, "each path says that it was refused, and why", lambda: told(lab))
    lab.never(3, "it comes in", lambda: lab.console.online() or usable(lab))
    lab.check("the command was not delivered", lab.console.command_state(waiting)["state"] == "queued")

    lab.step("restored: the command is done, once")
    lab.check("the Console lifts it", lab.console.request("DELETE", REVOKE)[0] == 204)
    lab.expect(90, "the host is back", lab.console.online)
    lab.expect(10, "the command is done", lambda: lab.console.command_state(waiting)["state"] == "done")
    lab.check("there is its rule", lab.rules() == {"r-waits"}, lab.rules())
    lab.expect(60, "both paths are up", lambda: len(usable(lab)) == len(PORTS))


def usable(lab):
    return {port for port, state in lab.host.path_states().items() if state in USABLE}


def told(lab):
    paths = lab.host.paths()
    return len(paths) == len(PORTS) and all(
        p["broken_step"] == "console" and p["cause"] == f"revoked by the Console: {REASON}" for p in paths)


def client_context(lab):
    """TLS as the host speaks it, with its key; it also keeps what a session leaves to resume."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(lab.pki.pem("ca"))
    context.load_cert_chain(lab.pki.pem("host"), lab.pki.key("host"))
    context.set_alpn_protocols(["gallium/1"])
    return context


def hello(lab, context, session):
    """Comes as the host does: {"error": what the Console says, "session", "ticket", "resumed"}."""
    bare = lab.console.node.socket()
    bare.settimeout(lab.limit(10))
    bare.connect((lab.console.address, lab.topology.console_port))
    with context.wrap_socket(bare, server_hostname=CONSOLE_NAME, session=session) as tls:
        said = json.dumps({
            "version_min": 1, "version_max": 1, "host": HOST_ID, "install": "i", "boot": "b", "instance": "9f3c5a7e11d20b48",
            "session": "0" * 16, "epoch": 0, "next": [], "time": 1763710000123, "heartbeat": {
                "active_ms": 250, "standby_ms": 1000, "dead_after": 3},
            "path": {"id": 1, "label": "x/y", "port": "x", "endpoint": "y:1", "adapter": "x", "class": 0, "rank": 0}}).encode()
        tls.sendall(struct.pack(">BBHIQ", 0x01, 0x80, 0, len(said), 0) + said)
        heard = b""
        while len(heard) < 16 or len(heard) < 16 + struct.unpack(">I", heard[4:8])[0]:
            part = tls.recv(4096)
            lab.check("the Console answers before it closes", part, heard)
            heard += part
        lab.check("with ERROR", heard[0] == 0x07, heard)
        return {"error": json.loads(heard[16:16 + struct.unpack(">I", heard[4:8])[0]]), "session": tls.session,
                "ticket": tls.session is not None and tls.session.has_ticket, "resumed": tls.session_reused}
