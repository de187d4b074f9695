#include "netmodel/core/command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

namespace edge::netmodel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// One operation in a command; returns the problems' texts.
std::vector<std::string> problems_of(std::string_view operation) {
  const auto command = parse_command(fmt::format(R"({{"operations":[{}]}})", operation));
  std::vector<std::string> out;
  if (command) { return out; }
  for (const Problem& problem : command.error().items()) { out.push_back(problem.what); }
  return out;
}

TEST(ParseCommandTest, EveryOperationOfTheInterfaceParses) {
  const auto command =
      parse_command(R"({"type":"command","id":"0123ABCD-89ab-cdef-0123-456789abcdef",
    "deadline":"2026-03-04T05:06:07.250+01:00","confirm_within_s":120,"dry_run":true,"revision":7,"operations":[
    {"op":"adapter.set","adapter":"eth0","mtu":9000,"enabled":false},
    {"op":"group.create","group":"g","adapters":["eth0","02:00:00:00:00:01"],"mode":"802.3ad","primary":"eth0","mtu":1500,"role":"infrastructure","allow_single":true},
    {"op":"group.update","group":"g","mode":"balance-xor"},
    {"op":"group.delete","group":"g"},
    {"op":"network.create","network":"web","kind":"nat","subnet":"10.5.0.0/24","dhcp":{"from":"10.5.0.10","to":"10.5.0.20","reservations":[{"mac":"52:54:00:00:00:01","address":"10.5.0.9","name":"db"}]},"dns":["9.9.9.9"]},
    {"op":"network.update","network":"web","dhcp":false},
    {"op":"network.delete","network":"web"},
    {"op":"interface.attach","interface":"i","vm":"9f1c-VM","network":"web","mac":"52:54:00:00:00:02","hardware":"virtio-multiqueue","address":"10.5.0.11"},
    {"op":"interface.update","interface":"i","hardware":"e1000"},
    {"op":"interface.detach","interface":"i"},
    {"op":"gateway.publish","rule":"r","interface":"i","protocol":"udp","port":"5000-5010","to_port":6000,"sources":["192.0.2.0/24"],"adapters":["eth0"]},
    {"op":"gateway.withdraw","rule":"r"},
    {"op":"host.set","uplink_order":["eth1","eth0"],"management":{"address":"192.168.1.5/24"}},
    {"op":"model.replace","model":{"schema_version":1,"networks":[{"network":"default","kind":"nat"}]}},
    {"op":"path.drain","adapter":"eth0","seconds":60},
    {"op":"port.identify","adapter":"eth0"},
    {"op":"failover.drill","adapter":"eth0"}]})");
  ASSERT_TRUE(command) << command.error().items().front().what;
  EXPECT_EQ(command->operations.size(), std::variant_size_v<ModelOperation>);
  for (std::size_t i = 0; i < command->operations.size(); ++i) {
    EXPECT_EQ(command->operations[i].index(), i);
  }
  EXPECT_EQ(command->id, "0123abcd-89ab-cdef-0123-456789abcdef");
  EXPECT_EQ(command->deadline->time_since_epoch().count(), 1772597167250);
  EXPECT_EQ(command->confirm_within, std::chrono::seconds(120));
  EXPECT_TRUE(command->dry_run);
  EXPECT_EQ(command->revision, 7);
  const auto& publish = std::get<GatewayPublish>(command->operations[10]);
  EXPECT_EQ(publish.port_first, 5000);
  EXPECT_EQ(publish.port_last, 5010);
  EXPECT_EQ(op_name(command->operations[4]), "network.create");
  EXPECT_EQ(std::get<HostSet>(command->operations[12]).management->address,
            parse_prefix("192.168.1.5/24").value());
}

struct Bad {
  std::string_view operation;
  std::string_view what;
};

