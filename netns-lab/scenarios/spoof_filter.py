"""L7, X13. A guest speaks with its own MAC and IPv4 address only, is no DHCP server and no router; the filter is switched
off and on at once per interface, and repaired when someone empties it."""
import struct

from lablib.reach import (BROADCAST, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, Capture, Greeter, arp_request, frame, guest, ipv4_udp,
                          ipv6, mac_bytes, reach, send_frame)

TOPOLOGY = "one"
OTHER_MAC = "52:54:00:00:99:99"


def run(lab):
    lab.start(active="eth0")
    bridge = lab.host.bridge("eth0")
    lab.console.must([{"op": "network.create", "network": "lan", "kind": "nat", "subnet": "10.61.0.0/24"}]
                     + [{"op": "interface.attach", "interface": name, "vm": "v", "network": net}
                        for name, net in (("bad", "lan"), ("good", "lan"), ("wire", bridge))])
    (bad, own, _), (good, other, _) = guest(lab, "bad"), guest(lab, "good")
    wire, wire_own, _ = guest(lab, "wire")
    lies = {
        "another MAC": frame(BROADCAST, OTHER_MAC, 0x88B5, b"lie-1" * 10),
        "ARP for another address": frame(BROADCAST, bad.mac, ETH_P_ARP, arp_request(bad.mac, "10.61.0.1", "10.61.0.77")),
        "ARP for another MAC": frame(BROADCAST, bad.mac, ETH_P_ARP, arp_request(OTHER_MAC, own, "10.61.0.78")),
        "another IPv4 address": frame(BROADCAST, bad.mac, ETH_P_IP, ipv4_udp("10.61.0.1", "255.255.255.255", 9, 9,
                                                                              b"lie-4")),
        "a DHCP server": frame(BROADCAST, bad.mac, ETH_P_IP, ipv4_udp(own, "255.255.255.255", 67, 68, b"lie-5")),
        "a DHCPv6 server": frame("33:33:00:00:00:01", bad.mac, ETH_P_IPV6, ipv6(
            "fe80::1", "ff02::1", 17, struct.pack("!HHHH", 547, 546, 13, 0xFFFF) + b"lie-6")),
        "a router": frame("33:33:00:00:00:01", bad.mac, ETH_P_IPV6, ipv6(
            "fe80::1", "ff02::1", 58, struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0))),
    }
    marks = {"another MAC": b"lie-1", "ARP for another address": bytes([10, 61, 0, 77]),
             "ARP for another MAC": bytes([10, 61, 0, 78]), "another IPv4 address": b"lie-4", "a DHCP server": b"lie-5",
             "a DHCPv6 server": b"lie-6", "a router": struct.pack("!BB", 58, 255)}

    def seen(vm=bad, told=lies):
        """Which of the lies another guest of the network sees."""
        with Capture(good.node, ["eth0"]) as capture:
            for data in told.values():
                send_frame(vm.node, data)
            # A frame that passes, sent last: all before it have been judged when it is seen.
            send_frame(vm.node, frame(BROADCAST, vm.mac, 0x88B5, b"truth" * 10))
            lab.expect(3, "an honest frame passes", lambda: capture.having(b"truth"))
            return {name for name in told if capture.having(marks[name])}

    lab.step("filtered by default")
    lab.check("none of the lies is seen", seen() == set(), seen())
    with Greeter(good.node, 7000, "good"), Greeter(lab.client("a"), 7000, "outside"):
        lab.check("the guest itself is understood", reach(bad.node, other, 7000) == f"good {own}")
        lab.check("and goes out", reach(bad.node, lab.topology.uplink("a").client_address(), 7000).startswith("outside "))
    lab.step("switched off, without touching the tap")
    index = lab.node("hv").ip("-o", "link", "show", bad.tap).split(":")[0]
    lab.console.must({"op": "interface.update", "interface": "bad", "spoof_filter": False})
    lab.expect(2, "every lie is seen", lambda: seen() == set(lies))
    lab.console.must({"op": "interface.update", "interface": "bad", "spoof_filter": True})
    lab.expect(2, "and none again", lambda: seen() == set())
    lab.check("it is the same tap", lab.node("hv").ip("-o", "link", "show", bad.tap).split(":")[0] == index)
    lab.step("someone empties the filter")
    lab.node("hv").run(["nft", "flush", "chain", "bridge", "uplink", "guest"])
    lab.expect(2, "it is repaired", lambda: "drop" in lab.node("hv").run(["nft", "list", "chain", "bridge", "uplink",
                                                                          "guest"]))
    lab.expect(2, "none is seen", lambda: seen() == set())
    lab.node("hv").run(["nft", "delete", "table", "bridge", "uplink"])
    lab.expect(2, "the table is back", lambda: "port_macs" in lab.node("hv").run(
        ["nft", "list", "tables", "bridge"], check=False) + lab.node("hv").run(["nft", "list", "table", "bridge", "uplink"],
                                                                              check=False))
    lab.expect(2, "none is seen", lambda: seen() == set())
    lab.step("on an uplink's own bridge the address is the network's business, the MAC is not")
    with Capture(lab.client("a"), ["eth0"]) as capture:
        send_frame(wire.node, frame(BROADCAST, OTHER_MAC, 0x88B5, b"lie-8" * 10))
        send_frame(wire.node, frame(BROADCAST, wire.mac, ETH_P_ARP, arp_request(OTHER_MAC, "192.168.1.9", "192.168.1.78")))
        send_frame(wire.node, frame(BROADCAST, wire.mac, ETH_P_IP, ipv4_udp("192.168.1.99", "255.255.255.255", 9, 9, b"ok")))
        send_frame(wire.node, frame(BROADCAST, wire.mac, 0x88B5, b"truth" * 10))
        lab.expect(3, "an honest frame passes", lambda: capture.having(b"truth"))
        lab.check("no frame with another MAC", not capture.having(b"lie-8", mac_bytes(OTHER_MAC)))
        lab.check("another address of the LAN passes", capture.having(bytes([192, 168, 1, 99, 255, 255, 255, 255])))
    lab.step("the last one is detached and everything purged: no table is left")
    lab.host.stop()
    lab.host.purge()
    lab.check("no table of ours", "uplink" not in lab.node("hv").run(["nft", "list", "tables"]))
    lab.host.start()
