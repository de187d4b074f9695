// Reads a configuration file: values in their places, or each wrong thing as one line of text.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.hpp"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace edge {

/// The value for a message: text in quotes and shortened, a number or a flag as it is, else its
/// kind ("a list", "a table").
std::string described(const toml::node& node);

/// Walks a document by a table of known sections and keys. What is wrong is collected, with the
/// line, the key, the value as given and what is expected: `uplink.toml:7: tunnel.heartbeat_ms: 49
/// is out of range 50..10000`. Getters return false, or nothing, when they reported something; what
/// they would have filled is unchanged then.
///
/// Time: none. Threads: none.
class TomlReader {
 public:
  using Handler = std::function<void(TomlReader&, const toml::node&, std::string_view key)>;
  using Section = std::map<std::string, Handler, std::less<>>;
  using Sections = std::map<std::string, Section, std::less<>>;

  /// `file` is only for the messages; relative file names are resolved against `folder`.
  TomlReader(std::string file, std::string folder)
      : file_(std::move(file)), folder_(std::move(folder)) {}

  /// Every section and key of `text`, each by its handler; unknown ones are problems. Text that is
  /// no TOML is one problem: its parser stops there.
  void read(std::string_view text, const Sections& sections);

  /// `FILE:LINE: KEY: WHAT`
  void problem(const toml::source_region& where, std::string_view key, std::string_view what);
  /// `FILE:LINE: KEY: VALUE: expected WHAT`
  void wrong(const toml::node& node, std::string_view key, std::string_view expected);
  /// After read(): a key without which nothing works, and is it still unset? Not said twice.
  void require(bool set, std::string_view key, std::string_view expected);

  bool text(const toml::node& node, std::string_view key, std::string& out);
  /// Its wrong value is not shown.
  bool secret(const toml::node& node, std::string_view key, std::string& out);
  bool file_name(const toml::node& node, std::string_view key, std::string& out);
  bool number(const toml::node& node, std::string_view key, unsigned low, unsigned high,
              unsigned& out);
  bool flag(const toml::node& node, std::string_view key, bool& out);
  /// A list of count_min..count_max entries.
  const toml::array* list(const toml::node& node, std::string_view key, std::size_t count_min,
                          std::size_t count_max, std::string_view entries);
  /// Entries that are no strings are left out and reported.
  bool texts(const toml::node& node, std::string_view key, std::size_t count_max,
             std::vector<std::string>& out);
  /// HOST:PORT.
  std::optional<HostPort> endpoint(const toml::node& node, std::string_view key);
  /// An IP address with a port.
  std::optional<HostPort> listen(const toml::node& node, std::string_view key);
  /// error, warn, info or debug.
  bool log_level(const toml::node& node, std::string_view key, std::string& out);

  std::vector<std::string> take_problems() { return std::move(problems_); }

 private:
  void read_section(const std::string& name, const Section& section, const toml::table& table);

  std::string file_;
  std::string folder_;
  std::set<std::string, std::less<>> complained_;  ///< Keys.
  std::vector<std::string> problems_;
};

/// Handlers of the common kinds. Pre: `out` outlives the handler.
namespace toml_into {
TomlReader::Handler text(std::string& out);
TomlReader::Handler file_name(std::string& out);
TomlReader::Handler number(unsigned& out, unsigned low, unsigned high);
TomlReader::Handler flag(bool& out);
TomlReader::Handler texts(std::vector<std::string>& out, std::size_t count_max);
TomlReader::Handler log_level(std::string& out);
}  // namespace toml_into

}  // namespace edge
