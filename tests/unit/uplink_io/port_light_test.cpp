// A driver without a light, and a link that is not there, are told at once.
#include "uplink/io/port_light.hpp"

#include <gtest/gtest.h>

namespace edge::uplink {
namespace {

class PortLightTest : public testing::Test {
 protected:
  Result<void> blink(const std::string& link) {
    Result<void> out = fail(Errc::transient, "no answer");
    int answers = 0;
    light_.blink(link, std::chrono::seconds(1), [&](const Result<void>& result) {
      out = result;
      ++answers;
    });
    io_.restart();
    io_.run();
    EXPECT_EQ(answers, 1);
    return out;
  }
  boost::asio::io_context io_;
  PortLight light_{io_};
};

TEST_F(PortLightTest, ADriverWithoutALightIsUnsupported) {
  const auto result = blink("lo");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::unsupported);
}

TEST_F(PortLightTest, ALinkThatIsNotThereIsNotFound) {
  EXPECT_EQ(blink("no-such-link").error().code, Errc::not_found);
  EXPECT_EQ(blink("a-name-longer-than-a-link's").error().code, Errc::not_found);
}

TEST_F(PortLightTest, EndingItWhileItAsksCallsNobody) {
  bool called = false;
  {
    PortLight other(io_);
    other.blink("lo", std::chrono::seconds(1), [&](const Result<void>&) { called = true; });
  }
  io_.restart();
  io_.run();
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace edge::uplink
