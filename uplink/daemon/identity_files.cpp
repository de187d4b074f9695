#include "uplink/daemon/identity_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/assert.hpp"
#include "base/unique_fd.hpp"
#include "dhcp/io/folder.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

std::string slot_name(IdentitySource slot) {
  EDGE_ASSERT(slot != IdentitySource::configured);
  return slot == IdentitySource::slot_a ? "a" : "b";
}

std::string text_member(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

Result<void> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) { continue; }
    if (written < 0) { return fail_errno(errno, "write " + path); }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> sync_folder(const std::string& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) { return fail_errno(errno, "open folder " + folder); }
  if (::fsync(fd.get()) != 0) { return fail_errno(errno, "sync folder " + folder); }
  return {};
}

}  // namespace

std::string IdentityFiles::path_of(IdentitySource slot) const {
  return fmt::format("{}/{}.json", folder_, slot_name(slot));
}

std::optional<IdentitySource> IdentityFiles::current() const {
  const auto text = dhcp::read_file(folder_ + "/current", 16);
  if (text && *text == "a\n") { return IdentitySource::slot_a; }
  if (text && *text == "b\n") { return IdentitySource::slot_b; }
  return std::nullopt;
}

Result<StoredIdentity> IdentityFiles::read(IdentitySource slot) const {
  const std::string path = path_of(slot);
  auto text = dhcp::read_file(path, slot_bytes_max);
  if (!text) { return std::unexpected(text.error()); }
  boost::system::error_code ec;
  const json::value parsed = json::parse(*text, ec, {}, {.max_depth = 4});
  const json::object* object = ec ? nullptr : parsed.if_object();
  if (object == nullptr) { return fail(Errc::corrupt, fmt::format("{}: not a JSON object", path)); }
  StoredIdentity out{.certificate_pem = text_member(*object, "certificate"),
                     .key_pem = text_member(*object, "key"),
                     .ca_pem = text_member(*object, "ca"),
                     .generation = text_member(*object, "generation"),
                     .replaces = text_member(*object, "replaces")};
  if (out.certificate_pem.empty() || out.key_pem.empty() || out.ca_pem.empty()) {
    return fail(Errc::corrupt, fmt::format("{}: certificate, key or ca is missing", path));
  }
  return out;
}

Result<void> IdentityFiles::replace(const std::string& name, std::string_view text) const {
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(errno, "make folder " + folder_);
  }
  const std::string path = folder_ + "/" + name;
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());  // Of a life that ended in here; it may have had another mode.
  const auto made = [&]() -> Result<void> {
    const UniqueFd fd(
        ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) { return fail_errno(errno, "open " + beside); }
    EDGE_TRY(write_all(fd.get(), text, beside));
    if (::fsync(fd.get()) != 0) { return fail_errno(errno, "sync " + beside); }
    if (::rename(beside.c_str(), path.c_str()) != 0) {
      return fail_errno(errno, "rename to " + path);
    }
    return {};
  }();
  if (!made) {
    ::unlink(beside.c_str());
    return made;
  }
  return sync_folder(folder_);
}

Result<void> IdentityFiles::write(IdentitySource slot, const StoredIdentity& identity) const {
  const std::string text = json::serialize(json::object{{"certificate", identity.certificate_pem},
                                                        {"key", identity.key_pem},
                                                        {"ca", identity.ca_pem},
                                                        {"generation", identity.generation},
                                                        {"replaces", identity.replaces}});
  if (text.size() > slot_bytes_max) {
    return fail(Errc::invalid_input,
                fmt::format("an identity of {} bytes, at most {}", text.size(), slot_bytes_max));
  }
  return replace(slot_name(slot) + ".json", text);
}

Result<void> IdentityFiles::set_current(IdentitySource slot) const {
  return replace("current", slot_name(slot) + "\n");
}

tunnel::TlsMaterial material_of(const StoredIdentity& identity, const std::string& path) {
  return {.ca_pem = identity.ca_pem,
          .certificate_pem = identity.certificate_pem,
          .key_pem = identity.key_pem,
          .names = {.ca = path, .certificate = path, .key = path}};
}

}  // namespace edge::uplink
