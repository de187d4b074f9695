#include "tunnel/core/http_answer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"

namespace edge::tunnel {

namespace {

constexpr std::string_view http_version = "HTTP/1.";
constexpr std::size_t reason_chars_max = 80;
constexpr std::size_t location_chars_max = 500;
constexpr std::size_t schemes_chars_max = 80;

char lower_ascii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower_ascii(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return lower_ascii(c); });
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) { return {}; }
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// The word before the first separator of a field's value.
std::string_view first_word(std::string_view value) {
  return value.substr(0, value.find_first_of(" \t,;="));
}

std::unexpected<Error> not_http(std::string_view what, std::string_view seen) {
  return fail(Errc::corrupt,
              fmt::format("not an HTTP/1.x answer: {}: \"{}\"", what, printable_ascii(seen, 40)));
}

// Source: RFC 4648 section 4.
std::string base64(std::string_view text) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t count = std::min<std::size_t>(3, text.size() - i);
    for (std::size_t j = 0; j < 3; ++j) {
      group = (group << 8) | (j < count ? static_cast<unsigned char>(text[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += j <= count ? digits[(group >> (18 - 6 * j)) & 63U] : '=';
    }
  }
  return out;
}

}  // namespace

std::string printable_ascii(std::string_view text, std::size_t chars_max) {
  std::string out(text.substr(0, chars_max));
  std::ranges::replace_if(out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

// ---- reading ----

Result<bool> HttpHeadReader::feed(ByteSpan bytes) {
  EDGE_ASSERT(phase_ != Phase::done);
  const std::string_view text = as_text(bytes);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (++taken_bytes_ > head_bytes_max) {
      return fail(Errc::no_space,
                  fmt::format("the head of its answer is longer than {} bytes", head_bytes_max));
    }
    if (text[i] != '\n') {
      line_ += text[i];
      const bool begins = phase_ == Phase::status && line_.size() <= http_version.size();
      if (begins && !http_version.starts_with(line_)) {
        return not_http("it begins with", line_ + std::string(text.substr(i + 1, 40)));
      }
      continue;
    }
    if (line_.ends_with('\r')) { line_.pop_back(); }
    EDGE_TRY(on_line(line_));
    line_.clear();
    if (phase_ == Phase::done) {
      surplus_ = text.size() - i - 1;
      return true;
    }
  }
  return false;
}

Result<void> HttpHeadReader::on_line(std::string_view line) {
  const bool controls = std::ranges::any_of(
      line, [](char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f; });
  if (controls) { return not_http("control characters in", line); }
  if (phase_ == Phase::status) { return on_status(line); }
  if (line.empty()) {
    on_end();
    return {};
  }
  return on_field(line);
}

Result<void> HttpHeadReader::on_status(std::string_view line) {
  // "HTTP/1.1 200 Connection established"; the reason may be missing, with its space.
  const std::string_view rest = line.substr(std::min(line.size(), http_version.size()));
  const bool formed = rest.size() >= 5 && is_digit(rest[0]) && rest[1] == ' ' &&
                      std::ranges::all_of(rest.substr(2, 3), is_digit) &&
                      (rest.size() == 5 || rest[5] == ' ');
  if (!formed || rest[2] < '1' || rest[2] > '5') { return not_http("its status line is", line); }
  for (const char digit : rest.substr(2, 3)) {
    head_.status = head_.status * 10 + static_cast<unsigned>(digit - '0');
  }
  head_.reason = printable_ascii(trimmed(rest.substr(5)), reason_chars_max);
  phase_ = Phase::fields;
  return {};
}

Result<void> HttpHeadReader::on_field(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') { return {}; }  // A folded line: of no interest.
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) { return not_http("a header line is", line); }
  const std::string name = lower_ascii(std::string(line.substr(0, colon)));
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (name == "location" && head_.location.empty()) {
    head_.location = printable_ascii(value, location_chars_max);
  } else if (name == "content-type" && head_.content_type.empty()) {
    head_.content_type = lower_ascii(printable_ascii(first_word(value), reason_chars_max));
  } else if (name == "proxy-authenticate" || name == "www-authenticate") {
    const std::string scheme = printable_ascii(first_word(value), schemes_chars_max);
    if (head_.schemes.size() + scheme.size() + 2 <= schemes_chars_max) {
      head_.schemes += (head_.schemes.empty() ? "" : ", ") + scheme;
    }
    // Several challenges may stand in one field (RFC 9110 11.6.1).
    head_.offers_basic =
        head_.offers_basic || lower_ascii(std::string(value)).find("basic") != std::string::npos;
  }
  return {};
}

