#include "console/config.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/toml_reader.hpp"

namespace edge::console {
namespace {

constexpr std::string_view kToken = "8..256 visible ASCII characters";

void read_listens(TomlReader& in, const toml::node& node, std::string_view key,
                  std::vector<HostPort>& out) {
  const toml::array* list = in.list(node, key, 1, 16, "\"address:port\"");
  if (list == nullptr) { return; }
  for (const toml::node& item : *list) {
    if (auto one = in.listen(item, key)) { out.push_back(std::move(*one)); }
  }
}

void read_token(TomlReader& in, const toml::node& node, std::string_view key, std::string& out) {
  if (!in.secret(node, key, out)) { return; }
  const bool visible = std::ranges::all_of(out, [](char c) { return c > ' ' && c < 127; });
  if (out.size() < 8 || out.size() > 256 || !visible) {  // A secret: only its length is said.
    in.problem(node.source(), key,
               fmt::format("{} characters{}: expected {}", out.size(),
                           visible ? "" : ", not all of them visible", kToken));
  }
}

TomlReader::Sections sections(Config& c) {
  namespace into = toml_into;
  return {
      {"listen",
       {{"tunnel", [&c](TomlReader& in, const toml::node& n,
                        std::string_view k) { read_listens(in, n, k, c.listen.tunnel); }},
        {"http",
         [&c](TomlReader& in, const toml::node& n, std::string_view k) {
           if (auto where = in.listen(n, k)) { c.listen.http = std::move(*where); }
         }}}},
      {"tls",
       {{"ca", into::file_name(c.tls.ca)},
        {"certificate", into::file_name(c.tls.certificate)},
        {"key", into::file_name(c.tls.key)}}},
      {"signer",
       {{"ca", into::file_name(c.signer.ca)},
        {"key", into::file_name(c.signer.key)},
        {"days", into::number(c.signer.days, 1, 3650)},
        {"spread_s", into::number(c.signer.spread_s, 0, 86'400)}}},
      {"paths", {{"state", into::file_name(c.paths.state)}}},
      {"http",
       {{"token", [&c](TomlReader& in, const toml::node& n,
                       std::string_view k) { read_token(in, n, k, c.http.token); }},
        {"connections_max", into::number(c.http.connections_max, 4, 4096)}}},
      {"timers",
       {{"heartbeat_ms", into::number(c.timers.heartbeat_ms, 50, 10'000)},
        {"dead_after", into::number(c.timers.dead_after, 2, 20)},
        {"detach_ttl_s", into::number(c.timers.detach_ttl_s, 10, 86'400)}}},
      {"limits",
       {{"handshakes_per_s", into::number(c.limits.handshakes_per_s, 10, 10'000)},
        {"heartbeats_per_s", into::number(c.limits.heartbeats_per_s, 100, 1'000'000)},
        {"memory_mib", into::number(c.limits.memory_mib, 0, 1'048'576)},
        {"queued_mib", into::number(c.limits.queued_mib, 16, 1'048'576)}}},
      {"log", {{"level", into::log_level(c.log.level)}}},
  };
}

void check_complete(TomlReader& in, const Config& config) {
  in.require(!config.listen.tunnel.empty(), "listen.tunnel", "a list of \"address:port\"");
  in.require(!config.tls.ca.empty(), "tls.ca", "a PEM file");
  in.require(!config.tls.certificate.empty(), "tls.certificate", "a PEM file");
  in.require(!config.tls.key.empty(), "tls.key", "a PEM file");
  if (config.signer.ca.empty() != config.signer.key.empty()) {
    in.require(false, config.signer.ca.empty() ? "signer.ca" : "signer.key",
               "a PEM file beside the other one of [signer]");
  }
  in.require(!config.http.token.empty(), "http.token", kToken);
}

}  // namespace

std::expected<Config, ConfigProblems> parse_config(std::string_view text, const std::string& file,
                                                   const std::string& folder) {
  TomlReader in(file, folder);
  Config config;
  in.read(text, sections(config));
  check_complete(in, config);
  ConfigProblems problems = in.take_problems();
  if (!problems.empty()) { return std::unexpected(std::move(problems)); }
  return config;
}

}  // namespace edge::console
