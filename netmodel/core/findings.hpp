// Problems of a model, attributed to the operation that last touched the object.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "netmodel/core/problem.hpp"

namespace edge::netmodel {

enum class Subject { adapter, group, network, interface, rule, host };

std::string_view to_string(Subject subject);

/// Collects problems; knows which objects a command touched and which creations were refused
/// already.
class Findings {
 public:
  using Key = std::pair<Subject, std::string>;

  /// everything: every object counts as touched (validation of a stored model).
  enum class Scope { touched, everything };
  explicit Findings(Scope scope) : scope_(scope) {}

  /// A command with many names mostly says them in order: behind the last one is tried first.
  void touch(Subject subject, const std::string& id, std::size_t op) {
    const auto touched = touched_.insert_or_assign(touched_.end(), Key{subject, id}, op);
    if (!restated_.empty()) { restated_.erase(touched->first); }
  }
  /// A whole model named it as it is in force already: it does not count as touched, until an
  /// operation after that touches it.
  void restate(Subject subject, const std::string& id) { restated_.insert({subject, id}); }
  /// A whole model named everything as it is in force already.
  void restate_all() { touched_.clear(); }
  /// The operation on it failed: what follows from that is not worth another line.
  void refuse(Subject subject, const std::string& id) { refused_.insert({subject, id}); }
  bool refused(Subject subject, const std::string& id) const {
    return !refused_.empty() && refused_.contains({subject, id});
  }

  /// Facts change by themselves (a new lease); they count against an object only when it is
  /// touched.
  bool concerns(Subject subject, const std::string& id) const {
    if (scope_ == Scope::everything) { return true; }
    const Key key{subject, id};
    return touched_.contains(key) && !restated_.contains(key);
  }

  /// `network "web": text`
  void add(Subject subject, const std::string& id, std::string_view field, std::string_view text);
  void add_to(std::optional<std::size_t> op, std::string_view field, std::string text);

  Problems& problems() { return problems_; }

 private:
  Scope scope_;
  std::map<Key, std::size_t> touched_;
  std::set<Key> restated_;
  std::set<Key> refused_;
  Problems problems_;
};

}  // namespace edge::netmodel
