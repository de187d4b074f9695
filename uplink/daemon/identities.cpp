#include "uplink/daemon/identities.hpp"

#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

namespace edge::uplink {

namespace json = boost::json;

namespace {

constexpr IdentitySource all_sources[] = {IdentitySource::configured, IdentitySource::slot_a,
                                          IdentitySource::slot_b};

std::string fingerprint_in(const std::string& certificate_pem) {
  const auto chain = tunnel::read_certificates(certificate_pem, tunnel::identity_certificates_max);
  return chain ? tunnel::fingerprint_of(*chain->front()) : std::string();
}

}  // namespace

Identities::Identities(const Config& config, std::string folder, std::string host_id,
                       EventLog& events)
    : config_(config), files_(std::move(folder)), host_id_(std::move(host_id)), events_(events) {}

Result<Identities::Entry> Identities::read(IdentitySource source) const {
  tunnel::TlsMaterial material;
  Entry out;
  if (source == IdentitySource::configured) {
    const auto& files = config_.console;
    EDGE_ASSIGN(material, tunnel::load_tls_files({files.ca, files.certificate, files.key}));
  } else {
    EDGE_ASSIGN(const StoredIdentity stored, files_.read(source));
    material = material_of(stored, files_.path_of(source));
    // A slot of another host's disk is none of ours; what a person configured is not judged here.
    EDGE_TRY(tunnel::judge_identity(material, host_id_));
    out.generation = stored.generation;
    out.sight.replaces = stored.replaces;
  }
  EDGE_ASSIGN(out.context, tunnel::TlsContext::create(tunnel::TlsRole::client, material, options_));
  out.sight.in_date = !out.context->own_validity();
  out.sight.fingerprint = fingerprint_in(material.certificate_pem);
  return out;
}

void Identities::load(const tunnel::TlsOptions& options) {
  options_ = options;
  loaded_ = true;
  entries_.clear();
  refused_.clear();
  current_ = files_.current();
  const auto before = std::exchange(unusable_, {});
  for (const IdentitySource source : all_sources) {
    if (source == IdentitySource::configured && config_.console.certificate.empty()) { continue; }
    auto entry = read(source);
    if (entry) {
      entries_.emplace(source, std::move(*entry));
      continue;
    }
    const bool empty_slot =
        source != IdentitySource::configured && entry.error().code == Errc::not_found;
    if (empty_slot) { continue; }
    unusable_[source] = entry.error().what;
    const auto told = before.find(source);
    if (told != before.end() && told->second == entry.error().what) { continue; }
    spdlog::error("identity.unusable source=\"{}\" what=\"{}\"", to_string(source),
                  entry.error().what);
    events_.add("identity.unusable",
                {{"source", std::string(to_string(source))}, {"what", entry.error().what}});
  }
  std::map<IdentitySource, IdentitySight> seen;
  for (const auto& [source, entry] : entries_) { seen.emplace(source, entry.sight); }
  order_ = identity_order(seen, current_);
  shown_.reset();
  choose();
}

void Identities::choose() {
  shown_.reset();
  for (const IdentitySource source : order_) {
    if (refused_.contains(source)) { continue; }
    shown_ = source;
    return;
  }
}

Identities::Context Identities::context(const tunnel::TlsOptions& options, std::string& problem) {
  if (!loaded_) { load(options); }
  if (shown_) { return entries_.at(*shown_).context; }
  loaded_ = false;  // Nothing to lose by reading again at the next dial.
  problem = unusable_.empty()
                ? "no certificate: set console.certificate and console.key, or enrol this host"
                : unusable_.begin()->second;
  return nullptr;
}

void Identities::reload() { loaded_ = false; }

bool Identities::refused(const tunnel::TlsContext& context, const std::string& why) {
  if (!shown_ || entries_.at(*shown_).context.get() != &context) { return exhausted_; }
  const IdentitySource was = *shown_;
  refused_.insert(was);
  choose();
  if (!shown_) {
    exhausted_ = true;
    refused_.clear();
    choose();
    return true;
  }
  spdlog::warn("identity.fallback from=\"{}\" to=\"{}\" reason=\"{}\"", to_string(was),
               to_string(*shown_), why);
  if (!exhausted_) {
    events_.add("identity.fallback", {{"from", std::string(to_string(was))},
                                      {"to", std::string(to_string(*shown_))},
                                      {"reason", why}});
  }
  return exhausted_;
}

bool Identities::proven(const tunnel::TlsContext& context) const {
  return shown_ && worked_ == shown_ && entries_.at(*shown_).context.get() == &context;
}

void Identities::welcomed(const tunnel::TlsContext& context) {
  if (!shown_ || entries_.at(*shown_).context.get() != &context) { return; }
  worked_ = shown_;
  exhausted_ = false;
  refused_.clear();
}

Result<Identities::Context> Identities::candidate(const StoredIdentity& identity) const {
  const tunnel::TlsMaterial material = material_of(identity, "the renewed identity");
  EDGE_TRY(tunnel::judge_identity(material, host_id_));
  EDGE_ASSIGN(auto context,
              tunnel::TlsContext::create(tunnel::TlsRole::client, material, options_));
  if (const auto invalid = context->own_validity()) {
    return fail(Errc::invalid_input, invalid->text);
  }
  return context;
}

void Identities::adopt(IdentitySource slot, const StoredIdentity& identity, Context context) {
  Entry entry{.context = std::move(context),
              .sight = {.in_date = true,
                        .fingerprint = fingerprint_in(identity.certificate_pem),
                        .replaces = identity.replaces},
              .generation = identity.generation};
  entries_[slot] = std::move(entry);
  unusable_.erase(slot);
  refused_.clear();
  exhausted_ = false;
  current_ = slot;
  shown_ = slot;
  worked_ = slot;
  std::map<IdentitySource, IdentitySight> seen;
  for (const auto& [source, known] : entries_) { seen.emplace(source, known.sight); }
  order_ = identity_order(seen, current_);
}

std::optional<IdentitySource> Identities::unmarked() const {
  if (!worked_ || *worked_ == IdentitySource::configured || worked_ != shown_) {
    return std::nullopt;
  }
  return worked_ == current_ ? std::nullopt : worked_;
}

std::optional<RenewalFacts> Identities::facts() const {
  if (!shown_) { return std::nullopt; }
  const Entry& entry = entries_.at(*shown_);
  const tunnel::CertificateInfo& own = entry.context->own_certificate();
  return RenewalFacts{
      .not_before = own.not_before, .not_after = own.not_after, .generation = entry.generation};
}

std::string Identities::configured_fingerprint() const {
  const auto found = entries_.find(IdentitySource::configured);
  return found == entries_.end() ? std::string() : found->second.sight.fingerprint;
}

json::object Identities::view() const {
  json::object out{{"source", nullptr}};
  if (shown_) {
    const tunnel::CertificateInfo& own = entries_.at(*shown_).context->own_certificate();
    out = json::object{{"source", std::string(to_string(*shown_))},
                       {"subject", own.subject},
                       {"issuer", own.issuer},
                       {"serial", own.serial},
                       {"not_before", tunnel::to_iso8601(own.not_before)},
                       {"not_after", tunnel::to_iso8601(own.not_after)}};
  }
  json::array others;
  for (const IdentitySource source : order_) {
    if (source != shown_) { others.emplace_back(std::string(to_string(source))); }
  }
  out["others"] = std::move(others);
  return out;
}

std::string Identities::problem() const {
  if (exhausted_) { return "identity: the Console takes none of those that this host has"; }
  for (const auto& [source, what] : unusable_) {
    return fmt::format("identity {}: {}", to_string(source), what);
  }
  return {};
}

}  // namespace edge::uplink
