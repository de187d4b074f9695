// Reads the fields of one JSON object and reports each thing that is wrong with them.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/net.hpp"
#include "base/quoted.hpp"
#include "netmodel/core/problem.hpp"

namespace edge::netmodel {

/// Most adapters that one command may list.
inline constexpr std::size_t adapters_max = 256;

using edge::quoted;

/// A JSON value for a message: its text when it is short, else what it is ("a list", "an object").
std::string described(const boost::json::value& value);

/// `name` is "" or how a choice is written in JSON.
template <class T>
struct Choice {
  std::string_view name;
  T value;
};

/// Where a reader stands: which operation, how a person calls the object, and the path of its
/// fields.
struct FieldScope {
  std::optional<std::size_t> op;
  std::string label;   ///< `network "web"`
  std::string prefix;  ///< "dhcp." in front of field names; may be empty.
};

/// Every getter returns nullopt when the field is absent or wrong; wrong was reported then.
/// Threads: none. Pre: object and problems outlive it.
class FieldReader {
 public:
  FieldReader(const boost::json::object& object, FieldScope scope, Problems& problems)
      : object_(object), scope_(std::move(scope)), problems_(problems) {}

  bool has(std::string_view key) const { return object_.contains(key); }
  /// Reports "field ... is missing" unless it is there.
  bool require(std::string_view key);

  std::optional<std::string> text(std::string_view key, std::size_t bytes_max);
  std::optional<std::string> id(std::string_view key);
  std::optional<std::string> adapter(std::string_view key);
  std::optional<std::uint64_t> number(std::string_view key, std::uint64_t low, std::uint64_t high);
  std::optional<bool> boolean(std::string_view key);
  std::optional<MacAddress> mac(std::string_view key);
  std::optional<IpAddress> ip(std::string_view key);
  std::optional<IpPrefix> prefix(std::string_view key);
  const boost::json::array* array(std::string_view key, std::size_t count_max);
  const boost::json::object* object(std::string_view key);
  const boost::json::value* any(std::string_view key);

  template <class T, std::size_t n>
  std::optional<T> choice(std::string_view key, const std::array<Choice<T>, n>& choices) {
    const auto* value = any(key);
    if (value == nullptr) { return std::nullopt; }
    std::vector<std::string_view> names;
    for (const auto& c : choices) {
      if (value->is_string() && std::string_view(value->get_string()) == c.name) { return c.value; }
      names.push_back(c.name);
    }
    wrong_choice(key, *value, names);
    return std::nullopt;
  }

  std::optional<std::vector<IpAddress>> ip_list(std::string_view key, std::size_t count_max);
  std::optional<std::vector<IpPrefix>> prefix_list(std::string_view key, std::size_t count_max);
  std::optional<std::vector<std::string>> adapter_list(std::string_view key, std::size_t count_max);

  /// Reports every field that no getter asked for.
  void finish();
  /// `label: text`, for a rule that spans fields.
  void wrong(std::string_view field, std::string text);

  const FieldScope& scope() const { return scope_; }
  Problems& problems() { return problems_; }

 private:
  void wrong_choice(std::string_view key, const boost::json::value& value,
                    const std::vector<std::string_view>& names);
  const boost::json::string* string(std::string_view key, std::string_view allowed);
  std::string words(std::string_view key) const;

  const boost::json::object& object_;
  FieldScope scope_;
  Problems& problems_;
  std::vector<std::string_view> known_;
};

}  // namespace edge::netmodel
