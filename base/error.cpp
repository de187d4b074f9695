#include "base/error.hpp"

#include <cerrno>
#include <cstring>

namespace edge {

Errc errc_of_errno(int os_errno) {
  switch (os_errno) {
    case EINVAL:
    case ERANGE:
    case E2BIG:
    case ENAMETOOLONG: return Errc::invalid_input;
    case ENODEV:
    case ENOENT:
    case ESRCH:
    case ENXIO:
    case EADDRNOTAVAIL: return Errc::not_found;
    case EEXIST:
    case EBUSY:
    case ENOTEMPTY:
    case EADDRINUSE: return Errc::conflict;
    case EPERM:
    case EROFS:
    case EACCES: return Errc::denied;
    case ENOSPC:
    case EDQUOT:
    case EXFULL:  // A bridge has 1,023 ports.
    case EFBIG: return Errc::no_space;
    case EOPNOTSUPP:
    case ENOSYS:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT: return Errc::unsupported;
    default: return Errc::transient;
  }
}

std::unexpected<Error> fail_errno(int os_errno, std::string_view what) {
  std::string text(what);
  text += ": ";
  const char* words = strerrordesc_np(os_errno);  // glibc 2.32: thread safe, unlike strerror.
  text += words != nullptr ? std::string(words) : "error " + std::to_string(os_errno);
  return fail(errc_of_errno(os_errno), text, os_errno);
}

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::invalid_input: return "invalid_input";
    case Errc::not_found: return "not_found";
    case Errc::conflict: return "conflict";
    case Errc::transient: return "transient";
    case Errc::denied: return "denied";
    case Errc::corrupt: return "corrupt";
    case Errc::no_space: return "no_space";
    case Errc::unsupported: return "unsupported";
  }
  return "unknown";
}

}  // namespace edge
