"""Large packets have always vanished here, without a word: TCP comes up, the Console's certificate never arrives; the
next dial uses small segments and the host is online."""
from lablib.product import CONSOLE_NAME

TOPOLOGY = "one"


def run(lab):
    names = lab.pki.console_names(CONSOLE_NAME, lab.topology.console_addresses)
    many = ",".join([names] + [f"DNS:site-{number}.{CONSOLE_NAME}" for number in range(60)])
    lab.pki.issue("console-large", "ca", many, server=True)
    lab.console.certificate = "console-large"
    lab.swallow_large("a", 1300)
    lab.step("A swallows packets of more than 1300 bytes from the start; the certificate of the Console is larger")
    lab.console.start()
    lab.host.start()
    lab.expect(15, "the first dial says where it ends", lambda: "TLS handshake was not done" in lab.host.path("eth0").get("cause", ""))
    took = lab.expect(15, "the host is online", lab.console.online)
    lab.figure("from_the_refusal", took * 1000)
    lab.expect(1, "over A", lambda: lab.host.active_port() == "eth0")
