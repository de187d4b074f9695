// Two ends over two paths, with mirroring and without.
#pragma once

#include <gmock/gmock.h>

#include "tests/unit/tunnel/session_pair.hpp"

namespace edge::tunnel {

using namespace std::chrono_literals;

class DeliveryTest : public SessionPair {
 protected:
  using SessionPair::SessionPair;
  void two_paths() {
    connect(1, "eth0");
    connect(2, "eth1");
    ASSERT_EQ(host().active(), PathId{1});
    ASSERT_EQ(console().active(), PathId{1});
    advance(100ms);
    forget();
  }
};

/// Without mirroring, so that copies and resends can be seen.
class PlainDeliveryTest : public DeliveryTest {
 protected:
  static SessionOptions plain() {
    SessionOptions options = host_options();
    options.mirror.enabled = false;
    return options;
  }
  PlainDeliveryTest() : DeliveryTest(plain()) {}
};

}  // namespace edge::tunnel
