"""T56. The CA is replaced while the host is away. Back within the window, in which the Console takes both, it connects with
its old certificate and is given a new one; the Console's own certificate and the end of the window find it ready. A host
that was away for the whole window cannot connect: each path says that it is to be re-enrolled, it tries more and more
seldom, its network stays; with new files it is back."""
import shutil
import signal

from lablib.pki import host_names
from lablib.product import CONSOLE_NAME, HOST_ID

TOPOLOGY = "two"
PORTS = ("eth0", "eth1")


def run(lab):
    pki = lab.pki
    pki.authority("next-ca")
    pki.bundle("both", "ca", "next-ca")
    pki.issue("c-next", "next-ca", pki.console_names(CONSOLE_NAME, lab.topology.console_addresses), server=True)
    lab.console.signer = "ca"
    lab.start(active="eth0")
    lab.expect(30, "it has a certificate of the old CA", lambda: shown(lab)["source"] == "slot a" and at_rest(lab))
    lab.wait_paths()
    picture = lab.host.picture()
    lab.host.stop()
    asleep = lab.dir / "asleep"         # A second life of the same host, which sleeps on.
    shutil.copytree(lab.host.state, asleep)

    lab.step("the window begins while the host is away")
    console(lab, client_ca="both", signer="next-ca")
    lab.host.start()
    lab.expect(30, "it connects with its old certificate", lab.console.online)
    lab.expect(30, "it is given one of the new CA", lambda: "next-ca" in shown(lab)["issuer"] and at_rest(lab))
    lab.expect(10, "the Console sees who is ready", lambda: "next-ca" in (lab.console.host()["certificate"] or {}).get("issuer", ""))
    lab.wait_paths()

    lab.step("the Console's own certificate is of the new CA")
    console(lab, certificate="c-next")
    lab.expect(30, "the host is online", lab.console.online)
    lab.wait_paths(30)

    lab.step("the window ends")
    console(lab, client_ca="next-ca")
    lab.expect(30, "the host is online", lab.console.online)
    lab.expect(60, "it no longer trusts the old CA", lambda: len(serials(lab)) == 3 and at_rest(lab))
    lab.wait_paths(30)
    lab.host.stop()
    lab.host.start()
    lab.expect(30, "the host is online after a restart", lab.console.online)

    lab.step("one that was away for the whole window")
    lab.host.stop()
    lab.host.purge()
    shutil.rmtree(lab.host.state)
    shutil.copytree(asleep, lab.host.state)
    lab.host.start()
    lab.expect(60, "each path says that it is to be re-enrolled, and why", lambda: len(lab.host.paths()) == len(PORTS) and all(
        p["broken_step"] == "tls" and p["cause"].startswith("re-enrol") and "not signed by our CA" in p["cause"]
        for p in lab.host.paths()))
    lab.step(lab.host.path("eth0")["cause"])
    exit_status, said, _ = lab.host.uplinkctl("doctor", check=False)
    lab.check("the doctor says so", exit_status == 3 and "re-enrol" in said, said)
    lab.check("so does the status", any("identity" in text for text in lab.host.ctl("status")["problems"]))
    lab.never(3, "it comes in", lambda: lab.console.online() or lab.host.active_port())
    lab.expect(120, "it tries more and more seldom",
               lambda: any(p.get("retry_in_ms", 0) > 5000 for p in lab.host.paths()))
    lab.check("its network is as it was", lab.host.picture()["addresses"] == picture["addresses"])

    lab.step("re-enrolled: new files, and a reload")
    pki.issue("h-again", "next-ca", host_names(HOST_ID))
    lab.host.settings["console"] |= {"ca": str(pki.pem("next-ca")), "certificate": str(pki.pem("h-again")),
                                     "key": str(pki.key("h-again"))}
    lab.host.write_config()
    lab.host.daemon.send_signal(signal.SIGHUP)
    lab.expect(30, "the host is online", lab.console.online)
    lab.wait_paths(30)


def console(lab, **changes):
    """The Console with other files, started anew."""
    lab.console.stop()
    for name, value in changes.items():
        setattr(lab.console, name, value)
    lab.console.start()


def shown(lab):
    return lab.host.ctl("status")["identity"]


def at_rest(lab):
    return shown(lab)["renewal"]["state"] == "rest"


def serials(lab):
    return [c["serial"] for c in lab.console.get(f"/api/v1/hosts/{HOST_ID}/certificates")["certificates"]]
