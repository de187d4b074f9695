// libFuzzer: the answer of a hostile proxy or portal, cut anywhere. Whatever is kept of it is short
// and printable, and where it is cut changes nothing.
#include <algorithm>

#include "base/assert.hpp"
#include "tunnel/core/http_answer.hpp"

namespace edge::tunnel {
namespace {

bool printable(std::string_view text, std::size_t chars_max) {
  return text.size() <= chars_max &&
         std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

struct Outcome {
  bool failed = false;
  bool whole = false;
  unsigned status = 0;
  std::string location;
  bool operator==(const Outcome&) const = default;
};

Outcome read_in_pieces(ByteSpan bytes, std::size_t piece) {
  HttpHeadReader reader;
  for (std::size_t i = 0; i < bytes.size(); i += piece) {
    const auto fed = reader.feed(bytes.subspan(i, std::min(piece, bytes.size() - i)));
    if (!fed) {
      EDGE_ASSERT(printable(fed.error().what, 200));
      return {.failed = true};
    }
    if (!*fed) { continue; }
    const HttpHead& head = reader.head();
    EDGE_ASSERT(head.status >= 100 && head.status <= 599);
    EDGE_ASSERT(printable(head.reason, 80) && printable(head.location, 500));
    EDGE_ASSERT(printable(head.content_type, 80) && printable(head.schemes, 80));
    EDGE_ASSERT(printable(url_origin(head.location), 130));
    EDGE_ASSERT(i + piece <= HttpHeadReader::head_bytes_max + piece);
    if (const auto refusal = proxy_refusal(head, "u")) {
      EDGE_ASSERT(printable(refusal->text, 400));
    }
    if (const auto sign = portal_sign(head, "h")) { EDGE_ASSERT(printable(*sign, 400)); }
    return {.whole = true, .status = head.status, .location = head.location};
  }
  return {};
}

}  // namespace
}  // namespace edge::tunnel

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace edge::tunnel;
  const ByteSpan bytes = std::as_bytes(std::span(data, size));
  const Outcome at_once = read_in_pieces(bytes, std::max<std::size_t>(size, 1));
  const std::size_t piece = size == 0 ? 1 : 1 + data[size - 1] % 64;
  EDGE_ASSERT(at_once == read_in_pieces(bytes, piece));
  return 0;
}
