// Byte buffers and big-endian numbers: the vocabulary of everything that goes on the wire.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace edge::tunnel {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;
/// Immutable; one encoded frame queued on several paths is stored once (that is why it is shared).
using SharedBytes = std::shared_ptr<const Bytes>;

inline ByteSpan as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline Bytes to_bytes(std::string_view text) {
  const ByteSpan span = as_bytes(text);
  return {span.begin(), span.end()};
}
inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// An unsigned integer in network byte order.
template <class T>
  requires std::is_unsigned_v<T>
constexpr std::array<std::byte, sizeof(T)> big_endian(T value) {
  std::array<std::byte, sizeof(T)> out{};
  for (std::size_t i = sizeof(T); i-- > 0; value = static_cast<T>(std::uint64_t{value} >> 8)) {
    out[i] = static_cast<std::byte>(value & 0xffU);
  }
  return out;
}
template <class T>
void put(Bytes& out, T value) {
  const auto raw = big_endian(value);
  out.insert(out.end(), raw.begin(), raw.end());
}

/// Reads unsigned integers in network byte order from the front of a span.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : rest_(bytes) {}

  /// nullopt when fewer than sizeof(T) bytes are left; nothing is consumed then.
  template <class T>
    requires std::is_unsigned_v<T>
  std::optional<T> take() {
    if (rest_.size() < sizeof(T)) { return std::nullopt; }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value = (value << 8) | std::to_integer<std::uint64_t>(rest_[i]);
    }
    rest_ = rest_.subspan(sizeof(T));
    return static_cast<T>(value);
  }
  std::size_t left() const { return rest_.size(); }

 private:
  ByteSpan rest_;
};

}  // namespace edge::tunnel
