#include "base/toml_reader.hpp"

#include <fmt/format.h>

#include "base/quoted.hpp"

namespace edge {
namespace {

template <class Map>
std::string names_of(const Map& map) {
  std::string out;
  for (const auto& [name, unused] : map) { out += (out.empty() ? "" : ", ") + name; }
  return out;
}

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::none: return "nothing";
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "a list";
    case toml::node_type::string: return "a string";
    case toml::node_type::integer:
    case toml::node_type::floating_point: return "a number";
    case toml::node_type::boolean: return "a flag";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time: return "a date or time";
  }
  return "?";
}

}  // namespace

std::string described(const toml::node& node) {
  if (const auto* value = node.as_string()) { return quoted(value->get()); }
  if (const auto* value = node.as_integer()) { return fmt::to_string(value->get()); }
  if (const auto* value = node.as_floating_point()) { return fmt::to_string(value->get()); }
  if (const auto* value = node.as_boolean()) { return value->get() ? "true" : "false"; }
  return std::string(kind_of(node));
}

void TomlReader::read(std::string_view text, const Sections& sections) {
  const toml::parse_result parsed = toml::parse(text, std::string_view(file_));
  if (!parsed) {
    problems_.push_back(fmt::format("{}:{}: {}", file_, parsed.error().source().begin.line,
                                    parsed.error().description()));
    for (const auto& [name, section] : sections) {  // Nobody knows whether the others were given.
      for (const auto& [key, unused] : section) {
        complained_.insert(fmt::format("{}.{}", name, key));
      }
    }
    return;
  }
  for (const auto& [key, node] : parsed.table()) {
    const auto found = sections.find(key.str());
    if (found == sections.end()) {
      problems_.push_back(fmt::format("{}:{}: unknown section {}; allowed: {}", file_,
                                      key.source().begin.line, quoted(key.str()),
                                      names_of(sections)));
    } else if (const toml::table* table = node.as_table()) {
      read_section(found->first, found->second, *table);
    } else {
      wrong(node, key.str(), fmt::format("a section [{}]", key.str()));
    }
  }
}

void TomlReader::read_section(const std::string& name, const Section& section,
                              const toml::table& table) {
  for (const auto& [key, node] : table) {
    const auto found = section.find(key.str());
    if (found == section.end()) {
      problems_.push_back(fmt::format("{}:{}: unknown key {} in [{}]; allowed: {}", file_,
                                      key.source().begin.line, quoted(key.str()), name,
                                      names_of(section)));
    } else {
      found->second(*this, node, fmt::format("{}.{}", name, key.str()));
    }
  }
}

void TomlReader::problem(const toml::source_region& where, std::string_view key,
                         std::string_view what) {
  problems_.push_back(fmt::format("{}:{}: {}: {}", file_, where.begin.line, key, what));
  complained_.emplace(key);
}

void TomlReader::wrong(const toml::node& node, std::string_view key, std::string_view expected) {
  problem(node.source(), key, fmt::format("{}: expected {}", described(node), expected));
}

void TomlReader::require(bool set, std::string_view key, std::string_view expected) {
  if (set || complained_.contains(key)) { return; }
  problems_.push_back(fmt::format("{}:1: {} is missing; expected {}", file_, key, expected));
}

bool TomlReader::text(const toml::node& node, std::string_view key, std::string& out) {
  const auto* value = node.as_string();
  if (value == nullptr) {
    wrong(node, key, "a string");
    return false;
  }
  out = value->get();
  return true;
}

bool TomlReader::secret(const toml::node& node, std::string_view key, std::string& out) {
  if (node.is_string()) { return text(node, key, out); }
  problem(node.source(), key, fmt::format("{}: expected a string", kind_of(node)));
  return false;
}

bool TomlReader::file_name(const toml::node& node, std::string_view key, std::string& out) {
  if (!text(node, key, out)) { return false; }
  if (!out.empty() && out.front() != '/') { out = folder_ + "/" + out; }
  return true;
}