TEST(ParseCommandTest, EachWrongThingIsOneLineWithNameValueAndWhatIsAllowed) {
  const Bad table[] = {
      {R"(7)", "operation 0: 7 is not an object"},
      {R"({"mtu":1})", R"(operation 0: field "op" is missing)"},
      {R"({"op":"network.make"})", R"(op "network.make" is unknown; allowed: adapter.set, )"},
      {R"({"op":5})", "op 5 is unknown"},
      {R"({"op":"adapter.set","adapter":"eth0","mtu":1499})",
       R"(adapter "eth0": MTU 1499 is out of range 1500..9000)"},
      {R"({"op":"adapter.set","adapter":"eth0","mtu":9001})",
       "MTU 9001 is out of range 1500..9000"},
      {R"({"op":"adapter.set","adapter":"eth0","mtu":-1})", "MTU -1 is out of range 1500..9000"},
      {R"({"op":"adapter.set","adapter":"eth0","mtu":1500.5})",
       "is not a whole number; allowed: 1500..9000"},
      {R"({"op":"adapter.set","adapter":"eth0","mtu":"1500"})",
       R"(MTU "1500" is not a whole number)"},
      {R"({"op":"adapter.set","adapter":"eth0","mtu":1e400})",
       "MTU Infinity is not a whole number"},
      {R"({"op":"adapter.set","adapter":"eth0","enabled":1})",
       "enabled 1 is neither true nor false"},
      {R"({"op":"adapter.set","adapter":"a/b","mtu":1500})", R"(adapter "a/b" names no adapter)"},
      {R"({"op":"adapter.set","adapter":"abcdefghijklmnop","mtu":1500})", "names no adapter"},
      {R"({"op":"adapter.set","adapter":"02:00:00:00:00:0g","mtu":1500})", "names no adapter"},
      {R"({"op":"adapter.set","mtu":1500})", R"(adapter.set: field "adapter" is missing)"},
      {R"({"op":"adapter.set","adapter":"eth0","mtuu":1500})",
       R"(unknown field "mtuu"; allowed: op, adapter, mtu, enabled)"},
      {R"({"op":"network.create","network":"web","kind":"vlan","vlan_id":4095})",
       R"(network "web": VLAN id 4095 is out of range 2..4094)"},
      {R"({"op":"network.create","network":"web","kind":"vlan","vlan_id":1})",
       "VLAN id 1 is out of range 2..4094"},
      {R"({"op":"network.create","network":"Web","kind":"nat"})",
       R"(network "Web" is not an id; allowed: [a-z0-9][a-z0-9-]{0,31})"},
      {R"({"op":"network.create","network":"web"})", R"(network "web": field "kind" is missing)"},
      {R"({"op":"network.create","network":"web","kind":"NAT"})",
       R"(kind "NAT" is unknown; allowed: untagged, vlan, nat)"},
      {R"({"op":"network.create","network":"web","kind":"nat","subnet":"10.5.0.0"})",
       R"(subnet "10.5.0.0" is not a prefix)"},
      {R"({"op":"network.create","network":"web","kind":"nat","dhcp":{"from":"10.5.0.10"}})",
       R"(dhcp needs both "from" and "to")"},
      {R"({"op":"network.create","network":"web","kind":"nat","dhcp":{"frm":"x"}})",
       R"(unknown field "frm")"},
      {R"({"op":"network.create","network":"web","kind":"nat","dhcp":{"reservations":[{"mac":"x"}]}})",
       R"(dhcp.reservations[0].mac "x" is not a MAC address)"},
      {R"({"op":"network.create","network":"web","kind":"nat","dns":["here"]})",
       R"(dns "here" is not an IPv4 or IPv6 address)"},
      {R"({"op":"interface.attach","interface":"i","network":"n"})",
       R"(interface "i": field "vm" is missing)"},
      {R"({"op":"interface.attach","interface":"i","vm":"a b","network":"n"})",
       R"(vm "a b" is not allowed)"},
      {R"({"op":"interface.attach","interface":"i","vm":"v","network":"n","hardware":"ne2000"})",
       R"(hardware "ne2000" is unknown; allowed: virtio, )"},
      {R"({"op":"interface.attach","interface":"i","vm":"v","network":"n","address":"10.0.0.5","host_number":5})",
       "say the same thing"},
      {R"({"op":"gateway.publish","rule":"r","interface":"i","protocol":"sctp","port":80})",
       R"(protocol "sctp" is unknown; allowed: tcp, udp)"},
      {R"({"op":"gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":0})",
       "port 0 is out of range 1..65535"},
      {R"({"op":"gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":65536})",
       "port 65536 is out of range 1..65535"},
      {R"({"op":"gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":"90-80"})",
       R"(port range "90-80" is reversed)"},
      {R"({"op":"gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":"80-65536"})",
       "neither a port 1..65535 nor a range"},
      {R"({"op":"gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":"-80"})",
       "neither a port"},
      {R"({"op":"gateway.publish","rule":"r","interface":"i","protocol":"tcp","port":"99999999999-1"})",
       "neither a port"},
      {R"({"op":"gateway.publish","rule":"r","protocol":"tcp","port":80})",
       R"(exactly one of "interface" and "address")"},
      {R"({"op":"gateway.publish","rule":"r","interface":"i","address":"10.0.0.1","protocol":"tcp","port":80})",
       "exactly one of"},
      {R"({"op":"model.replace"})", R"(field "model" is missing)"},
      {R"({"op":"model.replace","model":{"schema_version":2}})",
       "schema_version 2 is out of range 1..1"},
      {R"({"op":"model.replace","model":{"networks":[5]}})", "networks[0] 5 is not an object"},
      {R"({"op":"path.drain","adapter":"eth0","seconds":86401})",
       "seconds 86401 is out of range 0..86400"},
  };
  for (const Bad& bad : table) {
    const auto problems = problems_of(bad.operation);
    ASSERT_EQ(problems.size() >= 1, true) << bad.operation;
    EXPECT_THAT(problems, testing::Contains(HasSubstr(std::string(bad.what)))) << bad.operation;
  }
}

