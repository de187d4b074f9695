#include "tunnel/core/identity_messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace edge::tunnel {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

json::object parsed(const std::string& text) { return json::parse(text).as_object(); }

TEST(IdentityMessagesTest, WhatIsWrittenIsRead) {
  const SignerOffer offer{.generation = "g", .spread = std::chrono::seconds(7), .now = true};
  EXPECT_EQ(decode_signer_offer(parsed(encode(offer))).value(), offer);
  const RenewRequest request{.id = "i", .csr = "c"};
  EXPECT_EQ(decode_renew_request(parsed(encode(request))).value(), request);
  const RenewAnswer answer{
      .id = "i", .problem = {}, .certificate = "c", .ca = "a", .generation = "g"};
  EXPECT_EQ(decode_renew_answer(parsed(encode(answer))).value(), answer);
  const RenewAnswer no{.id = "i", .problem = "p", .certificate = {}, .ca = {}, .generation = {}};
  EXPECT_EQ(decode_renew_answer(parsed(encode(no))).value(), no);
}

TEST(IdentityMessagesTest, TheirTypesAreThoseOfTheProtocol) {
  EXPECT_EQ(parsed(encode(SignerOffer{})).at("type"), "signer");
  EXPECT_EQ(parsed(encode(RenewRequest{})).at("type"), "renew");
  EXPECT_EQ(parsed(encode(RenewAnswer{})).at("type"), "identity");
}

TEST(IdentityMessagesTest, WhatIsMissingOrTooLargeIsRefusedByName) {
  EXPECT_THAT(decode_signer_offer({}).error().what, HasSubstr("generation: expected a text"));
  EXPECT_THAT(decode_signer_offer({{"generation", std::string(65, 'g')}}).error().what,
              HasSubstr("65 bytes, expected 1..64"));
  for (const json::value& bad : {json::value(-1), json::value(86'401), json::value("x")}) {
    EXPECT_THAT(decode_signer_offer({{"generation", "g"}, {"spread_s", bad}}).error().what,
                HasSubstr("spread_s"));
  }
  EXPECT_THAT(decode_renew_request({{"id", "i"}}).error().what, HasSubstr("csr"));
  EXPECT_THAT(decode_renew_request({{"id", 5}, {"csr", "c"}}).error().what, HasSubstr("id"));
  EXPECT_THAT(decode_renew_request({{"id", "i"}, {"csr", std::string(csr_bytes_max + 1, 'c')}})
                  .error()
                  .what,
              HasSubstr("csr"));
  EXPECT_THAT(decode_renew_answer({{"id", "i"}, {"certificate", "c"}}).error().what,
              HasSubstr("ca: expected"));
  EXPECT_THAT(decode_renew_answer({{"id", "i"}, {"problem", ""}}).error().what,
              HasSubstr("problem"));
}

}  // namespace
}  // namespace edge::tunnel
