// Which causes of a failed path are tried again seldom.
#include "tunnel/io/path_failure.hpp"

#include <gtest/gtest.h>

namespace edge::tunnel {
namespace {

TEST(PathFailureTest, WhatIsRefusedOfUsLasts_SomebodyElsesCertificateDoesNot) {
  EXPECT_TRUE(is_lasting(PathFailure::tls_rejected));
  EXPECT_TRUE(is_lasting(PathFailure::tls_expired));
  EXPECT_TRUE(is_lasting(PathFailure::proxy_auth));
  EXPECT_FALSE(is_lasting(PathFailure::tls_identity));
  EXPECT_FALSE(is_lasting(PathFailure::tls_protocol));
  EXPECT_EQ(classify(PathFailure::tls_identity), "tls");
}

}  // namespace
}  // namespace edge::tunnel