void HttpHeadReader::on_end() {
  const bool interim = head_.status < 200 && head_.status != 101;
  if (interim) { head_ = {}; }
  phase_ = interim ? Phase::status : Phase::done;
}

// ---- asking ----

std::string connect_request(const HostPort& target, const ProxyCredentials& credentials) {
  const std::string authority = to_string(target);
  std::string out = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", authority);
  if (!credentials.user.empty()) {
    out += fmt::format("Proxy-Authorization: Basic {}\r\n",
                       base64(credentials.user + ":" + credentials.password));
  }
  return out + "\r\n";
}

std::string get_request(const HostPort& at, std::string_view path) {
  std::string host = to_string(at);
  if (at.port == 80) { host.erase(host.rfind(':')); }
  return fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: uplinkd\r\nAccept: */*\r\nConnection: "
      "close\r\n\r\n",
      path, host);
}

// ---- judging ----

std::optional<ProxyRefusal> proxy_refusal(const HttpHead& head, std::string_view user) {
  if (head.status >= 200 && head.status < 300) { return std::nullopt; }
  const std::string said =
      fmt::format("{}{}{}", head.status, head.reason.empty() ? "" : " ", head.reason);
  if (head.status == 407 || head.status == 401) {
    std::string text = user.empty() ? fmt::format("it requires credentials ({})", said)
                                    : fmt::format("it refuses the credentials of user \"{}\" ({})",
                                                  printable_ascii(user, 64), said);
    if (!head.schemes.empty() && !head.offers_basic) {
      text += fmt::format("; it wants {}, and Basic is all we have", head.schemes);
    }
    return ProxyRefusal{.credentials = true, .text = std::move(text)};
  }
  if (head.status == 403 || head.status == 405) {
    return ProxyRefusal{.text = fmt::format("it forbids this connection ({})", said)};
  }
  if (head.status >= 500) {
    return ProxyRefusal{.text = fmt::format("it cannot reach the Console ({})", said)};
  }
  return ProxyRefusal{.text = fmt::format("it makes no tunnel ({})", said)};
}

bool is_server_trouble(const HttpHead& head) {
  constexpr unsigned network_authentication_required = 511;
  return head.status >= 500 && head.status < 600 && head.status != network_authentication_required;
}

std::string url_origin(std::string_view url) {
  const auto colon = url.find("://");
  if (colon == std::string_view::npos || colon == 0) { return {}; }
  const std::string scheme = lower_ascii(std::string(url.substr(0, colon)));
  if (scheme != "http" && scheme != "https") { return {}; }
  std::string_view authority = url.substr(colon + 3);
  authority = authority.substr(0, authority.find_first_of("/?#\\"));
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    authority.remove_prefix(at + 1);
  }
  if (authority.empty()) { return {}; }
  return scheme + "://" + lower_ascii(printable_ascii(authority, 120));
}

std::optional<std::string> portal_sign(const HttpHead& head, std::string_view asked_host) {
  const std::string origin = url_origin(head.location);
  if (head.status == 511) { return "it requires a login (511)"; }
  if (head.status >= 300 && head.status < 400) {
    std::string host = origin.substr(std::min(origin.size(), origin.find("://") + 3));
    const bool v6 = asked_host.find(':') != std::string_view::npos;
    const std::string asked =
        v6 ? fmt::format("[{}]", asked_host) : lower_ascii(std::string(asked_host));
    const bool same = host == asked || host.starts_with(asked + ":");
    if (origin.empty() || same) { return std::nullopt; }
    return fmt::format("it sends everybody to {} ({})", origin, head.status);
  }
  if (head.status == 200 &&
      (head.content_type == "text/html" || head.content_type == "application/xhtml+xml")) {
    return "it answers with a page of its own (200)";
  }
  return std::nullopt;
}

}  // namespace edge::tunnel
