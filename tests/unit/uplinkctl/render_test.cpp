// What a person sees.
#include "uplink/ctl/render.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace edge::uplink::ctl {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string shown(std::string_view command, std::string_view data, bool colour = false) {
  return render(command, boost::json::parse(data), {.colour = colour});
}

TEST(TableTest, AlignsByCharactersAndLeavesEmptyColumnsOut) {
  Table table({"A", "EMPTY", "B"});
  table.add({{"x"}, {""}, {"1"}});
  table.add({{"größer"}, {"-"}, {"22"}});
  EXPECT_EQ(table.text({}),
            "A       B\n"
            "x       1\n"
            "größer  22\n");
}

TEST(TableTest, ColoursWithoutMovingColumns) {
  Table table({"A", "B"});
  table.add({{"up", Tone::good}, {"1"}});
  EXPECT_EQ(table.text({.colour = true}),
            "\x1b[2mA\x1b[0m   \x1b[2mB\x1b[0m\n\x1b[32mup\x1b[0m  1\n");
}

TEST(TableTest, AGuestsNameCannotSteerTheTerminal) {
  EXPECT_THAT(shown("interfaces", R"([{"interface":"i1","vm":"\u001b[2Jevil\n"}])"),
              HasSubstr("?[2Jevil?"));
}

TEST(RenderTest, PortsWithAdviceBelow) {
  EXPECT_EQ(shown("ports", R"([
    {"port":"eth0","mac":"02:00:00:00:00:01","bridge":"br020000000001","carrier":true,"mtu":1500,"state":"leased",
     "address":"192.168.1.50/24","path_state":"active","speed_mbps":1000},
    {"port":"eth1","mac":"02:00:00:00:00:02","bridge":"br020000000002","carrier":true,"mtu":1500,
     "state":"carrier, no lease","path_state":"down","broken_step":"lease","cause":"no server answered",
     "advice":"check the DHCP server of this network"}])"),
            "PORT  STATE              ADDRESS          PATH    SPEED        MTU   MAC              "
            "  BRIDGE\n"
            "eth0  leased             192.168.1.50/24  active  1000 Mbit/s  1500  "
            "02:00:00:00:00:01  br020000000001\n"
            "eth1  carrier, no lease  -                down    -            1500  "
            "02:00:00:00:00:02  br020000000002\n"
            "\n"
            "eth1: lease: no server answered; check the DHCP server of this network\n");
}

TEST(RenderTest, PathsSayWhereTheyBreak) {
  EXPECT_EQ(
      shown("paths", R"([
    {"path":"eth0/console:8443","state":"active","rtt_ms":1.25,"broken_step":null,"cause":"",
     "since":"2026-01-02T03:04:05.678Z"},
    {"path":"eth1/console:8443","state":"down","broken_step":"tls","cause":"certificate expired",
     "since":"2026-01-02T03:04:05.678Z","last_failure":"tls: certificate expired"}])"),
      "PATH               STATE   RTT      SINCE                BROKEN  CAUSE                LAST "
      "FAILURE\n"
      "eth0/console:8443  active  1.25 ms  2026-01-02 03:04:05  -       -                    -\n"
      "eth1/console:8443  down    -        2026-01-02 03:04:05  tls     certificate expired  tls: "
      "certificate expired\n");
}

TEST(RenderTest, ASuspectPathIsStillTheActiveOne) {
  const std::string text = shown("paths", R"([
    {"path":"eth0/console:8443","state":"suspect","active":true,"broken_step":null,"cause":""},
    {"path":"eth1/console:8443","state":"suspect","active":false,"broken_step":null,"cause":""}])");
  EXPECT_NE(text.find("eth0/console:8443  active, suspect"), std::string::npos) << text;
  EXPECT_NE(text.find("eth1/console:8443  suspect"), std::string::npos) << text;
}

TEST(RenderTest, APathThroughAProxyNamesIt) {
  const std::string text = shown("paths", R"([
    {"path":"eth0/console:8443","state":"down","proxy":"192.0.2.1:3128","broken_step":"proxy",
     "cause":"it requires credentials: 407","since":"2026-01-02T03:04:05.678Z"}])");
  EXPECT_NE(text.find("eth0/console:8443 via 192.0.2.1:3128  down"), std::string::npos) << text;
  EXPECT_NE(text.find("proxy   it requires credentials: 407"), std::string::npos) << text;
}

TEST(RenderTest, StatusNamesConsoleCountsAndProblems) {
  const std::string text =
      shown("status", R"({"host":"hv-01","version":"0.1.0","uptime_s":7260,"revision":4,
    "console":{"state":"offline","session":"ab","active_path":null,"server_side":true},
    "counts":{"ports":3,"commands_executed":2},"problems":["port eth2: renamed"]})");
  EXPECT_EQ(text,
            "host      hv-01  (uplinkd 0.1.0)\n"
            "up        2 h 1 min\n"
            "revision  4\n"
            "console   offline; the network works, the Console itself is the trouble\n"
            "counts    3 ports, 2 commands executed\n"
            "problem   port eth2: renamed\n");
}

