#include "console/signer.hpp"

namespace edge::console {

Result<std::shared_ptr<const tunnel::IdentitySigner>> open_signer(const Config& config) {
  if (config.signer.ca.empty()) { return nullptr; }
  // The same three files as of a TLS end, in other roles.
  EDGE_ASSIGN(
      const tunnel::TlsMaterial files,
      tunnel::load_tls_files(
          {.ca = config.tls.ca, .certificate = config.signer.ca, .key = config.signer.key}));
  EDGE_ASSIGN(auto signer, tunnel::IdentitySigner::create(
                               files.certificate_pem, files.key_pem, files.ca_pem,
                               std::chrono::hours(24) * config.signer.days, config.signer.ca));
  return std::shared_ptr<const tunnel::IdentitySigner>(std::move(signer));
}

}  // namespace edge::console
