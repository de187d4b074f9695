#include "tunnel/core/identity_messages.hpp"

#include <fmt/format.h>
#include <boost/json.hpp>

namespace edge::tunnel {

namespace json = boost::json;

namespace {

constexpr std::size_t id_bytes_max = 64;
constexpr std::size_t problem_bytes_max = 1024;
constexpr std::int64_t spread_s_max = 86'400;

/// Errors: missing, no text, empty, too long.
Result<std::string> bounded_text(const json::object& message, std::string_view key,
                                 std::size_t bytes_max) {
  const json::value* value = message.if_contains(key);
  if (value == nullptr || !value->is_string()) {
    return fail(Errc::invalid_input, fmt::format("{}: expected a text", key));
  }
  const json::string& text = value->get_string();
  if (text.empty() || text.size() > bytes_max) {
    return fail(Errc::invalid_input,
                fmt::format("{}: {} bytes, expected 1..{}", key, text.size(), bytes_max));
  }
  return std::string(text);
}

}  // namespace

std::string encode(const SignerOffer& message) {
  json::object out{
      {"type", "signer"}, {"generation", message.generation}, {"spread_s", message.spread.count()}};
  if (message.now) { out["now"] = true; }
  return json::serialize(out);
}

std::string encode(const RenewRequest& message) {
  return json::serialize(json::object{{"type", "renew"}, {"id", message.id}, {"csr", message.csr}});
}

std::string encode(const RenewAnswer& message) {
  json::object out{{"type", "identity"}, {"id", message.id}};
  if (!message.problem.empty()) {
    out["problem"] = message.problem.substr(0, problem_bytes_max);
  } else {
    out["certificate"] = message.certificate;
    out["ca"] = message.ca;
    out["generation"] = message.generation;
  }
  return json::serialize(out);
}

Result<SignerOffer> decode_signer_offer(const json::object& message) {
  SignerOffer out;
  EDGE_ASSIGN(out.generation, bounded_text(message, "generation", generation_bytes_max));
  if (const json::value* spread = message.if_contains("spread_s")) {
    const bool fits =
        spread->is_int64() && spread->get_int64() >= 0 && spread->get_int64() <= spread_s_max;
    if (!fits) {
      return fail(Errc::invalid_input,
                  fmt::format("spread_s: expected a whole number 0..{}", spread_s_max));
    }
    out.spread = std::chrono::seconds(spread->get_int64());
  }
  const json::value* now = message.if_contains("now");
  out.now = now != nullptr && now->is_bool() && now->get_bool();
  return out;
}

Result<RenewRequest> decode_renew_request(const json::object& message) {
  RenewRequest out;
  EDGE_ASSIGN(out.id, bounded_text(message, "id", id_bytes_max));
  EDGE_ASSIGN(out.csr, bounded_text(message, "csr", csr_bytes_max));
  return out;
}

Result<RenewAnswer> decode_renew_answer(const json::object& message) {
  RenewAnswer out;
  EDGE_ASSIGN(out.id, bounded_text(message, "id", id_bytes_max));
  if (message.contains("problem")) {
    EDGE_ASSIGN(out.problem, bounded_text(message, "problem", problem_bytes_max));
    return out;
  }
  EDGE_ASSIGN(out.certificate, bounded_text(message, "certificate", identity_pem_bytes_max));
  EDGE_ASSIGN(out.ca, bounded_text(message, "ca", identity_pem_bytes_max));
  EDGE_ASSIGN(out.generation, bounded_text(message, "generation", generation_bytes_max));
  return out;
}

}  // namespace edge::tunnel
