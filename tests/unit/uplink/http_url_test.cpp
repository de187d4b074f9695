#include "uplink/core/http_url.hpp"

#include <gmock/gmock.h>

namespace edge::uplink {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(HttpUrlTest, PartsAreTakenApartAndDecoded) {
  const auto url = parse_http_url("http://us%65r:p%40ss%3aword@192.0.2.1:3128");
  ASSERT_TRUE(url) << url.error().what;
  EXPECT_EQ(url->user, "user");
  EXPECT_EQ(url->password, "p@ss:word");
  EXPECT_EQ(url->at, (HostPort{"192.0.2.1", 3128}));
  EXPECT_EQ(url->path, "/");
}

TEST(HttpUrlTest, PortPathAndPasswordMayBeMissing) {
  const auto plain = parse_http_url("http://check.example/generate_204?x=1");
  ASSERT_TRUE(plain) << plain.error().what;
  EXPECT_EQ(plain->at, (HostPort{"check.example", 0}));
  EXPECT_EQ(plain->path, "/generate_204?x=1");
  const auto v6 = parse_http_url("http://u@[fd00::1]");
  ASSERT_TRUE(v6) << v6.error().what;
  EXPECT_EQ(v6->at, (HostPort{"fd00::1", 0}));
  EXPECT_EQ(v6->user, "u");
  EXPECT_EQ(v6->password, "");
  EXPECT_EQ(parse_http_url("http://[fd00::1]:81")->at, (HostPort{"fd00::1", 81}));
}

TEST(HttpUrlTest, WhatIsWrongIsNamedWithWhatIsAllowed) {
  for (const auto& [url, why] : std::vector<std::pair<std::string, std::string>>{
           {"https://h:1", "does not begin with http://"},
           {"", "does not begin with http://"},
           {"http://", "no host"},
           {"http:///x", "no host"},
           {"http://a b:1", "no host"},
           {"http://h:0", "host or port is wrong"},
           {"http://h:65536", "host or port is wrong"},
           {"http://fd00::1:80", "host or port is wrong"},
           {"http://h/a b", "in the path"},
           {"http://h/#x", "in the path"},
           {"http://:p@h:1", "a user name is not empty"},
           {"http://a%3ab:p@h:1", "has no ':'"},
           {"http://u:p@ss@h:1", "%40"},
           {"http://u:%4@h:1", "broken %XX"},
           {"http://u:%0a@h:1", "control character"},
           {"http://u:" + std::string(256, 'p') + "@h:1", "more than 255"}}) {
    const auto parsed = parse_http_url(url);
    ASSERT_FALSE(parsed) << url;
    EXPECT_THAT(parsed.error().what, HasSubstr(why)) << url;
    EXPECT_THAT(parsed.error().what, HasSubstr("expected http://")) << url;
  }
  EXPECT_THAT(parse_http_url("http://192.0.2.1:99999").error().what, HasSubstr("99999"));
}

TEST(HttpUrlTest, ThePasswordIsInNoError) {
  for (const char* url :
       {"http://u:geheim@h:0", "http://u:geheim", "u:geheim@h:1", "http://u:ge/heim@h:1",
        "https://u:geheim@h:1", "http://u:geheim@%@h:1", "http://[fd00::1]:geheim", "u:geheim",
        "http://u:geheim@", "http://u:geheim%4@h:1", "http://u:geheim/@x"}) {
    const auto parsed = parse_http_url(url);
    ASSERT_FALSE(parsed) << url;
    EXPECT_THAT(parsed.error().what, Not(HasSubstr("heim"))) << url;
  }
  EXPECT_EQ(masked_url("http://u:p@h:1/x"), "http://***@h:1/x");
  EXPECT_EQ(masked_url("http://u:p\n@h\n:1"), "http://***@h?:1");
  EXPECT_EQ(masked_url("u:ge://heim@h"), "***@h") << "no scheme of ours";
  EXPECT_LE(masked_url(std::string(500, 'x') + "@" + std::string(500, 'y')).size(), 120U);
}

}  // namespace
}  // namespace edge::uplink
