// Fields of one JSON message, whatever its sender put into it: typed, bounded, or one clear
// problem.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/value.hpp>

#include "base/error.hpp"
#include "tunnel/core/bytes.hpp"

namespace edge::tunnel {

inline constexpr std::size_t text_bytes_max = 256;  ///< Names, labels, ids.

/// Reads fields of one JSON object; the first problem sticks and names message, field and allowed
/// values. What could not be read is 0, false or empty: ask finish() before anything is believed.
class MessageFields {
 public:
  MessageFields(std::string_view message, ByteSpan payload);

  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::string text(std::string_view key, std::size_t bytes_max = text_bytes_max);
  std::string text_or_empty(std::string_view key, std::size_t bytes_max = text_bytes_max);
  std::uint64_t number(std::string_view key, std::uint64_t low, std::uint64_t high);
  std::uint64_t number_or(std::string_view key, std::uint64_t fallback, std::uint64_t low,
                          std::uint64_t high);
  bool flag(std::string_view key);
  /// 16 hex digits.
  std::uint64_t hex(std::string_view key);
  std::vector<std::uint64_t> numbers(std::string_view key, std::size_t count_max, std::uint64_t low,
                                     std::uint64_t high);
  std::vector<std::string> texts_or_empty(std::string_view key, std::size_t count_max);

  /// Fields of a nested object. Its problems are reported by this one through adopt().
  MessageFields inner(std::string_view key);
  void adopt(const MessageFields& nested);

  void problem(std::string_view key, std::string_view what);
  const std::optional<Error>& error() const { return error_; }

 private:
  explicit MessageFields(std::string message) : message_(std::move(message)) {}

  const boost::json::value* find(std::string_view key) const;
  template <class T>
  T missing(std::string_view key);
  std::uint64_t checked(const boost::json::value& value, std::string_view key, std::uint64_t low,
                        std::uint64_t high);
  std::span<const boost::json::value> items(std::string_view key, std::size_t count_max);

  std::string message_;
  boost::json::value value_;
  std::optional<Error> error_;
};

/// What was read from `fields`, unless one of them was wrong.
template <class T>
Result<T> finish(const MessageFields& fields, T value) {
  if (fields.error()) { return std::unexpected(*fields.error()); }
  return value;
}

}  // namespace edge::tunnel
