// The answers of proxies and portals, as they come and as they should not.
#include "tunnel/core/http_answer.hpp"

#include <gmock/gmock.h>

namespace edge::tunnel {
namespace {

using testing::HasSubstr;
using testing::Not;

/// The head of a whole answer, fed in pieces of so many bytes; what is wrong is in `what`.
struct Read {
  bool whole = false;
  std::string what;
  HttpHead head;
  std::size_t surplus = 0;
};
Read read(std::string_view text, std::size_t piece = 100'000) {
  HttpHeadReader reader;
  for (std::size_t i = 0; i < text.size(); i += piece) {
    const auto fed = reader.feed(as_bytes(text.substr(i, piece)));
    if (!fed) { return {.what = fed.error().what}; }
    if (*fed) { return {true, {}, reader.head(), reader.surplus()}; }
  }
  return {};
}

TEST(HttpHeadTest, AnAnswerIsReadWhereverItIsCut) {
  const std::string text =
      "HTTP/1.1 302 Found\r\nLocation:  http://login.example/a?b\r\nContent-Type: Text/HTML; "
      "charset=x\r\nlocation: http://second\r\n\r\nbody";
  for (const std::size_t piece : {1UZ, 2UZ, 7UZ, 1000UZ}) {
    const Read got = read(text, piece);
    ASSERT_TRUE(got.whole) << got.what;
    EXPECT_EQ(got.head.status, 302U);
    EXPECT_EQ(got.head.reason, "Found");
    EXPECT_EQ(got.head.location, "http://login.example/a?b");
    EXPECT_EQ(got.head.content_type, "text/html");
  }
  EXPECT_EQ(read(text).surplus, 4U);
}

TEST(HttpHeadTest, BareLineEndsMissingReasonsAndFoldedLinesAreTaken) {
  const Read got = read("HTTP/1.0 200\nA: b\n  folded: x\n\n");
  ASSERT_TRUE(got.whole) << got.what;
  EXPECT_EQ(got.head.status, 200U);
  EXPECT_EQ(got.head.reason, "");
}

TEST(HttpHeadTest, InterimAnswersArePassedOver) {
  const Read got = read("HTTP/1.1 100 Continue\r\nLocation: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
  ASSERT_TRUE(got.whole) << got.what;
  EXPECT_EQ(got.head.status, 200U);
  EXPECT_EQ(got.head.location, "");
}

TEST(HttpHeadTest, WhatIsNotHttpIsRefusedWithItsFirstBytes) {
  EXPECT_THAT(read("SSH-2.0-OpenSSH_9.2\r\n").what, HasSubstr("\"SSH-2.0-OpenSSH_9.2??\""));
  EXPECT_FALSE(read("HTTP/1.").whole);
  for (const char* text :
       {"\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 600 x\r\n\r\n",
        "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1  200\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: empty name\r\n\r\n", "HTTP/1.1 200 \x01\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n"}) {
    EXPECT_THAT(read(text).what, HasSubstr("not an HTTP/1.x answer")) << text;
    EXPECT_THAT(read(text).what, Not(HasSubstr("\r"))) << text;
  }
}

TEST(HttpHeadTest, AHeadIsEightKibibytesAtMost) {
  const std::string start = "HTTP/1.1 200 OK\r\nA: ";
  const std::size_t room = HttpHeadReader::head_bytes_max - start.size() - 4;
  EXPECT_TRUE(read(start + std::string(room, 'x') + "\r\n\r\n").whole);
  EXPECT_THAT(read(start + std::string(room + 1, 'x') + "\r\n\r\n").what,
              HasSubstr("longer than 8192 bytes"));
  std::string interim;
  for (int i = 0; i < 400; ++i) { interim += "HTTP/1.1 100 Continue\r\n\r\n"; }
  EXPECT_THAT(read(interim + "HTTP/1.1 200 OK\r\n\r\n").what, HasSubstr("longer than"));
}

TEST(HttpHeadTest, TextsAreBoundedAndPrintable) {
  const Read got = read("HTTP/1.1 302 " + std::string(500, 'r') + "\r\nLocation: http://\xff\x9b" +
                        std::string(2000, 'l') + "\r\n\r\n");
  ASSERT_TRUE(got.whole) << got.what;
  EXPECT_EQ(got.head.reason.size(), 80U);
  EXPECT_EQ(got.head.location.size(), 500U);
  EXPECT_THAT(got.head.location, testing::StartsWith("http://??lll"));
}

TEST(ConnectTest, NamesTheTargetTwiceAndCredentialsWhereThereAreSome) {
  EXPECT_EQ(connect_request({"console.example", 8443}, {}),
            "CONNECT console.example:8443 HTTP/1.1\r\nHost: console.example:8443\r\n\r\n");
  // Source: RFC 7617 section 2.
  EXPECT_THAT(connect_request({"fd00::1", 443}, {"Aladdin", "open sesame"}),
              HasSubstr("CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: [fd00::1]:443\r\n"
                        "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"));
  EXPECT_THAT(connect_request({"h", 1}, {"ab", "c"}), HasSubstr("Basic YWI6Yw==\r\n"));
  EXPECT_THAT(connect_request({"h", 1}, {"a", ""}), HasSubstr("Basic YTo=\r\n"));
  EXPECT_THAT(connect_request({"h", 1}, {"a", "b"}), HasSubstr("Basic YTpi\r\n"));
}

ProxyRefusal refusal(const std::string& head, std::string_view user = "u") {
  return proxy_refusal(read("HTTP/1.1 " + head + "\r\n\r\n").head, user).value_or(ProxyRefusal{});
}

TEST(ProxyRefusalTest, SuccessIsAnyTwoHundred) {
  EXPECT_FALSE(proxy_refusal({.status = 200}, ""));
  EXPECT_FALSE(proxy_refusal({.status = 299}, ""));
  EXPECT_TRUE(proxy_refusal({.status = 300}, ""));
  EXPECT_TRUE(proxy_refusal({.status = 101}, ""));
}

TEST(ProxyRefusalTest, EachStatusSaysWhatToMend) {
  const std::string basic = "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic a=b";
  EXPECT_EQ(refusal(basic).text,
            "it refuses the credentials of user \"u\" (407 Proxy Authentication Required)");
  EXPECT_EQ(refusal(basic, "").text, "it requires credentials (407 Proxy Authentication Required)");
  EXPECT_TRUE(refusal(basic).credentials);
  EXPECT_THAT(refusal("407 x\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate").text,
              HasSubstr("it wants NTLM, Negotiate, and Basic is all we have"));
  EXPECT_THAT(refusal("407 x\r\nProxy-Authenticate: NTLM, basic realm=\"y\"").text,
              Not(HasSubstr("wants")));
  EXPECT_EQ(refusal("403 Filtered").text, "it forbids this connection (403 Filtered)");
  EXPECT_FALSE(refusal("403 Filtered").credentials);
  for (const char* status : {"500", "502", "503", "504"}) {
    EXPECT_THAT(refusal(status).text, HasSubstr("cannot reach the Console")) << status;
  }
  EXPECT_THAT(refusal("302 Found").text, HasSubstr("makes no tunnel (302 Found)"));
}

std::string sign(const std::string& head, std::string_view host = "check.example") {
  return portal_sign(read("HTTP/1.1 " + head + "\r\n\r\n").head, host).value_or("none");
}

TEST(PortalSignTest, ARedirectToAnotherHostAPageAndStatus511AreSigns) {
  EXPECT_EQ(sign("302 Found\r\nLocation: https://Login.Example:8080/?mac=02:00"),
            "it sends everybody to https://login.example:8080 (302)");
  EXPECT_EQ(sign("200 OK\r\nContent-Type: text/html"), "it answers with a page of its own (200)");
  EXPECT_EQ(sign("511 x"), "it requires a login (511)");
}

TEST(PortalSignTest, AnythingElseIsNone) {
  for (const char* head :
       {"204 No Content", "200 OK\r\nContent-Type: text/plain", "200 OK", "404 Not Found",
        "301 x\r\nLocation: https://check.example/other", "302 x\r\nLocation: /login", "302 x",
        "301 x\r\nLocation: http://CHECK.example:81/", "302 x\r\nLocation: javascript://alert",
        "500 x\r\nContent-Type: text/html"}) {
    EXPECT_EQ(sign(head), "none") << head;
  }
  EXPECT_EQ(sign("302 x\r\nLocation: http://[fd00::1]/", "fd00::1"), "none");
}

TEST(UrlOriginTest, ShowsSchemeAndHostAndNothingThatMayBeSecret) {
  EXPECT_EQ(url_origin("http://u:p@h.example:80/x?token=1#f"), "http://h.example:80");
  EXPECT_EQ(url_origin("http://h\\@evil/"), "http://h");
  EXPECT_EQ(url_origin("http://h\r\nx/"), "http://h??x");
  EXPECT_EQ(url_origin("http://" + std::string(300, 'h')).size(), 127U);
  for (const char* none : {"", "/x", "http:///x", "ftp://h/", "://h"}) {
    EXPECT_EQ(url_origin(none), "") << none;
  }
}

}  // namespace
}  // namespace edge::tunnel
