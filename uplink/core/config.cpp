#include "uplink/core/config.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/host_id.hpp"
#include "base/quoted.hpp"
#include "base/toml_reader.hpp"

namespace edge::uplink {
namespace {

constexpr std::size_t globs_max = 64;

void read_endpoints(TomlReader& in, const toml::node& node, std::string_view key,
                    std::vector<HostPort>& out) {
  const toml::array* list = in.list(node, key, 1, 8, "HOST:PORT");
  if (list == nullptr) { return; }
  for (const toml::node& item : *list) {
    if (auto endpoint = in.endpoint(item, key)) { out.push_back(std::move(*endpoint)); }
  }
}

void read_listen(TomlReader& in, const toml::node& node, std::string_view key, std::string& out) {
  if (node.value_exact<std::string_view>() == "") {
    out.clear();
  } else if (in.listen(node, key)) {
    out = *node.value_exact<std::string>();
  }
}

void read_host_id(TomlReader& in, const toml::node& node, std::string_view key, std::string& out) {
  if (!in.text(node, key, out)) { return; }
  if (!is_host_id(out)) {
    in.wrong(node, key, fmt::format("{}, as in the certificate", host_id_form));
  }
}

void read_clock_trust(TomlReader& in, const toml::node& node, std::string_view key,
                      Config::Tunnel::ClockTrust& out) {
  const auto value = node.value_exact<std::string_view>();
  if (value == "bounded" || value == "strict") {
    out = value == "strict" ? Config::Tunnel::ClockTrust::strict
                            : Config::Tunnel::ClockTrust::bounded;
  } else {
    in.wrong(node, key, "bounded or strict");
  }
}

void read_streams_allow(TomlReader& in, const toml::node& node, std::string_view key,
                        std::vector<std::string>& out) {
  const toml::array* list = in.list(node, key, 0, globs_max, "HOST:PORT");
  if (list == nullptr) { return; }
  for (const toml::node& item : *list) {
    if (in.endpoint(item, key)) { out.push_back(*item.value_exact<std::string>()); }
  }
}

void read_url(TomlReader& in, const toml::node& node, std::string_view key,
              std::optional<HttpUrl>& out) {
  std::string value;
  if (!in.secret(node, key, value)) { return; }  // A password may be in it.
  auto url = parse_http_url(value);
  if (url) {
    out = std::move(*url);
  } else {
    in.problem(node.source(), key, url.error().what);
  }
}

void read_portal_check(TomlReader& in, const toml::node& node, std::string_view key,
                       std::optional<HttpUrl>& out) {
  read_url(in, node, key, out);
  if (!out) { return; }
  if (!out->user.empty()) {
    in.problem(node.source(), key,
               fmt::format("\"{}\": no user and password here; expected http://HOST[:PORT]/PATH",
                           masked_url(*node.value<std::string_view>())));
  }
  if (out->at.port == 0) { out->at.port = 80; }
}

void read_proxy(TomlReader& in, const toml::table& table, std::string_view key,
                Config::Proxy& out) {
  for (const auto& [name, node] : table) {
    const std::string full = fmt::format("{}.{}", key, name.str());
    if (name == "adapter") {
      in.text(node, full, out.adapter);
    } else if (name == "url" && node.value<std::string_view>() == "direct") {
      continue;
    } else if (name == "url") {
      read_url(in, node, full, out.url);
      if (out.url && (out.url->at.port == 0 || out.url->path != "/")) {
        in.problem(node.source(), full,
                   fmt::format("\"{}\": expected http://[USER:PASSWORD@]HOST:PORT, with a port and "
                               "without a path, or direct",
                               masked_url(*node.value<std::string_view>())));
      }
    } else {
      in.problem(
          name.source(), key,
          fmt::format("unknown key {} in [[{}]]; allowed: adapter, url", quoted(name.str()), key));
    }
  }
  if (!table.contains("url")) {
    in.problem(table.source(), key,
               "url is missing; expected http://[USER:PASSWORD@]HOST:PORT or direct");
  }
}

void read_proxies(TomlReader& in, const toml::node& node, std::string_view key,
                  std::vector<Config::Proxy>& out) {
  const std::string tables =
      fmt::format("at most {} tables, each as [[{}]]", Config::proxies_max, key);
  const toml::array* list = node.as_array();
  if (list == nullptr || list->size() > Config::proxies_max) {
    const std::string given = list == nullptr ? "no list" : fmt::format("{} tables", list->size());
    in.problem(node.source(), key, fmt::format("{}: expected {}", given, tables));
    return;
  }
  for (const toml::node& item : *list) {
    if (const toml::table* table = item.as_table()) {
      read_proxy(in, *table, key, out.emplace_back());
    } else {  // A password may be in it.
      in.problem(item.source(), key, fmt::format("no table: expected a table, as [[{}]]", key));
    }
  }
}

void read_port_globs(TomlReader& in, const toml::node& node, std::string_view key,
                     std::vector<std::string>& out) {
  const toml::array* list = in.list(node, key, 0, globs_max, "strings");
  if (list == nullptr) { return; }
  for (const toml::node& item : *list) {
    std::string glob;
    if (!in.text(item, key, glob)) { continue; }
    const bool fits =
        !glob.empty() && glob.size() <= 15 && std::ranges::all_of(glob, [](unsigned char c) {
          return c > ' ' && c < 0x7f && c != '/' && c != ',';
        });
    if (!fits) {
      in.wrong(item, key, "the name of a port, 1..15 characters, with * and ? for others");
    }
    out.push_back(std::move(glob));
  }
}

TomlReader::Sections sections(Config& c) {
  namespace into = toml_into;
  const auto with = [](auto read, auto& out) {
    return [read, &out](TomlReader& in, const toml::node& n, std::string_view k) {
      read(in, n, k, out);
    };
  };
  return {
      {"host", {{"id", with(read_host_id, c.host.id)}}},
      {"paths",
       {{"state", into::file_name(c.paths.state)}, {"runtime", into::file_name(c.paths.runtime)}}},
      {"adapters",
       {{"match", into::texts(c.adapters.match, globs_max)},
        {"ignore", into::texts(c.adapters.ignore, globs_max)}}},
      {"console",
       {{"endpoints", with(read_endpoints, c.console.endpoints)},
        {"server_name", into::text(c.console.server_name)},
        {"ca", into::file_name(c.console.ca)},
        {"certificate", into::file_name(c.console.certificate)},
        {"key", into::file_name(c.console.key)}}},
      {"tunnel",
       {{"heartbeat_ms", into::number(c.tunnel.heartbeat_ms, 50, 10000)},
        {"dead_after", into::number(c.tunnel.dead_after, 2, 20)},
        {"clock_trust", with(read_clock_trust, c.tunnel.clock_trust)},
        {"set_clock", into::flag(c.tunnel.set_clock)},
        {"streams_allow", with(read_streams_allow, c.tunnel.streams_allow)},
        {"metered", with(read_port_globs, c.tunnel.metered)},
        {"wifi", with(read_port_globs, c.tunnel.wifi)},
        {"mobile", with(read_port_globs, c.tunnel.mobile)},
        {"proxies", with(read_proxies, c.tunnel.proxies)},
        {"portal_check", with(read_portal_check, c.tunnel.portal_check)}}},
      {"status", {{"listen", with(read_listen, c.status.listen)}}},
      {"taps", {{"owner", into::text(c.taps.owner)}}},
      {"log", {{"level", into::log_level(c.log.level)}}},
  };
}

void check_console(TomlReader& in, const Config::Console& c) {
  in.require(!c.endpoints.empty(), "console.endpoints", "a list of 1..8 HOST:PORT");
  in.require(!c.server_name.empty(), "console.server_name",
             "the name in the Console's certificate");
  in.require(!c.ca.empty(), "console.ca", "a PEM file with the Console's CA");
  const bool both_or_none = c.certificate.empty() == c.key.empty();
  in.require(both_or_none || !c.key.empty(), "console.key",
             "certificate and key together, or neither");
  in.require(both_or_none || !c.certificate.empty(), "console.certificate",
             "certificate and key together, or neither");
}

}  // namespace

std::expected<Config, ConfigProblems> parse_config(std::string_view text, const std::string& file,
                                                   const std::string& folder) {
  TomlReader in(file, folder);
  Config config;
  in.read(text, sections(config));
  check_console(in, config.console);
  ConfigProblems problems = in.take_problems();
  if (!problems.empty()) { return std::unexpected(std::move(problems)); }
  return config;
}

const HttpUrl* Config::proxy_of(std::string_view port) const {
  for (const Proxy& proxy : tunnel.proxies) {
    if (glob_matches(proxy.adapter, port)) { return proxy.url ? &*proxy.url : nullptr; }
  }
  return nullptr;
}

namespace {
bool any_fits(const std::vector<std::string>& globs, std::string_view port) {
  return std::ranges::any_of(globs, [port](const auto& glob) { return glob_matches(glob, port); });
}
}  // namespace

Config::LinkKind Config::link_kind_of(std::string_view port) const {
  if (any_fits(tunnel.mobile, port)) { return LinkKind::mobile; }
  return any_fits(tunnel.wifi, port) ? LinkKind::wifi : LinkKind::unsaid;
}

bool Config::is_metered(std::string_view port) const { return any_fits(tunnel.metered, port); }

bool glob_matches(std::string_view glob, std::string_view name) {
  std::size_t g = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (n < name.size()) {
    if (g < glob.size() && (glob[g] == '?' || glob[g] == name[n]) && glob[g] != '*') {
      ++g;
      ++n;
    } else if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = n;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') { ++g; }
  return g == glob.size();
}

}  // namespace edge::uplink
