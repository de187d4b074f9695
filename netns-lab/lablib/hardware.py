"""The cards of the emulated machine, in QEMU's words: one cable per port, with a virtio NIC at both ends."""


def port_mac(index):
    """MAC of the host's port `index`, veth or virtio."""
    return f"02:00:00:00:01:{index:02x}"


def far_mac(index):
    """MAC of the NIC at the other end of that port's cable."""
    return f"02:00:00:00:02:{index:02x}"


def device_arguments(index):
    """The host's card of port `index`, as QMP's device_add wants it."""
    return {"driver": "virtio-net-pci", "netdev": f"n{index}", "id": f"nic{index}", "mac": port_mac(index),
            "bus": f"slot{index}", "romfile": ""}


def cable(index):
    """A hub with two NICs. The host's sits in a PCIe slot of its own, so that it can be taken out and put in."""
    near = ",".join(f"{key}={value}" for key, value in device_arguments(index).items()).removeprefix("driver=")
    return ["-netdev", f"hubport,id=n{index},hubid={index}", "-netdev", f"hubport,id=f{index},hubid={index}",
            "-device", f"pcie-root-port,id=slot{index},chassis={index + 1},slot={index + 1}", "-device", near,
            "-device", f"virtio-net-pci,netdev=f{index},id=far{index},mac={far_mac(index)},romfile="]
