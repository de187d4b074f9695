"""N67. Two hosts of a cluster on one wire. The wire is cut between them, carrier stays: both hold the virtual address; joined
again, one gives it up and the other announces it anew. The holder dies: the other announces it five times within a second."""
from lablib.cluster import Member, set_host
from lablib.reach import BROADCAST, Capture, ETH_P_ARP, mac_bytes, packed

TOPOLOGY = "two"
EXCLUSIVE = True
VIP, ADVERT_MS = "192.168.1.50", 500
OWN = {1: "192.168.1.11", 2: "192.168.1.12"}
GARP_COUNT = 5      # keepalived's vrrp_garp_master_repeat


def holders(members):
    return [number for number, host in members.items() if VIP in host.kernel_addresses("eth0")]


def announced(capture, host):
    """Gratuitous ARPs for the virtual address that a host has sent: broadcasts, sender and target the address itself."""
    mac = mac_bytes(next(p["mac"] for p in host.ctl("ports") if p["port"] == "eth0"))
    wanted = (mac_bytes(BROADCAST) + mac + ETH_P_ARP.to_bytes(2, "big"), packed(VIP))
    return sum(1 for _, data in list(capture.frames)
               if data[:14] == wanted[0] and data[28:32] == wanted[1] == data[38:42])


def run(lab):
    lab.start()
    members = {1: lab.host, 2: Member(lab, 2, ["a", "b"])}
    members[2].start()
    lab.wait_paths()
    for number, host in members.items():
        set_host(host, management={"adapter": "eth0", "address": f"{OWN[number]}/24", "gateway": "192.168.1.1"}, virtual_ip=VIP,
                 cluster={"id": 7, "priority": 200 - 50 * number, "advert_ms": ADVERT_MS, "hosts": list(OWN.values())})
    lab.expect(15, "one host holds the virtual address", lambda: len(holders(members)) == 1)
    first = holders(members)[0]
    second = 3 - first
    lab.step("the wire is cut between them, both keep carrier")
    lab.plug("eth0", into="dead", silent=True)
    took = lab.expect(4 * ADVERT_MS / 1000 + 1, "both hold it", lambda: len(holders(members)) == 2)
    lab.figure("both_hold", took * 1000)
    lab.step("joined again")
    with Capture(lab.client("a"), ["eth0"]) as heard:
        lab.plug("eth0", into="a", silent=True)
        took = lab.expect(4 * ADVERT_MS / 1000 + 1, "one gives it up", lambda: len(holders(members)) == 1)
        lab.figure("one_gives_up", took * 1000)
        winner = holders(members)[0]
        lab.check("the one with the higher priority has kept it", winner == 1, winner)
        lab.expect(5, "who kept it announces it anew", lambda: announced(heard, members[winner]) >= 1)
    lab.expect(5, "client and switch find it there", lambda: pings(lab))
    lab.never(2, "a second holder", lambda: len(holders(members)) != 1)
    loser = 3 - winner
    lab.step("the holder's cables are pulled")
    with Capture(lab.client("a"), ["eth0"]) as heard:
        for port in ("eth0", "eth1"):
            (lab if winner == 1 else members[winner]).pull(port)
        took = lab.expect(4 * ADVERT_MS / 1000 + 1, "the other holds it", lambda: VIP in members[loser].kernel_addresses("eth0"))
        lab.figure("moved", took * 1000, target=4 * ADVERT_MS)
        lab.expect(1, f"announced {GARP_COUNT} times", lambda: announced(heard, members[loser]) >= GARP_COUNT)
    lab.expect(5, "a client finds it there", lambda: pings(lab))


def pings(lab):
    return "1 received" in lab.client("a").run(["ping", "-n", "-c1", "-W1", VIP], check=False)
