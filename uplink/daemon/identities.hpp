// Which identity this host shows, out of those it has; the next one when the Console refuses it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "tunnel/io/identity.hpp"
#include "tunnel/io/tls_context.hpp"
#include "uplink/core/config.hpp"
#include "uplink/core/identity_order.hpp"
#include "uplink/core/renewal.hpp"
#include "uplink/daemon/events.hpp"
#include "uplink/daemon/identity_files.hpp"

namespace edge::uplink {

/// Time: the TLS options' wall clock. Threads: the io_context's.
class Identities {
 public:
  using Context = std::shared_ptr<const tunnel::TlsContext>;

  /// `folder`: of the slots. Nothing is read yet.
  Identities(const Config& config, std::string folder, std::string host_id, EventLog& events);

  /// The one to dial with; reads the files when none is in use. nullptr: `problem` says why.
  Context context(const tunnel::TlsOptions& options, std::string& problem);
  /// The files are read again at the next context(): a person may have put others there.
  void reload();

  /// The Console, or its certificate, did not fit this one: the next is tried. True: all of them
  /// were tried since one was welcomed, it begins again with the first.
  bool refused(const tunnel::TlsContext& context, const std::string& why);
  /// It is the one that is shown, and the Console served it in this life.
  bool proven(const tunnel::TlsContext& context) const;
  /// The Console served a host that showed it.
  void welcomed(const tunnel::TlsContext& context);

  /// What a Console signed, as a context for one dial. Errors: not usable by this host, and why.
  Result<Context> candidate(const StoredIdentity& identity) const;
  /// The slot that a renewal may be written to.
  IdentitySource spare() const { return spare_of(shown_, current_); }
  /// It is on disk and current: shown from now on. `context`: what candidate() made of it.
  void adopt(IdentitySource slot, const StoredIdentity& identity, Context context);
  /// A slot that is shown and works, but is not the current one on disk.
  std::optional<IdentitySource> unmarked() const;
  void marked(IdentitySource slot) { current_ = slot; }

  /// Of the one that is shown; nullopt: none is, or none is known yet.
  std::optional<RenewalFacts> facts() const;
  /// Fingerprint of the certificate that uplink.toml names; empty: none that can be read.
  std::string configured_fingerprint() const;
  const IdentityFiles& files() const { return files_; }
  const std::string& host_id() const { return host_id_; }
  /// {"source", "subject", "issuer", "serial", "not_before", "not_after", "others": [source]}; null
  /// members: none is in use.
  boost::json::object view() const;
  /// One line for a person; empty: all is well.
  std::string problem() const;

 private:
  struct Entry {
    Context context;
    IdentitySight sight;
    std::string generation;
  };
  void load(const tunnel::TlsOptions& options);
  Result<Entry> read(IdentitySource source) const;
  void choose();

  const Config& config_;
  IdentityFiles files_;
  std::string host_id_;
  EventLog& events_;
  tunnel::TlsOptions options_;
  bool loaded_ = false;
  std::map<IdentitySource, Entry> entries_;
  std::vector<IdentitySource> order_;
  std::set<IdentitySource> refused_;
  std::map<IdentitySource, std::string> unusable_;  ///< Why; what is simply not there is not named.
  std::optional<IdentitySource> current_;           ///< By the file.
  std::optional<IdentitySource> shown_;
  std::optional<IdentitySource> worked_;  ///< Was welcomed.
  bool exhausted_ = false;
};

}  // namespace edge::uplink
