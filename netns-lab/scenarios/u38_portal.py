"""U38. A captive portal on A answers everybody's web requests with a redirect or a page, or resets what is no web request:
A's path says `portal` and where it leads, the tunnel is on B; after the login A is a standby."""
import json

from lablib.proxy import CaptivePortal

TOPOLOGY = "two"
TIMEOUT_S = 240


def run(lab):
    tunnel = lab.topology.console_port
    with CaptivePortal(lab, "a") as portal:
        lab.step("it redirects the tunnel's port as well")
        portal.catch([80, 443, tunnel])
        lab.start(active="eth1")
        shown(lab, portal.LOGIN)
        event = lab.expect_event(0, "path.portal", 20)
        lab.check("the event names the path and where it leads", event["path"].startswith("eth0/")
                  and portal.LOGIN in event["cause"], event)
        last = lab.events_arrived()
        lab.check("the Console has it", [e for e in lab.console.events() if e["kind"] == "path.portal" and e["n"] <= last])
        lab.check("what the portal put behind its host is not shown", "mac=" not in str(event) + str(lab.host.path("eth0")))
        lab.check("the port is left alone", lab.host.port("eth0")["state"] == "leased", lab.host.port("eth0"))

        lab.step("it answers with a page")
        portal.answer = portal.PAGE
        shown(lab, "status 200")

        lab.step("somebody has logged in")
        portal.let_through()
        took = lab.expect(90, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
        lab.figure("login_to_standby", took * 1000)

        lab.step("it resets the tunnel's port and shows itself to web requests only; the host is told to ask for a page")
        lab.host.stop()
        portal.answer = portal.REDIRECT
        portal.catch([80], refuse=[tunnel])
        lab.host.start()
        lab.expect(20, "A's path says that TCP is refused", lambda: (
            lab.host.path("eth0")["broken_step"] == "tcp" and "refused" in lab.host.path("eth0")["cause"]))
        lab.host.stop()
        lab.host.settings["tunnel"]["portal_check"] = "http://console.example/generate_204"
        lab.host.start()
        shown(lab, portal.LOGIN)
        lab.expect(20, "the tunnel is on B", lambda: lab.host.active_port() == "eth1")


def shown(lab, words):
    """A's path says portal and these words, at the machine and in JSON; the tunnel is not on it."""
    lab.expect(60, f"A's path says portal, and {words}", lambda: (
        lab.host.path("eth0")["broken_step"] == "portal" and words in lab.host.path("eth0")["cause"]))
    lab.step(lab.host.path("eth0")["cause"])
    text = lab.host.uplinkctl("paths")[1]
    row = next(line for line in text.splitlines() if line.startswith("eth0/"))
    lab.check("uplinkctl paths says it", "portal" in row and words in row, text)
    rows = json.loads(lab.host.uplinkctl("--json", "paths")[1])
    rows = rows["data"] if isinstance(rows, dict) else rows
    lab.check("and its JSON", [r for r in rows if r["port"] == "eth0" and r["broken_step"] == "portal"], rows)
    lab.check("with an advice", "captive portal" in next(r for r in rows if r["port"] == "eth0")["advice"], rows)