bool TomlReader::number(const toml::node& node, std::string_view key, unsigned low, unsigned high,
                        unsigned& out) {
  const auto* value = node.as_integer();
  if (value == nullptr) {
    wrong(node, key, fmt::format("a whole number {}..{}", low, high));
    return false;
  }
  if (value->get() < low || value->get() > high) {
    problem(node.source(), key, fmt::format("{} is out of range {}..{}", value->get(), low, high));
    return false;
  }
  out = static_cast<unsigned>(value->get());
  return true;
}

bool TomlReader::flag(const toml::node& node, std::string_view key, bool& out) {
  const auto* value = node.as_boolean();
  if (value == nullptr) {
    wrong(node, key, "true or false");
    return false;
  }
  out = value->get();
  return true;
}

const toml::array* TomlReader::list(const toml::node& node, std::string_view key,
                                    std::size_t count_min, std::size_t count_max,
                                    std::string_view entries) {
  const std::string expected = fmt::format("a list of {}..{} {}", count_min, count_max, entries);
  const auto* found = node.as_array();
  if (found == nullptr) {
    wrong(node, key, expected);
  } else if (found->size() < count_min || found->size() > count_max) {
    problem(node.source(), key, fmt::format("{} entries: expected {}", found->size(), expected));
    return nullptr;
  }
  return found;
}

bool TomlReader::texts(const toml::node& node, std::string_view key, std::size_t count_max,
                       std::vector<std::string>& out) {
  const auto* found = list(node, key, 0, count_max, "strings");
  if (found == nullptr) { return false; }
  out.clear();
  bool right = true;
  for (const toml::node& item : *found) {
    std::string value;
    if (text(item, key, value)) {
      out.push_back(std::move(value));
    } else {
      right = false;
    }
  }
  return right;
}

std::optional<HostPort> TomlReader::endpoint(const toml::node& node, std::string_view key) {
  std::string value;
  if (!text(node, key, value)) { return std::nullopt; }
  const auto parsed = parse_host_port(value);
  if (parsed) { return *parsed; }
  problem(node.source(), key, parsed.error().what);
  return std::nullopt;
}

std::optional<HostPort> TomlReader::listen(const toml::node& node, std::string_view key) {
  auto parsed = endpoint(node, key);
  if (parsed && !parse_ip(parsed->host)) {
    wrong(node, key, "an IP address before the port");
    parsed.reset();
  }
  return parsed;
}

bool TomlReader::log_level(const toml::node& node, std::string_view key, std::string& out) {
  const auto value = node.value_exact<std::string_view>();
  if (value != "error" && value != "warn" && value != "info" && value != "debug") {
    wrong(node, key, "error, warn, info or debug");
    return false;
  }
  out = *value;
  return true;
}

namespace toml_into {

TomlReader::Handler text(std::string& out) {
  return [&out](TomlReader& in, const toml::node& n, std::string_view k) { in.text(n, k, out); };
}
TomlReader::Handler file_name(std::string& out) {
  return
      [&out](TomlReader& in, const toml::node& n, std::string_view k) { in.file_name(n, k, out); };
}
TomlReader::Handler number(unsigned& out, unsigned low, unsigned high) {
  return [&out, low, high](TomlReader& in, const toml::node& n, std::string_view k) {
    in.number(n, k, low, high, out);
  };
}
TomlReader::Handler flag(bool& out) {
  return [&out](TomlReader& in, const toml::node& n, std::string_view k) { in.flag(n, k, out); };
}
TomlReader::Handler texts(std::vector<std::string>& out, std::size_t count_max) {
  return [&out, count_max](TomlReader& in, const toml::node& n, std::string_view k) {
    in.texts(n, k, count_max, out);
  };
}
TomlReader::Handler log_level(std::string& out) {
  return
      [&out](TomlReader& in, const toml::node& n, std::string_view k) { in.log_level(n, k, out); };
}

}  // namespace toml_into

}  // namespace edge