TEST(RenderTest, StatusSaysWhichClockIsTrusted) {
  EXPECT_THAT(shown("status", R"({"clock":{"trust":"strict","time":"2026-01-02T03:04:05.678Z",
      "synchronised":true}})"),
              HasSubstr("clock     strict, 2026-01-02 03:04:05, synchronised\n"));
  EXPECT_THAT(shown("status", R"({"clock":{"trust":"strict","time":"2026-01-02T03:04:05.678Z",
      "synchronised":false,"last":"set to 2026-01-02T03:04:00.000Z, by 5.000 s"}})"),
              HasSubstr("clock     strict, 2026-01-02 03:04:05, not synchronised; set to "
                        "2026-01-02T03:04:00.000Z, by 5.000 s\n"));
}

TEST(RenderTest, GatewayNamesTheDefaults) {
  EXPECT_EQ(
      shown(
          "gateway",
          R"([{"rule":"r1","interface":"web","protocol":"tcp","port":8080,"to_port":80,"adapters":[],
                                  "sources":[],"state":"published"},
                                 {"rule":"r2","address":"10.200.0.9","protocol":"udp","port":"100-110",
                                  "to_port":"200-210","adapters":["eth0","eth1"],"sources":["10.0.0.0/8"],
                                  "state":"published"}])"),
      "RULE  PROTOCOL  PORT     TO          TO PORT  ADAPTERS    SOURCES     STATE\n"
      "r1    tcp       8080     web         80       all         anyone      published\n"
      "r2    udp       100-110  10.200.0.9  200-210  eth0, eth1  10.0.0.0/8  published\n");
}

TEST(RenderTest, AResultListsEveryProblemAndThePlan) {
  EXPECT_EQ(
      shown("apply",
            R"({"state":"refused","problems":[{"op":0,"what":"port 70000 is out of range 1..65535"},
                                                             {"op":2,"what":"no interface \"ghost\""}]})"),
      "refused\n"
      "  operation 0: port 70000 is out of range 1..65535\n"
      "  operation 2: no interface \"ghost\"\n");
  EXPECT_EQ(shown("plan", R"({"state":"done","revision":7,"problems":[],"plan":[]})"),
            "done, revision 7\n  nothing to change\n");
  EXPECT_EQ(
      shown(
          "apply",
          R"({"state":"done","revision":8,"elapsed_ms":12,"plan":["ip link add n-lan type bridge"]})"),
      "done, revision 8, 12 ms\n  ip link add n-lan type bridge\n");
}

TEST(RenderTest, AStepOfSeveralCommandsIsALineEach) {
  EXPECT_EQ(shown("apply", R"({"state":"done","plan":["ip link a\nip link b","sysctl c"]})"),
            "done\n  ip link a\n  ip link b\n  sysctl c\n");
  EXPECT_EQ(
      shown(
          "apply",
          R"({"state":"refused","problems":[{"op":1,"what":"operation 1: op \"x\" is unknown"}],"plan":[]})"),
      "refused\n  operation 1: op \"x\" is unknown\n");
}

TEST(RenderTest, UnplugAnswersInWords) {
  EXPECT_EQ(
      shown(
          "unplug",
          R"({"port":"eth0","safe":true,"consequences":["the Console stays reachable over eth1"]})"),
      "eth0: safe to unplug\n  - the Console stays reachable over eth1\n");
  EXPECT_EQ(shown("unplug", R"({"port":"eth1","safe":false,"consequences":[]})"),
            "eth1: do not unplug\n  nothing depends on it\n");
}

TEST(RenderTest, DoctorSaysWhatToDo) {
  EXPECT_EQ(
      shown("doctor", R"([{"port":"eth0","broken_step":null,"cause":"","advice":"nothing to do"},
                                {"port":"eth1","broken_step":"carrier","cause":"no carrier","advice":"plug the cable"}])"),
      "eth0: works\neth1: broken at carrier: no carrier\n  do: plug the cable\n");
}

TEST(RenderTest, EventsAsListAndAsStream) {
  const std::string line =
      "      7  2026-01-02 03:04:05  path.switch            from=eth0 to=eth1 reason=\"carrier "
      "lost\"\n";
  const std::string event = R"({"n":7,"time":"2026-01-02T03:04:05.678Z","kind":"path.switch",
                                "data":{"from":"eth0","to":"eth1","reason":"carrier lost"}})";
  EXPECT_EQ(shown("events", "[" + event + "]"), line);
  EXPECT_EQ(shown("events", event), line);
}

TEST(RenderTest, NothingIsSaidInWords) {
  EXPECT_EQ(shown("gateway", "[]"), "nothing is published\n");
  EXPECT_EQ(shown("interfaces", "[]"), "no interface is attached\n");
}

TEST(RenderTest, AnUnknownShapeIsShownAsJson) {
  EXPECT_EQ(shown("ports", R"({"a":[1,{"b":null}],"c":{}})"),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": {}\n}\n");
}

/// A newer daemon must not crash an older uplinkctl.
TEST(RenderTest, EveryCommandTakesRowsOfAnyShape) {
  for (const char* command :
       {"status", "ports", "paths", "leases", "groups", "networks", "interfaces", "gateway",
        "history", "watch", "doctor", "unplug", "apply", "plan", "rollback", "events"}) {
    for (const char* data :
         {"null", "[]", "{}", "[1,\"x\",null,[]]", R"([{"port":{"x":1},"state":[1,2]}])", "7",
          R"({"plan":7,"problems":[7,{"what":null}],"revisions":[1],"commands":[{}],"status":[],
                                 "ports":{},"console":7,"counts":{"x":[]}})"}) {
      EXPECT_THAT(shown(command, data), Not(HasSubstr("\x1b")));
    }
  }
}

}  // namespace
}  // namespace edge::uplink::ctl
