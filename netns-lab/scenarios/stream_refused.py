"""Byte streams that must not be: targets outside streams_allow, dead targets, bad requests, taken ports; a host that is away."""
import socket

from lablib import pace
from lablib.product import HOST_ID
from lablib.streams import EchoStream, Forward, Listener, echo

TOPOLOGY = "two"


def ends_with(forward, within_s=10):
    """What a connection to the forward meets: "reset", "eof", or the first bytes."""
    try:
        with forward.connect() as connection:
            connection.settimeout(pace.deadline(within_s))
            return connection.recv(16) or "eof"
    except ConnectionError:
        return "reset"
    except socket.timeout:
        return "nothing"


def run(lab):
    lab.host.settings["tunnel"]["streams_allow"] = ["127.0.0.1:9022", "127.0.0.1:9099"]
    lab.start(active="eth0")
    lab.step("a target that is not in the list is refused by name, without being dialled")
    dialled = []
    with Listener(lab.host.node, 9050, dialled.append):
        denied = Forward(lab.console, HOST_ID, "127.0.0.1:2230", "127.0.0.1:9050")
        lab.check("the connection is closed", ends_with(denied) == "reset")
        lab.check("nobody dialled", not dialled)
        event = lab.expect_event(0, "stream.refused")
        lab.check("the event names the target", event["target"] == "127.0.0.1:9050", event)
    lab.step("a target in the list that nobody serves")
    dead = Forward(lab.console, HOST_ID, "127.0.0.1:2231", "127.0.0.1:9099")
    lab.check("the connection is closed", ends_with(dead) == "reset")
    lab.step("requests that are wrong")
    path = f"/api/v1/hosts/{HOST_ID}/forwards"

    def status_of(body, where=path):
        status, answer = lab.console.request("POST", where, body)
        lab.check("problems are RFC 9457", status == answer["status"] and answer["detail"], answer)
        return status, [p["field"] for p in answer.get("problems", [])]

    lab.check("every bad field is named", status_of({"listen": "nowhere", "to": "x", "more": 1})
              == (422, ["listen", "to", "more"]))
    lab.check("missing fields are named", status_of({}) == (422, ["listen", "to"]))
    lab.check("a taken port", status_of({"listen": "127.0.0.1:2230", "to": "127.0.0.1:9022"})[0] == 409)
    lab.check("an address of another machine", status_of({"listen": "192.0.2.1:2300", "to": "127.0.0.1:9022"})
              == (422, ["listen"]))
    lab.check("an unknown host", status_of({"listen": "127.0.0.1:2299", "to": "a:1"}, "/api/v1/hosts/hv-99/forwards")[0] == 404)
    lab.check("two forwards are listed", sorted(f["to"] for f in lab.console.get(path)["forwards"])
              == ["127.0.0.1:9050", "127.0.0.1:9099"])
    lab.step("the host is away: a connection waits for it")
    with Listener(lab.host.node, 9022, echo):
        good = Forward(lab.console, HOST_ID, "127.0.0.1:2232", "127.0.0.1:9022")
        for port in ("eth0", "eth1"):
            lab.pull(port)
        lab.expect(10, "the Console sees the host offline", lambda: not lab.console.online())
        with EchoStream(good.connect(), interval_s=0.1) as keys:
            lab.never(2, "an echo without a cable", lambda: keys.received)
            lab.plug("eth0")
            lab.expect(15, "the connection that waited works", lambda: len(keys.received) > 5)
        lab.step("and is closed when the host does not come")
        lab.pull("eth0")
        lab.expect(10, "the Console sees the host offline", lambda: not lab.console.online())
        lab.check("closed after half a minute", ends_with(good, 45) == "reset")
        lab.plug("eth0")
        lab.plug("eth1")
        lab.expect(15, "the host is back", lab.console.online)
