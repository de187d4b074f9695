#include "netmodel/core/difference.hpp"

#include <map>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

namespace edge::netmodel {

namespace json = boost::json;

namespace {

constexpr std::size_t value_bytes_max = 200;

std::string shown(const json::value& value) {
  std::string text = json::serialize(value);
  if (text.size() > value_bytes_max) {
    text.resize(value_bytes_max);
    text += "...";
  }
  return text;
}

/// Compares two objects field by field; what only one has is shown whole.
class Difference {
 public:
  void objects(const std::string& name, const json::object& from, const json::object& to) {
    for (const auto& [key, value] : from) {
      const std::string field = name + std::string(key);
      const json::value* now = to.if_contains(key);
      if (now == nullptr) {
        add(fmt::format("- {}: {}", field, shown(value)));
      } else if (value.is_object() && now->is_object()) {
        objects(field + ".", value.get_object(), now->get_object());
      } else if (value != *now) {
        add(fmt::format("{}: {} -> {}", field, shown(value), shown(*now)));
      }
    }
    for (const auto& [key, value] : to) {
      if (!from.contains(key)) {
        add(fmt::format("+ {}{}: {}", name, std::string_view(key), shown(value)));
      }
    }
  }

  /// Lists of objects whose first field is their id.
  void lists(const std::string& name, const json::array& from, const json::array& to) {
    const auto before = by_id(from);
    const auto after = by_id(to);
    for (const auto& [id, object] : before) {
      const auto now = after.find(id);
      if (now == after.end()) {
        add(fmt::format("- {} {}", name, id));
      } else {
        objects(fmt::format("{} {}.", name, id), *object, *now->second);
      }
    }
    for (const auto& [id, object] : after) {
      if (!before.contains(id)) { add(fmt::format("+ {} {}: {}", name, id, shown(*object))); }
    }
  }

  std::vector<std::string> take() {
    if (more_ > 0) { lines_.push_back(fmt::format("and {} more differences", more_)); }
    return std::move(lines_);
  }

 private:
  static std::map<std::string, const json::object*> by_id(const json::array& list) {
    std::map<std::string, const json::object*> out;
    for (const json::value& item : list) {
      const json::object& object = item.as_object();
      out[std::string(object.begin()->value().as_string())] = &object;
    }
    return out;
  }
  void add(std::string line) {
    if (lines_.size() + 1 < difference_lines_max) {
      lines_.push_back(std::move(line));
    } else {
      ++more_;
    }
  }

  std::vector<std::string> lines_;
  std::size_t more_ = 0;
};

}  // namespace

std::vector<std::string> difference(const Model& from, const Model& to) {
  const json::object before = to_json(from);
  const json::object after = to_json(to);
  Difference out;
  for (const auto& [section, value] : before) {
    const json::value& now = after.at(section);
    if (value.is_array()) {
      out.lists(std::string(section), value.get_array(), now.as_array());
    } else if (value.is_object()) {
      out.objects(std::string(section) + ".", value.get_object(), now.as_object());
    }
  }
  return out.take();
}

}  // namespace edge::netmodel
