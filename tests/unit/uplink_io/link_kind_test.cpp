// Radio links say what they are; everything else is a cable.
#include "uplink/io/link_kind.hpp"

#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

TEST(LinkKindTest, IsWhatTheDriverSays) {
  EXPECT_EQ(kind_of_uevent("DEVTYPE=wlan\nINTERFACE=wlp1s0\nIFINDEX=3\n"), DeviceKind::wifi);
  EXPECT_EQ(kind_of_uevent("INTERFACE=wwan0\nDEVTYPE=wwan"), DeviceKind::mobile);
  EXPECT_EQ(kind_of_uevent("INTERFACE=eth0\nIFINDEX=2\n"), DeviceKind::wired);
  EXPECT_EQ(kind_of_uevent("DEVTYPE=bridge\nINTERFACE=wlan0\n"), DeviceKind::wired);
  EXPECT_EQ(kind_of_uevent(""), DeviceKind::wired);
  EXPECT_EQ(device_kind("lo"), DeviceKind::wired);
  EXPECT_EQ(device_kind("nonesuch"), DeviceKind::wired);
}

}  // namespace
}  // namespace edge::uplink
