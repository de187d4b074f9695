// Figures of links: medians beside a reference of the same run, one JSON object a line, in the form
// of interfaces.md.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace edge::netmodel::bench {

/// Ends the program with a line on stderr unless `ok`.
void require(bool ok, const std::string& what);
void succeed(const Result<void>& done);

double milliseconds_of(const std::function<void()>& work);

/// `target_ratio`: of ours to the reference, to be reached.
void print(const std::string& figure, const std::vector<double>& ours,
           const std::string& reference_name, const std::vector<double>& reference,
           double target_ratio);

/// This process goes into a network namespace of its own, with the kernel's own sysfs.
void enter_new_namespace();

}  // namespace edge::netmodel::bench