TEST(ParseCommandTest, AllProblemsAreListedWithTheirOperation) {
  const auto command = parse_command(R"({"operations":[
    {"op":"adapter.set","adapter":"eth0","mtu":1,"enabled":"x"},
    {"op":"network.delete","network":"ok"},
    {"op":"nope"}], "extra":1})");
  ASSERT_FALSE(command);
  std::vector<std::optional<std::size_t>> ops;
  for (const Problem& problem : command.error().items()) { ops.push_back(problem.op); }
  EXPECT_THAT(ops, ElementsAre(0U, 0U, 2U, std::nullopt));
  EXPECT_EQ(command.error().items()[0].field, "mtu");
}

TEST(ParseCommandTest, SoundOperationsAreThoseThatNoBadOneIsAbout) {
  const auto sound = sound_operations(R"({"operations":[
    {"op":"network.create","network":"blue","kind":"marvellous"},
    {"op":"interface.attach","interface":"web","vm":"v","network":"blue"},
    {"op":"network.delete","network":"red"},
    {"op":"group.update","group":"g","adapters":["eth0"]},
    {"op":"adapter.set","adapter":"eth0","mtu":1}]})");
  ASSERT_EQ(sound.size(), 1U);
  EXPECT_EQ(sound.front().index, 2U);
  EXPECT_EQ(op_name(sound.front().operation), "network.delete");
  EXPECT_TRUE(sound_operations("no JSON").empty());
  EXPECT_TRUE(sound_operations(R"({"operations":7})").empty());
}

TEST(ParseCommandTest, KeepsAHundredProblemsAndCountsTheRest) {
  std::string operations = "{}";
  for (int i = 0; i < 100; ++i) { operations += ",{}"; }
  const auto command = parse_command("{\"operations\":[" + operations + "]}");
  ASSERT_FALSE(command);
  EXPECT_EQ(command.error().items().size(), Problems::problems_max);
  EXPECT_EQ(command.error().total(), 101U);
  EXPECT_EQ(command.error().dropped(), 1U);
}

