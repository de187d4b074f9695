"""U55. A VM's outbound UDP flow leaves through A; pull A: the flow goes on through B within 1 s. (A fixed
SNAT rule, which the list of scenarios asks for as well, is not in the model: a NAT guest's source is always the uplink's.)"""
from lablib.traffic import UdpEcho, UdpFlow

TOPOLOGY = "two"
EXCLUSIVE = True


def run(lab):
    lab.start(active="eth0")
    lab.wait_paths()
    vm = lab.nat_network()
    wan = {u.name: u.wan for u in lab.topology.uplinks}
    with UdpEcho(lab.node("console"), 9000) as echo, UdpFlow(vm.node, ("203.0.113.10", 9000)) as flow:
        lab.expect(3, "the flow is answered", flow.flowing)
        lab.check("through A", echo.sources == [wan["a"]], echo.sources)
        lab.step("pull A")
        lab.pull("eth0")
        lab.expect(1.0, "the flow goes on through B", lambda: echo.sources[-1] == wan["b"] and flow.flowing(0.05))
        lab.never(1.0, "it stops again", lambda: not flow.flowing(0.5))
        lab.figure("flow_gap", flow.gap_s() * 1000)
        lab.step("plug A in again, cut B silently")
        lab.plug("eth0")
        lab.expect(10, "A is standby", lambda: lab.host.path_states()["eth0"] == "standby")
        lab.cut("b")
        lab.expect(5, "the flow goes on through A", lambda: echo.sources[-1] == wan["a"] and flow.flowing(0.05))
