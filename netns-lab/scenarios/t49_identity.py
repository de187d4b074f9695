"""T49. No certificate, a wrong CA, an expired one, one not yet valid, a wrong name, at either end: no session; the path
says which, the port is left alone."""
from lablib.pki import DAY, host_names
from lablib.product import CONSOLE_NAME

TOPOLOGY = "one"


def run(lab):
    pki, names = lab.pki, lab.pki.console_names(CONSOLE_NAME, lab.topology.console_addresses)
    pki.authority("other-ca")
    pki.issue("h-other", "other-ca", host_names("hv-01"))
    pki.issue("h-expired", "ca", host_names("hv-01"), start=-9 * DAY, end=-1 * DAY)
    pki.issue("h-future", "ca", host_names("hv-01"), start=1 * DAY, end=9 * DAY)
    pki.issue("h-wrong", "ca", host_names("hv-02"))
    pki.issue("c-other", "other-ca", names, server=True)
    pki.issue("c-expired", "ca", names, server=True, start=-9 * DAY, end=-1 * DAY)
    pki.issue("c-future", "ca", names, server=True, start=1 * DAY, end=9 * DAY)
    pki.issue("c-wrong", "ca", "DNS:elsewhere.example,IP:203.0.113.99", server=True)
    good = dict(lab.host.settings["console"])
    lab.console.start()

    def refused(text, steps, words):
        """The daemon tries, no session comes up, the path says why."""
        lab.expect(8, f"{text}: the path says so", lambda: (
            lab.host.path("eth0").get("broken_step") in steps
            and any(w in lab.host.path("eth0")["cause"].lower() for w in words)))
        lab.step(f"{text}: {lab.host.path('eth0')['cause']}")
        lab.never(1, f"{text}: a session", lambda: lab.console.online() or lab.host.active_port())
        lab.check(f"{text}: the port is left alone", lab.host.port("eth0")["state"] == "leased")

    for name, words in (("h-other", ["unknown ca", "does not know the ca", "not signed by"]), ("h-expired", ["expired"]),
                        ("h-future", ["machine's clock says"]), ("h-wrong", ["hv-02"])):
        lab.host.settings["console"] = {**good, "certificate": str(pki.pem(name)), "key": str(pki.key(name))}
        try:
            lab.host.start()
        except Exception as error:      # a certificate that the daemon itself can judge may be refused at start
            lab.check(f"{name}: refused at start with a reason", any(w in str(error).lower() for w in words), str(error))
            continue
        refused(name, ("tls", "clock", "console"), words)
        lab.host.stop()
    lab.host.settings["console"] = {k: v for k, v in good.items() if k not in ("certificate", "key")}
    lab.host.start()
    refused("no host certificate", ("tls", "console"), ["certificate", "enrol"])
    lab.host.stop()
    lab.host.settings["console"] = good
    for name, words in (("c-other", ["not signed by", "unknown issuer", "unable to get local issuer"]), ("c-expired", ["expired"]),
                        ("c-future", ["not yet", "machine's clock says"]), ("c-wrong", ["elsewhere.example"])):
        lab.console.stop()
        lab.console.certificate = name
        lab.console.start()
        lab.host.start()
        refused(name, ("tls", "clock"), words)
        lab.host.stop()
    lab.step("everything right again")
    lab.console.stop()
    lab.console.certificate = "console"
    lab.console.start()
    lab.host.start()
    took = lab.expect(10, "the host is online", lab.console.online)
    lab.figure("start_to_online", took * 1000)
