// What is wrong with a command or a model: every problem, bounded.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace edge::netmodel {

/// One line for a person, naming the thing, the value and what is allowed:
/// `network "web": VLAN id 4095 is out of range 2..4094`.
struct Problem {
  std::optional<std::size_t>
      op;               ///< Index in the command's operations; nullopt: the command itself.
  std::string field{};  ///< "vlan_id", "dhcp.from"; empty: the operation as a whole.
  std::string what{};
  bool operator==(const Problem&) const = default;
};

/// Keeps the first problems_max and counts the rest, so that hostile input cannot fill the memory.
class Problems {
 public:
  static constexpr std::size_t problems_max = 100;

  void add(Problem problem) {
    ++total_;
    if (items_.size() < problems_max) { items_.push_back(std::move(problem)); }
  }
  bool empty() const { return total_ == 0; }
  const std::vector<Problem>& items() const { return items_; }
  std::size_t total() const { return total_; }
  /// How many were counted and not kept.
  std::size_t dropped() const { return total_ - items_.size(); }

 private:
  std::vector<Problem> items_;
  std::size_t total_ = 0;
};

}  // namespace edge::netmodel