TEST(ParseCommandTest, OperationsAreBoundedOnBothSides) {
  const auto with = [](std::size_t count) {
    std::string text = "{\"operations\":[";
    for (std::size_t i = 0; i < count; ++i) {
      text += i == 0 ? "" : ",";
      text += R"({"op":"rule","rule":"r"})";
    }
    return parse_command(text + "]}");
  };
  EXPECT_THAT(with(0).error().items()[0].what, HasSubstr("0 entries are out of range 1..10000"));
  EXPECT_THAT(with(10'001).error().items()[0].what, HasSubstr("10001 entries are out of range"));
  EXPECT_EQ(with(10'000).error().total(), 10'000U);  // Read one by one: each has an unknown op.
}

TEST(ParseCommandTest, SizeAndDepthAreBounded) {
  const std::string frame = R"({"operations":[{"op":"gateway.withdraw","rule":"r"}]})";
  EXPECT_TRUE(parse_command(frame + std::string(command_bytes_max - frame.size(), ' ')));
  const auto large = parse_command(frame + std::string(command_bytes_max - frame.size() + 1, ' '));
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().items()[0].what, HasSubstr("1048577 bytes; allowed: at most 1048576"));
  const auto deep = parse_command(std::string(17, '[') + std::string(17, ']'));
  ASSERT_FALSE(deep);
  EXPECT_THAT(deep.error().items()[0].what, HasSubstr("nested deeper than the allowed 16"));
  const auto level = parse_command(std::string(16, '[') + std::string(16, ']'));
  EXPECT_THAT(level.error().items()[0].what, HasSubstr("is not an object"));
}

TEST(ParseCommandTest, HostileTextStaysOneShortLine) {
  const std::string id(5000, 'A');
  for (const std::string& problem :
       problems_of(R"({"op":"network.delete","network":")" + id + R"(\n\u0000\u001b[31m"})")) {
    EXPECT_LT(problem.size(), 400U);
    EXPECT_EQ(problem.find('\n'), std::string::npos);
    EXPECT_EQ(problem.find('\x1b'), std::string::npos);
  }
  EXPECT_FALSE(parse_command("\xff\xfe"));
  EXPECT_FALSE(parse_command(""));
}

TEST(ParseCommandTest, TheEnvelopeIsCheckedToo) {
  const auto what = [](std::string_view field) {
    const auto command = parse_command(
        fmt::format(R"({{"operations":[{{"op":"gateway.withdraw","rule":"r"}}],{}}})", field));
    return command ? std::string() : command.error().items()[0].what;
  };
  EXPECT_EQ(what(R"("dry_run":false)"), "");
  EXPECT_THAT(what(R"("id":"0123")"), HasSubstr(R"(id "0123" is not a UUID)"));
  EXPECT_THAT(what(R"("id":"0123abcd-89ab-cdef-0123-456789abcdeg")"), HasSubstr("is not a UUID"));
  EXPECT_THAT(what(R"("type":"event")"), HasSubstr("type \"event\" is unknown"));
  EXPECT_THAT(what(R"("confirm_within_s":0)"), HasSubstr("out of range 1..86400"));
  EXPECT_THAT(what(R"("revision":-1)"), HasSubstr("revision -1 is out of range"));
  EXPECT_THAT(what(R"("deadline":"tomorrow")"), HasSubstr("is not a time"));
}

TEST(ParseTimeTest, AcceptsRfc3339AndNothingElse) {
  EXPECT_EQ(parse_time("1970-01-01T00:00:00Z")->time_since_epoch().count(), 0);
  EXPECT_EQ(parse_time("1970-01-01T00:00:00.5Z")->time_since_epoch().count(), 500);
  EXPECT_EQ(parse_time("1970-01-01T02:00:00.123456+02:00")->time_since_epoch().count(), 123);
  EXPECT_EQ(parse_time("1969-12-31T19:00:00-05:00")->time_since_epoch().count(), 0);
  EXPECT_TRUE(parse_time("2024-02-29T00:00:00Z"));
  for (const char* bad :
       {"", "2026-03-04", "2026-03-04T05:06:07", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-03-04T24:00:00Z", "2026-03-04T05:60:00Z", "2026-03-04T05:06:07.Z",
        "2026-03-04T05:06:07Zx", "2026-03-04T05:06:07+24:00", "2026-03-04 05:06:07Z"}) {
    EXPECT_FALSE(parse_time(bad)) << bad;
  }
}

}  // namespace
}  // namespace edge::netmodel
