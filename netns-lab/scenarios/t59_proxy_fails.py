"""T59. A's proxy wants credentials, gets wrong ones, forbids the Console, dies under the tunnel, falls silent under it: the
path says `proxy` and why, or is lost like any other; the tunnel goes to B, every command is done once. The password is
shown nowhere."""
import base64
import json

from lablib.proxy import Proxy
from lablib.traffic import CommandStream

TOPOLOGY = "two"
TIMEOUT_S = 400
USER, RIGHT, WRONG = "agent", "s3cret-word", "wr0ng-word"


def run(lab):
    proxy = Proxy(lab, "a", USER, RIGHT).start()
    lab.only_through("a", proxy.address)
    lab.console.start()
    for text, url, words in (("no credentials", proxy.url(), "it requires credentials (407"),
                             ("a wrong password", proxy.url(USER, WRONG), f'it refuses the credentials of user "{USER}"')):
        lab.step(text)
        begin(lab, url)
        says(lab, words)
        event = lab.expect_event(0, "path.proxy", 20)
        lab.check("the event says so too", event["path"].startswith("eth0/"), event)
        lab.expect(20, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
        lab.events_arrived()
        lab.check("the Console has the event", [e for e in lab.console.events()
                                                if e["kind"] == "path.proxy" and words in e["data"]["cause"]])
        lab.host.stop()

    lab.step("a proxy that forbids the Console's port")
    proxy.targets = [443]
    proxy.start()
    begin(lab, proxy.url(USER, RIGHT))
    says(lab, "it forbids this connection (403")
    lab.step("its rules are mended")
    proxy.targets = [lab.topology.console_port]
    proxy.start()
    usable(lab)
    lab.nat_interface()
    with CommandStream(lab.console, lab.publishing(), interval_s=0.05) as stream:
        for text, die, live in (("dies", proxy.kill, proxy.start),
                                ("falls silent", lambda: proxy.cable(False), lambda: proxy.cable(True))):
            tunnel_through_proxy(lab)
            lab.step(f"the proxy {text} under the tunnel")
            seen = len(stream.replied())
            lab.expect(30, "commands flow", lambda: len(stream.replied()) > seen + 10)
            die()
            took = lab.expect(20, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")
            lab.figure("switch_" + text.split()[-1], took * 1000)
            seen = len(stream.replied())
            lab.expect(30, "commands flow", lambda: len(stream.replied()) > seen + 10)
            says(lab, "is out of reach")
            live()
            usable(lab)
    lab.check_exactly_once(stream)
    secrecy(lab)


def begin(lab, url):
    lab.host.settings["tunnel"]["proxies"] = [{"adapter": "eth0", "url": url}]
    lab.host.start()


def says(lab, words):
    lab.expect(60, f"A's path says proxy, and {words}", lambda: (
        lab.host.path("eth0")["broken_step"] == "proxy" and words in lab.host.path("eth0")["cause"]))
    lab.step(lab.host.path("eth0")["cause"])


def usable(lab):
    lab.expect(90, "A is usable", lambda: lab.host.path_states()["eth0"] in ("standby", "active"))


def tunnel_through_proxy(lab):
    lab.pull("eth1")
    lab.expect(20, "the tunnel is on A", lambda: lab.host.active_port() == "eth0")
    lab.plug("eth1")
    lab.expect(30, "B is standby", lambda: lab.host.path_states()["eth1"] == "standby")


def secrecy(lab):
    """Neither password is in anything that the daemon says, plain or as it goes over the wire."""
    said = lab.host.log() + json.dumps([lab.host.ctl(c) for c in ("status", "paths", "doctor", "export")])
    said += json.dumps(lab.host.events()) + json.dumps(lab.console.events()) + json.dumps(lab.console.host())
    for word in (RIGHT, WRONG):
        for form in (word, base64.b64encode(f"{USER}:{word}".encode()).decode()):
            lab.check("the password is shown nowhere", form not in said)
