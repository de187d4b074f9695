// Which cards become ports, under which name they are known, and what they bring from before.
#include "uplink/daemon/ports.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "netmodel/core/names.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink {
namespace {

MacAddress mac_of(std::size_t number) {
  return parse_mac(fmt::format("02:00:00:00:{:02x}:{:02x}", number / 256, number % 256)).value();
}

class PortsTest : public testing::Test {
 protected:
  PortsTest() {
    log.listen([this](const store::EventRecord& event) { events.push_back(event); });
  }

  static store::Store open() {
    auto opened = store::Store::open(":memory:", WallTime{});
    EXPECT_TRUE(opened) << opened.error().what;
    return std::move(*opened);
  }
  /// A card without a permanent address, as "card<number>".
  static netmodel::ObservedLink card(std::size_t number, MacAddress mac) {
    netmodel::ObservedLink out;
    out.link.name = fmt::format("card{}", number);
    out.link.kind = netmodel::LinkKind::other;
    out.link.mac = mac;
    out.index = IfIndex{static_cast<std::uint32_t>(1000000 + number)};
    return out;
  }
  std::size_t present() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(ports.all(), [](const auto& item) { return item.second.present; }));
  }
  /// Until the store has answered all that it was asked before.
  void settle() {
    bool answered = false;
    log.when_stored([&answered] { answered = true; });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!answered && std::chrono::steady_clock::now() < deadline) {
      io.restart();
      io.run_one_for(std::chrono::milliseconds(100));
    }
    ASSERT_TRUE(answered);
  }

  boost::asio::io_context io{1};
  store::StoreWorker worker{io, open()};
  EventLog log{worker};
  std::vector<store::EventRecord> events;
  int dirty = 0;
  const Config config = [] {
    Config out;
    out.adapters.match = {"card*"};
    return out;
  }();
  Ports ports{io,
              config,
              worker,
              log,
              {.dirty = [this](const std::string&) { ++dirty; },
               .changed = [](const Port&) {},
               .gone = [](const Port&) {},
               .carrier_lost = [](const Port&) {},
               .bond_moved = [](const Port&, const std::string&, const std::string&) {},
               .wire_changed = [](const Port&) {},
               .address_lost = [](const Port&, const IpAddress&) {}}};
  netmodel::ObservedState seen;
  netmodel::Model model;
};

TEST_F(PortsTest, MoreCardsThanThePathEngineTakesAreNamedAndLeftAlone) {
  for (std::size_t i = 0; i < PathEngine::ports_max + 3; ++i) {
    seen.links.push_back(card(i, mac_of(i)));
  }
  ports.on_dump(seen, model);
  ports.on_dump(seen, model);
  EXPECT_EQ(present(), PathEngine::ports_max);
  settle();
  const auto told = std::ranges::count(events, "port.too_many", &store::EventRecord::kind);
  EXPECT_EQ(told, 3) << "once for each";

  // One goes: there is room for another.
  seen.links.erase(seen.links.begin());
  ports.on_dump(seen, model);
  ports.on_dump(seen, model);
  EXPECT_EQ(present(), PathEngine::ports_max);
}

TEST_F(PortsTest, ACardThatSaysNothingOfItselfIsKnownByTheAddressOfItsFirstSight) {
  ports.remember({{.base_mac = mac_of(7), .number = 3, .last_name = "card1"}}, {}, "");
  seen.links = {card(1, mac_of(99))};
  ports.on_dump(seen, model);
  ASSERT_EQ(present(), 1U);
  const Port* port = ports.find_by_name("card1");
  ASSERT_NE(port, nullptr);
  EXPECT_EQ(port->base_mac, mac_of(7));
  EXPECT_EQ(port->table, netmodel::table_first + 3);
}

/// Why: it would keep its own bridge and never be given back, until a purge.
TEST_F(PortsTest, ACardThatIsNoPortAnyMoreIsNobodyElsesPortOfItsBridge) {
  ports.remember({{.base_mac = mac_of(7), .number = 3, .last_name = "nic"}}, {}, "");
  netmodel::ObservedLink bridge;
  bridge.link.name = netmodel::port_bridge_name(mac_of(7));
  bridge.link.kind = netmodel::LinkKind::bridge;
  bridge.link.alias = netmodel::port_alias(mac_of(7));
  netmodel::ObservedLink guest = card(5, mac_of(5));
  guest.link.name = "vnet0";
  netmodel::ObservedLink given_up = card(7, mac_of(7));
  given_up.link.name = "nic";
  given_up.link.master = guest.link.master = bridge.link.name;
  seen.links = {bridge, given_up};
  ports.on_dump(seen, model);
  EXPECT_TRUE(ports.adapter_facts().empty());
  seen.links = {bridge, given_up, guest};
  ports.on_dump(seen, model);
  EXPECT_TRUE(ports.adapter_facts().empty()) << "also not for another one's sake";
  EXPECT_EQ(dirty, 0);
  seen.links = {bridge, guest};  // The card is pulled out.
  ports.on_dump(seen, model);
  EXPECT_EQ(ports.adapter_facts().size(), 1U);
  EXPECT_EQ(dirty, 1) << "this turn was planned without it";
  seen.links = {bridge};
  ports.on_dump(seen, model);
  EXPECT_TRUE(ports.adapter_facts().empty());
  EXPECT_EQ(dirty, 2);
}

/// Why: the turn after it would take the bridge away, and what is in it.
TEST_F(PortsTest, ACardThatGoesBetweenTwoDumpsLeavesSomebodyElsesPortItsBridge) {
  ports.remember({{.base_mac = mac_of(7), .number = 3, .last_name = "card7"}}, {}, "");
  netmodel::ObservedLink bridge;
  bridge.link.name = netmodel::port_bridge_name(mac_of(7));
  bridge.link.kind = netmodel::LinkKind::bridge;
  bridge.link.alias = netmodel::port_alias(mac_of(7));
  netmodel::ObservedLink mine = card(7, mac_of(7));
  netmodel::ObservedLink guest = card(5, mac_of(5));
  guest.link.name = "vnet0";
  mine.link.master = guest.link.master = bridge.link.name;
  seen.links = {bridge, mine, guest};
  ports.on_dump(seen, model);
  ASSERT_EQ(present(), 1U);
  netmodel::CarrierChange gone{.link = "card7", .index = mine.index};
  gone.gone = true;
  ports.on_carrier(gone);
  ASSERT_EQ(present(), 0U);
  ASSERT_EQ(ports.adapter_facts().size(), 1U);
  const int asked = dirty;
  seen.links = {bridge, guest};
  ports.on_dump(seen, model);
  EXPECT_EQ(ports.adapter_facts().size(), 1U);
  EXPECT_EQ(dirty, asked);
}

TEST_F(PortsTest, ACardWithAPermanentAddressIsNeverTakenForAnother) {
  ports.remember({{.base_mac = mac_of(7), .number = 3, .last_name = "card1"}}, {}, "");
  seen.links = {card(1, mac_of(99))};
  seen.links.front().permanent_mac = mac_of(99);
  ports.on_dump(seen, model);
  EXPECT_EQ(ports.find_by_name("card1")->base_mac, mac_of(99));
}

}  // namespace
}  // namespace edge::uplink
