// What a proxy or a captive portal says in HTTP/1.x, and what we say to them. Their answers are
// hostile input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/net.hpp"
#include "tunnel/core/bytes.hpp"

namespace edge::tunnel {

/// Printable ASCII as it is, '?' for each other byte, cut to so many characters.
std::string printable_ascii(std::string_view text, std::size_t chars_max);

/// The head of an answer, as far as anybody here wants to know it. Texts are printable and bounded.
struct HttpHead {
  unsigned status = 0;       ///< 100..599.
  std::string reason;        ///< At most 80 characters.
  std::string location;      ///< The first Location field, at most 500 characters.
  std::string content_type;  ///< Lower case, without parameters.
  std::string schemes;       ///< First schemes of the challenges: "Basic", "Negotiate, NTLM".
  bool offers_basic = false;
};

/// Collects bytes until the head of an answer is whole. Interim answers (1xx) are passed over.
/// Source: RFC 9112 sections 2..5; lines may end with LF alone (2.2).
class HttpHeadReader {
 public:
  static constexpr std::size_t head_bytes_max = 8 * 1024;  ///< Interim answers included.

  /// True when the head is whole; bytes after it are counted by surplus(). Pre: it was not yet.
  /// Errors: corrupt (not HTTP/1.x, or broken), no_space (longer than head_bytes_max); lasting.
  Result<bool> feed(ByteSpan bytes);
  const HttpHead& head() const { return head_; }
  /// Bytes of the last feed() that came after the head.
  std::size_t surplus() const { return surplus_; }

 private:
  enum class Phase : std::uint8_t { status, fields, done };
  Result<void> on_line(std::string_view line);
  Result<void> on_status(std::string_view line);
  Result<void> on_field(std::string_view line);
  void on_end();

  Phase phase_ = Phase::status;
  std::string line_;
  std::size_t taken_bytes_ = 0;
  std::size_t surplus_ = 0;
  HttpHead head_;
};

/// User and password for a proxy; an empty user: none are sent.
struct ProxyCredentials {
  std::string user;
  std::string password;
};

/// Source: RFC 9110 section 9.3.6, RFC 7617 section 2.
std::string connect_request(const HostPort& target, const ProxyCredentials& credentials);
/// A small GET whose connection ends with the answer. `path` begins with "/".
std::string get_request(const HostPort& at, std::string_view path);

/// Why a proxy makes no tunnel.
struct ProxyRefusal {
  bool credentials = false;  ///< A person must set others.
  std::string text;          ///< "it refuses the credentials of user "u" (407 ...)".
};
/// nullopt: the answer to CONNECT is a success (2xx).
std::optional<ProxyRefusal> proxy_refusal(const HttpHead& head, std::string_view user);

/// What a captive portal's answer to a GET at `asked_host` says, for people; nullopt: it is none.
/// A redirect to another host, a page of HTML, or status 511.
/// Source: RFC 8952 section 2.6 (what clients do today), RFC 6585 section 6.
std::optional<std::string> portal_sign(const HttpHead& head, std::string_view asked_host);
/// A load balancer or the like says that what is behind it cannot serve: 5xx, but for 511, which is
/// a portal's. Source: RFC 9110 section 15.6, RFC 6585 section 6.
bool is_server_trouble(const HttpHead& head);
/// Scheme and host of an absolute URL: "http://portal.example"; empty when it has none. The rest
/// may hold tokens and addresses and is nobody's business.
std::string url_origin(std::string_view url);

}  // namespace edge::tunnel
