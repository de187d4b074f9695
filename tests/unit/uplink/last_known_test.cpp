// The file beside the store: what was written is read, anything else is refused and never half
// read.
#include "uplink/core/last_known.hpp"

#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

LastKnown sample() {
  LastKnown out{.host_id = "hv-01", .revision = 57, .model = netmodel::Model::defaults()};
  out.model.interfaces["web"] = netmodel::Interface{.vm = "vm1",
                                                    .network = "default",
                                                    .mac = parse_mac("52:54:00:00:00:11").value(),
                                                    .host_number = 21};
  out.adapters = {{parse_mac("02:00:00:00:00:01").value(), 3, "eth0"},
                  {parse_mac("02:00:00:00:00:02").value(), 9, "eth1"}};
  out.automatic_subnets = {{"default", parse_prefix("10.200.0.0/24").value()}};
  return out;
}

TEST(LastKnownTest, ComesBackAsItWas) {
  const auto read = last_known_from_json(to_json_text(sample()));
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(to_json_text(*read), to_json_text(sample()));
  EXPECT_EQ(*read, sample());
}

TEST(LastKnownTest, AFileCutShortAnywhereIsRefused) {
  const std::string whole = to_json_text(sample());
  for (std::size_t bytes = 0; bytes + 2 < whole.size(); ++bytes) {
    ASSERT_FALSE(last_known_from_json(whole.substr(0, bytes))) << bytes;
  }
}

TEST(LastKnownTest, WrongPartsAreRefused) {
  const auto with = [](std::string_view from, std::string_view to) {
    std::string text = to_json_text(sample());
    text.replace(text.find(from), from.size(), to);
    return last_known_from_json(text);
  };
  EXPECT_TRUE(with("eth1", "eth7"));
  EXPECT_FALSE(with("\"revision\":57", "\"revision\":0"));
  EXPECT_FALSE(with("\"number\":9", "\"number\":1000"));
  EXPECT_FALSE(with("02:00:00:00:00:01", "02:00:00:00:00"));
  EXPECT_FALSE(with("10.200.0.0/24", "10.200.0.0/99"));
  EXPECT_FALSE(with("\"interfaces\"", "\"interfeces\"")) << "a model of another kind";
}

}  // namespace
}  // namespace edge::uplink
