// A path that is quiet because TCP repairs a loss is told from one that is dead.
#include "session_pair.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace edge::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class SessionTransportTest : public SessionPair {
 protected:
  SessionTransportTest() {
    connect(1, "eth0");
    connect(2, "eth1", 1);
    advance(10s);
    cut(2, true, false);  // What the host says over its standby does not arrive.
  }
  /// `segments` more have come behind the gap whenever the Console asks.
  void pass(Duration duration, std::uint32_t segments) {
    for (const MonoTime end = now + duration; now < end;) {
      advance(50ms);
      for (; answered_ < ends[kConsole].seen<AskTransport>().size(); ++answered_) {
        waiting_ += segments;
        console().on_waiting_segments(ends[kConsole].seen<AskTransport>()[answered_].path, waiting_,
                                      now);
      }
    }
  }

 private:
  std::size_t answered_ = 0;
  std::uint32_t waiting_ = 0;
};

TEST_F(SessionTransportTest, WithoutASegmentItIsDeadInTime) {
  pass(5s, 0);
  EXPECT_THAT(ends[kConsole].seen<AskTransport>(), Not(IsEmpty()));
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), SizeIs(1));
}

TEST_F(SessionTransportTest, AsLongAsSegmentsComeItIsKept_AndNotForEver) {
  pass(5s, 1);
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), IsEmpty());
  pass(5s, 1);
  EXPECT_THAT(ends[kConsole].seen<PathDead>(), SizeIs(1));
}

}  // namespace
}  // namespace edge::tunnel
