#include "console/config.hpp"

#include <functional>
#include <map>

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace edge::console {
namespace {

/// Collects problems while the tree is walked.
class Reader {
 public:
  Reader(std::string file, std::string folder)
      : file_(std::move(file)), folder_(std::move(folder)) {}

  void problem(const toml::source_region& where, std::string_view text) {
    problems_.push_back(fmt::format("{}:{}: {}", file_, where.begin.line, text));
  }
  void missing(std::string_view key, std::string_view expected) {
    problems_.push_back(fmt::format("{}:1: {} is missing: expected {}", file_, key, expected));
  }

  void text(const toml::node& node, std::string_view key, std::string& out) {
    if (const auto* value = node.as_string()) {
      out = value->get();
    } else {
      problem(node.source(), fmt::format("{}: expected a string", key));
    }
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
  /// An IP address with a port.
  void listen(const toml::node& node, std::string_view key, HostPort& out) {
    std::string value;
    text(node, key, value);
    if (!node.is_string()) { return; }  // Said already.
    const auto parsed = parse_host_port(value);
    if (!parsed) {
      problem(node.source(), fmt::format("{}: {}", key, parsed.error().what));
    } else if (!parse_ip(parsed->host)) {
      problem(node.source(),
              fmt::format("{}: \"{}\": expected an IP address before the port", key, value));
    } else {
      out = *parsed;
    }
  }
  void listens(const toml::node& node, std::string_view key, std::vector<HostPort>& out) {
    constexpr std::size_t count_max = 16;
    const auto* list = node.as_array();
    if (list == nullptr || list->empty() || list->size() > count_max) {
      problem(node.source(),
              fmt::format("{}: expected a list of 1..{} \"address:port\"", key, count_max));
      return;
    }
    out.clear();
    for (const toml::node& item : *list) {
      HostPort one;
      listen(item, key, one);
      out.push_back(std::move(one));
    }
  }
  void token(const toml::node& node, std::string_view key, std::string& out) {
    text(node, key, out);
    bool visible = true;
    for (const char c : out) { visible = visible && c > ' ' && c < 127; }
    if (out.size() < 8 || out.size() > 256 ||
        !visible) {  // The value itself is a secret: not said.
      problem(node.source(), fmt::format("{}: expected 8..256 visible ASCII characters", key));
    }
  }
  void level(const toml::node& node, std::string_view key, std::string& out) {
    text(node, key, out);
    if (out != "error" && out != "warn" && out != "info" && out != "debug") {
      problem(node.source(),
              fmt::format("{}: \"{}\": expected error, warn, info or debug", key, out));
    }
  }

  ConfigProblems& problems() { return problems_; }

 private:
  std::string file_;
  std::string folder_;
  ConfigProblems problems_;
};

using Handler = std::function<void(Reader&, const toml::node&, std::string_view)>;
using Section = std::map<std::string, Handler, std::less<>>;

std::map<std::string, Section, std::less<>> sections(Config& c) {
  const auto file = [](std::string& out) {
    return [&out](Reader& in, const toml::node& n, std::string_view k) { in.file_name(n, k, out); };
  };
  const auto number = [](unsigned low, unsigned high, unsigned& out) {
    return [=, &out](Reader& in, const toml::node& n, std::string_view k) {
      in.number(n, k, low, high, out);
    };
  };
  return {
      {"listen",
       {{"tunnel", [&c](Reader& in, const toml::node& n,
                        std::string_view k) { in.listens(n, k, c.listen.tunnel); }},
        {"http", [&c](Reader& in, const toml::node& n,
                      std::string_view k) { in.listen(n, k, c.listen.http); }}}},
      {"tls",
       {{"ca", file(c.tls.ca)},
        {"certificate", file(c.tls.certificate)},
        {"key", file(c.tls.key)}}},
      {"signer",
       {{"ca", file(c.signer.ca)},
        {"key", file(c.signer.key)},
        {"days", number(1, 3650, c.signer.days)},
        {"spread_s", number(0, 86'400, c.signer.spread_s)}}},
      {"paths", {{"state", file(c.paths.state)}}},
      {"http",
       {{"token", [&c](Reader& in, const toml::node& n,
                       std::string_view k) { in.token(n, k, c.http.token); }},
        {"connections_max", number(4, 4096, c.http.connections_max)}}},
      {"timers",
       {{"heartbeat_ms", number(50, 10'000, c.timers.heartbeat_ms)},
        {"dead_after", number(2, 20, c.timers.dead_after)},
        {"detach_ttl_s", number(10, 86'400, c.timers.detach_ttl_s)}}},
      {"limits",
       {{"handshakes_per_s", number(10, 10'000, c.limits.handshakes_per_s)},
        {"heartbeats_per_s", number(100, 1'000'000, c.limits.heartbeats_per_s)},
        {"memory_mib", number(0, 1'048'576, c.limits.memory_mib)},
        {"queued_mib", number(16, 1'048'576, c.limits.queued_mib)}}},
      {"log",
       {{"level", [&c](Reader& in, const toml::node& n,
                       std::string_view k) { in.level(n, k, c.log.level); }}}},
  };
}

template <class Map>
std::string names_of(const Map& map) {
  std::string out;
  for (const auto& [name, value] : map) { out += (out.empty() ? "" : ", ") + name; }
  return out;
}

void read_section(Reader& in, const std::string& name, const Section& section,
                  const toml::node& node) {
  const auto* table = node.as_table();
  if (table == nullptr) {
    in.problem(node.source(), fmt::format("{}: expected a table [{}]", name, name));
    return;
  }
  for (const auto& [key, value] : *table) {
    const auto handler = section.find(key.str());
    if (handler == section.end()) {
      in.problem(key.source(), fmt::format("{}.{}: unknown key; allowed are {}", name, key.str(),
                                           names_of(section)));
    } else {
      handler->second(in, value, fmt::format("{}.{}", name, key.str()));
    }
  }
}

}  // namespace

std::expected<Config, ConfigProblems> parse_config(std::string_view text, const std::string& file,
                                                   const std::string& folder) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return std::unexpected(ConfigProblems{fmt::format(
        "{}:{}: {}", file, parsed.error().source().begin.line, parsed.error().description())});
  }
  Config config;
  Reader in(file, folder);
  const auto known = sections(config);
  for (const auto& [key, value] : parsed.table()) {
    const auto section = known.find(key.str());
    if (section == known.end()) {
      in.problem(key.source(),
                 fmt::format("{}: unknown section; allowed are {}", key.str(), names_of(known)));
    } else {
      read_section(in, section->first, section->second, value);
    }
  }
  if (in.problems().empty()) {
    if (config.listen.tunnel.empty()) { in.missing("listen.tunnel", "a list of \"address:port\""); }
    if (config.tls.ca.empty()) { in.missing("tls.ca", "a PEM file"); }
    if (config.tls.certificate.empty()) { in.missing("tls.certificate", "a PEM file"); }
    if (config.tls.key.empty()) { in.missing("tls.key", "a PEM file"); }
    if (config.signer.ca.empty() != config.signer.key.empty()) {
      in.missing(config.signer.ca.empty() ? "signer.ca" : "signer.key",
                 "a PEM file beside the other one of [signer]");
    }
    if (config.http.token.empty()) { in.missing("http.token", "8..256 visible ASCII characters"); }
  }
  if (!in.problems().empty()) { return std::unexpected(std::move(in.problems())); }
  return config;
}

}  // namespace edge::console
