#include "tunnel/core/message_fields.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <boost/json.hpp>

namespace edge::tunnel {
namespace json = boost::json;
namespace {

constexpr std::size_t json_depth_max = 16;

/// What people are shown in logs may not begin a line of its own, or drive their terminal.
bool has_control_character(std::string_view text) {
  return std::ranges::any_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

template <class T>
T MessageFields::missing(std::string_view key) {
  problem(key, "is missing");
  return T{};
}

MessageFields::MessageFields(std::string_view message, ByteSpan payload) : message_(message) {
  json::parse_options options;
  options.max_depth = json_depth_max;
  boost::system::error_code ec;
  value_ = json::parse(json::string_view(as_text(payload)), ec, {}, options);
  if (ec) {
    problem("payload", "is not JSON: " + ec.message());
  } else if (!value_.is_object()) {
    problem("payload", "is not a JSON object");
  }
}

std::string MessageFields::text(std::string_view key, std::size_t bytes_max) {
  const json::value* value = find(key);
  if (value == nullptr) { return missing<std::string>(key); }
  if (!value->is_string() || value->get_string().size() > bytes_max) {
    problem(key, fmt::format("must be a string of at most {} bytes", bytes_max));
    return {};
  }
  if (has_control_character(value->get_string())) {
    problem(key, "must not hold control characters");
    return {};
  }
  return std::string(value->get_string());
}

std::string MessageFields::text_or_empty(std::string_view key, std::size_t bytes_max) {
  return find(key) == nullptr ? std::string() : text(key, bytes_max);
}

std::uint64_t MessageFields::number(std::string_view key, std::uint64_t low, std::uint64_t high) {
  const json::value* value = find(key);
  if (value == nullptr) { return missing<std::uint64_t>(key); }
  return checked(*value, key, low, high);
}

std::uint64_t MessageFields::number_or(std::string_view key, std::uint64_t fallback,
                                       std::uint64_t low, std::uint64_t high) {
  return find(key) == nullptr ? fallback : number(key, low, high);
}

bool MessageFields::flag(std::string_view key) {
  const json::value* value = find(key);
  if (value == nullptr) { return missing<bool>(key); }
  if (!value->is_bool()) {
    problem(key, "must be true or false");
    return false;
  }
  return value->get_bool();
}

std::uint64_t MessageFields::hex(std::string_view key) {
  const std::string digits = text(key);
  std::uint64_t value = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (!error_ && (digits.size() != 16 || ec != std::errc() || end != digits.data() + 16)) {
    problem(key, "must be 16 hex digits");
  }
  return value;
}

std::vector<std::uint64_t> MessageFields::numbers(std::string_view key, std::size_t count_max,
                                                  std::uint64_t low, std::uint64_t high) {
  std::vector<std::uint64_t> out;
  for (const json::value& item : items(key, count_max)) {
    out.push_back(checked(item, key, low, high));
  }
  return out;
}

std::vector<std::string> MessageFields::texts_or_empty(std::string_view key,
                                                       std::size_t count_max) {
  std::vector<std::string> out;
  if (find(key) == nullptr) { return out; }
  for (const json::value& item : items(key, count_max)) {
    if (!item.is_string() || item.get_string().size() > text_bytes_max) {
      problem(key, fmt::format("must hold strings of at most {} bytes", text_bytes_max));
      return out;
    }
    if (has_control_character(item.get_string())) {
      problem(key, "must not hold control characters");
      return out;
    }
    out.emplace_back(item.get_string());
  }
  return out;
}

MessageFields MessageFields::inner(std::string_view key) {
  const json::value* value = find(key);
  MessageFields nested(fmt::format("{} {}", message_, key));
  if (value == nullptr || !value->is_object()) {
    problem(key, "must be an object");
  } else {
    nested.value_ = *value;
  }
  return nested;
}

void MessageFields::adopt(const MessageFields& nested) {
  if (!error_) { error_ = nested.error_; }
}

void MessageFields::problem(std::string_view key, std::string_view what) {
  if (!error_) { error_ = Error{Errc::corrupt, 0, fmt::format("{}: {} {}", message_, key, what)}; }
}

const json::value* MessageFields::find(std::string_view key) const {
  if (!value_.is_object()) { return nullptr; }
  return value_.get_object().if_contains(json::string_view(key.data(), key.size()));
}

std::uint64_t MessageFields::checked(const json::value& value, std::string_view key,
                                     std::uint64_t low, std::uint64_t high) {
  boost::system::error_code ec;
  const auto number = value.is_number() ? value.to_number<std::uint64_t>(ec) : 0;
  if (!value.is_number() || ec || value.is_double() || number < low || number > high) {
    problem(key, fmt::format("must be a whole number {}..{}", low, high));
    return low;
  }
  return number;
}

std::span<const json::value> MessageFields::items(std::string_view key, std::size_t count_max) {
  const json::value* value = find(key);
  if (value == nullptr || !value->is_array() || value->get_array().size() > count_max) {
    problem(key, fmt::format("must be an array of at most {}", count_max));
    return {};
  }
  return {value->get_array().data(), value->get_array().size()};
}

}  // namespace edge::tunnel
