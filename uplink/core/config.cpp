#include "uplink/core/config.hpp"

#include <algorithm>
#include <functional>
#include <map>

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace edge::uplink {
namespace {

/// Collects problems while the tree is walked.
class Reader {
 public:
  Reader(std::string file, std::string folder)
      : file_(std::move(file)), folder_(std::move(folder)) {}

  void problem(const toml::source_region& where, std::string_view text) {
    problems_.push_back(fmt::format("{}:{}: {}", file_, where.begin.line, text));
  }

  void text(const toml::node& node, std::string_view key, std::string& out) {
    if (const auto* value = node.as_string()) {
      out = value->get();
      return;
    }
    problem(node.source(), fmt::format("{}: expected a string", key));
  }

  void file_name(const toml::node& node, std::string_view key, std::string& out) {
    text(node, key, out);
    if (!out.empty() && out.front() != '/') { out = folder_ + "/" + out; }
  }

  void number(const toml::node& node, std::string_view key, unsigned low, unsigned high,
              unsigned& out) {
    const auto* value = node.as_integer();
    if (value == nullptr) {
      problem(node.source(), fmt::format("{}: expected a whole number {}..{}", key, low, high));
    } else if (value->get() < low || value->get() > high) {
      problem(node.source(),
              fmt::format("{}: {} is out of range {}..{}", key, value->get(), low, high));
    } else {
      out = static_cast<unsigned>(value->get());
    }
  }

  void flag(const toml::node& node, std::string_view key, bool& out) {
    if (const auto* value = node.as_boolean()) {
      out = value->get();
      return;
    }
    problem(node.source(), fmt::format("{}: expected true or false", key));
  }

  void texts(const toml::node& node, std::string_view key, std::size_t count_max,
             std::vector<std::string>& out) {
    const auto* list = node.as_array();
    if (list == nullptr || list->size() > count_max) {
      problem(node.source(),
              fmt::format("{}: expected a list of at most {} strings", key, count_max));
      return;
    }
    out.clear();
    for (const toml::node& item : *list) {
      std::string value;
      text(item, key, value);
      out.push_back(std::move(value));
    }
  }

  ConfigProblems& problems() { return problems_; }
  const std::string& file() const { return file_; }

 private:
  std::string file_;
  std::string folder_;
  ConfigProblems problems_;
};

using Handler = std::function<void(Reader&, const toml::node&, std::string_view)>;
using Section = std::map<std::string, Handler, std::less<>>;

void read_endpoints(Reader& in, const toml::node& node, std::string_view key,
                    std::vector<HostPort>& out) {
  std::vector<std::string> list;
  in.texts(node, key, 8, list);
  for (const std::string& item : list) {
    const auto endpoint = parse_host_port(item);
    if (endpoint) {
      out.push_back(*endpoint);
    } else {
      in.problem(node.source(), fmt::format("{}: {}", key, endpoint.error().what));
    }
  }
}

void read_listen(Reader& in, const toml::node& node, std::string_view key, std::string& out) {
  in.text(node, key, out);
  if (out.empty()) { return; }
  const auto parsed = parse_host_port(out);
  if (!parsed) {
    in.problem(node.source(), fmt::format("{}: {}", key, parsed.error().what));
  } else if (!parse_ip(parsed->host)) {
    in.problem(node.source(),
               fmt::format("{}: \"{}\": expected an IP address before the port", key, out));
  }
}

void read_host_id(Reader& in, const toml::node& node, std::string_view key, std::string& out) {
  in.text(node, key, out);
  const bool fits =
      !out.empty() && out.size() <= 64 &&
      out.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
          std::string::npos;
  if (!fits) {
    in.problem(
        node.source(),
        fmt::format("{}: \"{}\": expected 1..64 of letters, digits, '-', '.', '_'", key, out));
  }
}

void read_level(Reader& in, const toml::node& node, std::string_view key, std::string& out) {
  in.text(node, key, out);
  if (out != "error" && out != "warn" && out != "info" && out != "debug") {
    in.problem(node.source(),
               fmt::format("{}: \"{}\": expected error, warn, info or debug", key, out));
  }
}

void read_clock_trust(Reader& in, const toml::node& node, std::string_view key,
                      Config::Tunnel::ClockTrust& out) {
  std::string value;
  in.text(node, key, value);
  if (value == "bounded" || value == "strict") {
    out = value == "strict" ? Config::Tunnel::ClockTrust::strict
                            : Config::Tunnel::ClockTrust::bounded;
  } else if (node.is_string()) {
    in.problem(node.source(), fmt::format("{}: \"{}\": expected bounded or strict", key, value));
  }
}

void read_streams_allow(Reader& in, const toml::node& node, std::string_view key,
                        std::vector<std::string>& out) {
  in.texts(node, key, 64, out);
  for (const std::string& target : out) {
    if (!parse_host_port(target)) {
      in.problem(node.source(),
                 fmt::format("{}: \"{}\": expected HOST:PORT with a port 1..65535", key, target));
    }
  }
}

void read_url(Reader& in, const toml::node& node, std::string_view key,
              std::optional<HttpUrl>& out) {
  std::string value;
  in.text(node, key, value);
  auto url = parse_http_url(value);
  if (url) {
    out = std::move(*url);
  } else if (node.is_string()) {
    in.problem(node.source(), fmt::format("{}: {}", key, url.error().what));
  }
}

void read_portal_check(Reader& in, const toml::node& node, std::string_view key,
                       std::optional<HttpUrl>& out) {
  read_url(in, node, key, out);
  if (!out) { return; }
  if (!out->user.empty()) {
    in.problem(node.source(), fmt::format("{}: no user and password here; expected "
                                          "http://HOST[:PORT]/PATH",
                                          key));
  }
  if (out->at.port == 0) { out->at.port = 80; }
}

void read_proxy(Reader& in, const toml::table& table, std::string_view key, Config::Proxy& out) {
  for (const auto& [name, node] : table) {
    const std::string full = fmt::format("{}.{}", key, name.str());
    if (name == "adapter") {
      in.text(node, full, out.adapter);
    } else if (name == "url" && node.value<std::string_view>() == "direct") {
      continue;
    } else if (name == "url") {
      read_url(in, node, full, out.url);
      if (out.url && (out.url->at.port == 0 || out.url->path != "/")) {
        in.problem(node.source(), fmt::format("{}: \"{}\": expected "
                                              "http://[USER:PASSWORD@]HOST:PORT, with a port and "
                                              "without a path, or direct",
                                              full, masked_url(*node.value<std::string_view>())));
      }
    } else {
      in.problem(name.source(), fmt::format("unknown key \"{}\" in [[{}]]; allowed: adapter, url",
                                            name.str(), key));
    }
  }
  if (!table.contains("url")) {
    in.problem(table.source(), fmt::format("{}: url is missing; expected "
                                           "http://[USER:PASSWORD@]HOST:PORT or direct",
                                           key));
  }
}

void read_proxies(Reader& in, const toml::node& node, std::string_view key,
                  std::vector<Config::Proxy>& out) {
  const toml::array* list = node.as_array();
  if (list == nullptr || list->size() > Config::proxies_max) {
    in.problem(node.source(), fmt::format("{}: expected at most {} tables, each as [[{}]]", key,
                                          Config::proxies_max, key));
    return;
  }
  for (const toml::node& item : *list) {
    if (const toml::table* table = item.as_table()) {
      read_proxy(in, *table, key, out.emplace_back());
    } else {
      in.problem(item.source(), fmt::format("{}: expected a table, as [[{}]]", key, key));
    }
  }
}

void read_port_globs(Reader& in, const toml::node& node, std::string_view key,
                     std::vector<std::string>& out) {
  in.texts(node, key, 64, out);
  for (const std::string& glob : out) {
    const bool fits =
        !glob.empty() && glob.size() <= 15 && std::ranges::all_of(glob, [](unsigned char c) {
          return c > ' ' && c < 0x7f && c != '/' && c != ',';
        });
    if (!fits) {
      in.problem(node.source(), fmt::format("{}: \"{}\": expected the name of a port, 1..15 "
                                            "characters, with * and ? for others",
                                            key, glob));
    }
  }
}

std::map<std::string, Section, std::less<>> sections(Config& c) {
  const auto text = [](std::string& out) {
    return [&out](Reader& in, const toml::node& n, std::string_view k) { in.text(n, k, out); };
  };
  const auto file = [](std::string& out) {
    return [&out](Reader& in, const toml::node& n, std::string_view k) { in.file_name(n, k, out); };
  };
  const auto list = [](std::vector<std::string>& out) {
    return [&out](Reader& in, const toml::node& n, std::string_view k) { in.texts(n, k, 64, out); };
  };
  const auto number = [](unsigned& out, unsigned low, unsigned high) {
    return [&out, low, high](Reader& in, const toml::node& n, std::string_view k) {
      in.number(n, k, low, high, out);
    };
  };
  const auto flag = [](bool& out) {
    return [&out](Reader& in, const toml::node& n, std::string_view k) { in.flag(n, k, out); };
  };
  const auto with = [](auto read, auto& out) {
    return
        [read, &out](Reader& in, const toml::node& n, std::string_view k) { read(in, n, k, out); };
  };
  return {
      {"host", {{"id", with(read_host_id, c.host.id)}}},
      {"paths", {{"state", file(c.paths.state)}, {"runtime", file(c.paths.runtime)}}},
      {"adapters", {{"match", list(c.adapters.match)}, {"ignore", list(c.adapters.ignore)}}},
      {"console",
       {{"endpoints", with(read_endpoints, c.console.endpoints)},
        {"server_name", text(c.console.server_name)},
        {"ca", file(c.console.ca)},
        {"certificate", file(c.console.certificate)},
        {"key", file(c.console.key)}}},
      {"tunnel",
       {{"heartbeat_ms", number(c.tunnel.heartbeat_ms, 50, 10000)},
        {"dead_after", number(c.tunnel.dead_after, 2, 20)},
        {"clock_trust", with(read_clock_trust, c.tunnel.clock_trust)},
        {"set_clock", flag(c.tunnel.set_clock)},
        {"streams_allow", with(read_streams_allow, c.tunnel.streams_allow)},
        {"metered", with(read_port_globs, c.tunnel.metered)},
        {"wifi", with(read_port_globs, c.tunnel.wifi)},
        {"mobile", with(read_port_globs, c.tunnel.mobile)},
        {"proxies", with(read_proxies, c.tunnel.proxies)},
        {"portal_check", with(read_portal_check, c.tunnel.portal_check)}}},
      {"status", {{"listen", with(read_listen, c.status.listen)}}},
      {"taps", {{"owner", text(c.taps.owner)}}},
      {"log", {{"level", with(read_level, c.log.level)}}},
  };
}

template <class Map>
std::string names_of(const Map& map) {
  std::string out;
  for (const auto& [name, unused] : map) { out += (out.empty() ? "" : ", ") + name; }
  return out;
}

void read_section(Reader& in, const std::string& name, const Section& section,
                  const toml::table& table) {
  for (const auto& [key, node] : table) {
    const auto found = section.find(key.str());
    if (found == section.end()) {
      in.problem(key.source(), fmt::format("unknown key \"{}\" in [{}]; allowed: {}", key.str(),
                                           name, names_of(section)));
      continue;
    }
    found->second(in, node, fmt::format("{}.{}", name, key.str()));
  }
}

void check_console(Reader& in, const Config& c) {
  const auto missing = [&](std::string_view key, std::string_view what) {
    in.problems().push_back(
        fmt::format("{}:1: [console] {} is missing; expected {}", in.file(), key, what));
  };
  if (c.console.endpoints.empty() && in.problems().empty()) {
    missing("endpoints", "a list of 1..8 HOST:PORT");
  }
  if (c.console.server_name.empty()) {
    missing("server_name", "the name in the Console's certificate");
  }
  if (c.console.ca.empty()) { missing("ca", "a PEM file with the Console's CA"); }
  if (c.console.certificate.empty() != c.console.key.empty()) {
    missing(c.console.key.empty() ? "key" : "certificate",
            "certificate and key together, or neither");
  }
}

}  // namespace

std::expected<Config, ConfigProblems> parse_config(std::string_view text, const std::string& file,
                                                   const std::string& folder) {
  Reader in(file, folder);
  const toml::parse_result parsed = toml::parse(text, std::string_view(file));
  if (!parsed) {
    in.problem(parsed.error().source(), parsed.error().description());
    return std::unexpected(std::move(in.problems()));
  }
  Config config;
  const auto known = sections(config);
  for (const auto& [key, node] : parsed.table()) {
    const auto found = known.find(key.str());
    if (found == known.end()) {
      in.problem(key.source(),
                 fmt::format("unknown section [{}]; allowed: {}", key.str(), names_of(known)));
    } else if (const toml::table* table = node.as_table()) {
      read_section(in, found->first, found->second, *table);
    } else {
      in.problem(key.source(), fmt::format("{}: expected a section [{}]", key.str(), key.str()));
    }
  }
  check_console(in, config);
  if (!in.problems().empty()) { return std::unexpected(std::move(in.problems())); }
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
