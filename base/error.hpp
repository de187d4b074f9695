// The one failure type of the project: a value, never an exception.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace edge {

/// What the caller can do about a failure. One enumerator per distinct reaction, not per cause.
enum class Errc {
  invalid_input,  ///< Reject the request; retrying cannot help.
  not_found,      ///< The object is absent (ENODEV, ESRCH, ENOENT).
  conflict,       ///< Another owner holds it (EEXIST, EBUSY).
  transient,      ///< Retry with back-off (EAGAIN, ENOBUFS, ETIMEDOUT).
  denied,         ///< Missing capability or read-only (EPERM, EACCES, EROFS); do not retry.
  corrupt,        ///< Stored or received bytes break their own format.
  no_space,       ///< Disk or a bounded queue is full; refuse before doing anything.
  unsupported,    ///< This kernel or program cannot do it (EOPNOTSUPP); choose another way.
};

/// A recoverable failure, as a value. `os_errno` is positive, 0 when no syscall was involved.
struct Error {
  Errc code;
  int os_errno = 0;
  std::string what;  ///< Lower case, no full stop: "add route 10.0.0.0/8 table 101".
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Errc code, std::string_view what, int os_errno = 0) {
  return std::unexpected(Error{code, os_errno, std::string(what)});
}

/// Adds where it happened in front: "open store: disk I/O error".
inline std::unexpected<Error> fail_in(std::string_view where, const Error& cause) {
  return std::unexpected(Error{cause.code, cause.os_errno, std::string(where) + ": " + cause.what});
}

/// The reaction that an errno calls for. Source: errno(3).
Errc errc_of_errno(int os_errno);

/// fail() for a syscall: appends strerror. Pre: os_errno > 0.
std::unexpected<Error> fail_errno(int os_errno, std::string_view what);

std::string_view to_string(Errc code);

}  // namespace edge

/// Returns the Error of a Result<void> expression from the enclosing function.
#define EDGE_TRY(expr)                                            \
  do {                                                            \
    if (auto edge_try_result = (expr); !edge_try_result) {        \
      return std::unexpected(std::move(edge_try_result).error()); \
    }                                                             \
  } while (false)

#define EDGE_CONCAT_(a, b) a##b
#define EDGE_CONCAT(a, b) EDGE_CONCAT_(a, b)
/// EDGE_ASSIGN(auto x, f()): declares x from the value of a Result, or returns its Error.
#define EDGE_ASSIGN(decl, expr) EDGE_ASSIGN_(decl, expr, EDGE_CONCAT(edge_assign_, __LINE__))
#define EDGE_ASSIGN_(decl, expr, tmp)                             \
  auto tmp = (expr);                                              \
  if (!(tmp)) { return std::unexpected(std::move(tmp).error()); } \
  decl = std::move(*(tmp))
