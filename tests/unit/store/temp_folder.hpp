// A folder for one test, removed with it, and the time that the store is told.
#pragma once

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/ids.hpp"

namespace edge::store {

/// Some moment of 2023.
constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "edge-store-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace edge::store
