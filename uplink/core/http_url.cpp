#include "uplink/core/http_url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace edge::uplink {

namespace {

constexpr std::string_view http_scheme = "http://";
constexpr std::size_t secret_chars_max = 255;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') { return c - '0'; }
  if (c >= 'a' && c <= 'f') { return c - 'a' + 10; }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// nullopt: a broken escape, a control character, or too long.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) { return std::nullopt; }
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) { return std::nullopt; }
    out += c;
  }
  if (out.size() > secret_chars_max) { return std::nullopt; }
  return out;
}

bool plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

std::string masked_url(std::string_view text) {
  constexpr std::string_view secure_scheme = "https://";  // Any other may be a part of a password.
  const std::size_t begin = text.starts_with(http_scheme)     ? http_scheme.size()
                            : text.starts_with(secure_scheme) ? secure_scheme.size()
                                                              : 0;
  std::string out(text.substr(0, begin));
  std::string_view rest = text.substr(begin);
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    out += "***@";
    rest.remove_prefix(at + 1);
  }
  // What follows a colon and is no port may be a password whose '@' was forgotten.
  const auto colon = rest.starts_with('[') ? rest.find("]:") : rest.find(':');
  if (colon != std::string_view::npos) {
    const std::size_t from = colon + (rest[colon] == ']' ? 2 : 1);
    const std::string_view port = rest.substr(from, rest.find('/', from) - from);
    if (port.find_first_not_of("0123456789") != std::string_view::npos) {
      rest = rest.substr(0, from);
      out += rest;
      rest = "***";
    }
  }
  out += rest.substr(0, 120 - std::min<std::size_t>(out.size(), 120));
  out.resize(std::min<std::size_t>(out.size(), 120));
  std::ranges::replace_if(out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

Result<HttpUrl> parse_http_url(std::string_view text) {
  const auto bad = [text](std::string_view why) {
    return fail(Errc::invalid_input,
                fmt::format("\"{}\": {}; expected http://[USER:PASSWORD@]HOST[:PORT][/PATH] with "
                            "port 1..65535, special characters in USER and PASSWORD as %XX",
                            masked_url(text), why));
  };
  if (!text.starts_with(http_scheme)) { return bad("it does not begin with http://"); }
  std::string_view authority = text.substr(http_scheme.size());
  HttpUrl out;
  if (const auto slash = authority.find('/'); slash != std::string_view::npos) {
    out.path = authority.substr(slash);
    authority = authority.substr(0, slash);
    if (!plain(out.path) || out.path.find('#') != std::string::npos) {
      return bad("spaces, '#' or control characters in the path");
    }
    if (out.path.size() > 1000) { return bad("a path longer than 1000 characters"); }
  }
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view secret = authority.substr(0, at);
    authority.remove_prefix(at + 1);
    if (secret.find('@') != std::string_view::npos) { return bad("an '@' must be written as %40"); }
    const auto colon = secret.find(':');
    const auto user = percent_decoded(secret.substr(0, colon));
    const auto password =
        percent_decoded(colon == std::string_view::npos ? "" : secret.substr(colon + 1));
    if (!user || !password) {
      return bad(
          fmt::format("user or password has a broken %XX, a control character, or more than "
                      "{} characters",
                      secret_chars_max));
    }
    if (user->empty() || user->find(':') != std::string::npos) {
      return bad("a user name is not empty and has no ':'");
    }
    out.user = *user;
    out.password = *password;
  }
  const bool bracketed = authority.ends_with(']');
  if (authority.empty() || !plain(authority)) { return bad("no host, or a space in it"); }
  const bool has_port = !bracketed && authority.rfind(':') != std::string_view::npos;
  const auto at = parse_host_port(std::string(authority) + (has_port ? "" : ":1"));
  if (!at) { return bad("host or port is wrong"); }
  out.at = *at;
  if (!has_port) { out.at.port = 0; }
  return out;
}

}  // namespace edge::uplink
