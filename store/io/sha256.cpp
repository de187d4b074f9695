#include "store/io/sha256.hpp"

#include <openssl/sha.h>

namespace edge::store {

Sha256 sha256(std::string_view bytes) {
  Sha256 out{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out.data());
  return out;
}

}  // namespace edge::store
