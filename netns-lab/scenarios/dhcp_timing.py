"""DHCP timing: carrier up to address on the bridge, median of 7, no lease known, a server that answers at once, cable
straight into the router: 150 ms or less."""
import shutil
import statistics

from lablib.probes import carrier_to_address_s

TOPOLOGY = "direct"
EXCLUSIVE = True
RUNS = 7


def run(lab):
    lab.pull("eth0")
    lab.console.start()
    times = []
    for _ in range(RUNS):
        lab.host.start()
        lab.expect(5, "the port stands without carrier, its client runs", lambda: lab.host.port("eth0").get(
            "state") == "no carrier" and lab.host.bridge("eth0") in lab.host.dhcp_clients())
        times.append(carrier_to_address_s(lab, "eth0"))
        lab.host.stop()
        lab.host.purge()
        shutil.rmtree(lab.host.state)
        lab.pull("eth0")
    lab.figure("median", statistics.median(times) * 1000)
    lab.figure("worst", max(times) * 1000)
    lab.check("the median is 150 ms or less", statistics.median(times) <= 0.150, times)
