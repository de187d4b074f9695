#include "fault_vfs.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/assert.hpp"

namespace edge::store {
namespace {

FaultVfs* g_owner = nullptr;

struct FaultFile {
  sqlite3_file base;
  std::string* path;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
FaultFile& of(sqlite3_file* file) { return *reinterpret_cast<FaultFile*>(file); }
const sqlite3_io_methods& real(sqlite3_file* file) { return *of(file).real()->pMethods; }
sqlite3_vfs* real_vfs(sqlite3_vfs* vfs) { return static_cast<sqlite3_vfs*>(vfs->pAppData); }

int x_close(sqlite3_file* file) {
  const int code = real(file).xClose(of(file).real());
  delete of(file).path;
  return code;
}
int x_read(sqlite3_file* file, void* to, int bytes, sqlite3_int64 offset) {
  return real(file).xRead(of(file).real(), to, bytes, offset);
}
int x_write(sqlite3_file* file, const void* from, int bytes, sqlite3_int64 offset) {
  if (const int fault = g_owner->next_call(SQLITE_IOERR_WRITE); fault != SQLITE_OK) {
    return fault;
  }
  const int code = real(file).xWrite(of(file).real(), from, bytes, offset);
  if (code == SQLITE_OK) { g_owner->wrote(*of(file).path, from, bytes, offset); }
  return code;
}
int x_truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (const int fault = g_owner->next_call(SQLITE_IOERR_TRUNCATE); fault != SQLITE_OK) {
    return fault;
  }
  const int code = real(file).xTruncate(of(file).real(), size);
  if (code == SQLITE_OK) { g_owner->truncated(*of(file).path, size); }
  return code;
}
int x_sync(sqlite3_file* file, int /*flags*/) {
  if (const int fault = g_owner->next_call(SQLITE_IOERR_FSYNC); fault != SQLITE_OK) {
    return fault;
  }
  g_owner->synced(*of(file).path);  // The real fsync would only cost time here.
  return SQLITE_OK;
}
int x_file_size(sqlite3_file* file, sqlite3_int64* size) {
  return real(file).xFileSize(of(file).real(), size);
}
int x_lock(sqlite3_file* file, int level) { return real(file).xLock(of(file).real(), level); }
int x_unlock(sqlite3_file* file, int level) { return real(file).xUnlock(of(file).real(), level); }
int x_check_lock(sqlite3_file* file, int* out) {
  return real(file).xCheckReservedLock(of(file).real(), out);
}
int x_control(sqlite3_file* file, int op, void* arg) {
  return real(file).xFileControl(of(file).real(), op, arg);
}
int x_sector(sqlite3_file* file) { return real(file).xSectorSize(of(file).real()); }
int x_device(sqlite3_file* file) { return real(file).xDeviceCharacteristics(of(file).real()); }
int x_shm_map(sqlite3_file* file, int page, int bytes, int extend, void volatile** out) {
  return real(file).xShmMap(of(file).real(), page, bytes, extend, out);
}
int x_shm_lock(sqlite3_file* file, int offset, int n, int flags) {
  return real(file).xShmLock(of(file).real(), offset, n, flags);
}
void x_shm_barrier(sqlite3_file* file) { real(file).xShmBarrier(of(file).real()); }
int x_shm_unmap(sqlite3_file* file, int remove) {
  return real(file).xShmUnmap(of(file).real(), remove);
}

/// Version 2: shared memory for WAL, no memory-mapped reads.
const sqlite3_io_methods kMethods = {
    2,          x_close,       x_read,       x_write,   x_truncate, x_sync,   x_file_size,
    x_lock,     x_unlock,      x_check_lock, x_control, x_sector,   x_device, x_shm_map,
    x_shm_lock, x_shm_barrier, x_shm_unmap,  nullptr,   nullptr};

int x_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  FaultFile& mine = of(file);
  mine.base.pMethods = nullptr;
  const int code = real_vfs(vfs)->xOpen(real_vfs(vfs), name, mine.real(), flags, out_flags);
  if (code != SQLITE_OK) { return code; }
  mine.path = new std::string(name != nullptr ? name : "");
  mine.base.pMethods = &kMethods;
  g_owner->opened(*mine.path);
  return SQLITE_OK;
}
int x_delete(sqlite3_vfs* vfs, const char* name, int sync_folder) {
  if (const int fault = g_owner->next_call(SQLITE_IOERR_DELETE); fault != SQLITE_OK) {
    return fault;
  }
  const int code = real_vfs(vfs)->xDelete(real_vfs(vfs), name, sync_folder);
  if (code == SQLITE_OK) { g_owner->deleted(name); }
  return code;
}

}  // namespace

FaultVfs::FaultVfs() {
  EDGE_ASSERT(g_owner == nullptr);
  g_owner = this;
  sqlite3_vfs* base = sqlite3_vfs_find(nullptr);
  vfs_ = *base;  // Everything that needs no file of ours goes straight to the real one.
  vfs_.pNext = nullptr;
  vfs_.zName = kName;
  vfs_.pAppData = base;
  vfs_.szOsFile = static_cast<int>(sizeof(FaultFile)) + base->szOsFile;
  vfs_.xOpen = x_open;
  vfs_.xDelete = x_delete;
  sqlite3_vfs_register(&vfs_, 0);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&vfs_);
  g_owner = nullptr;
}

void FaultVfs::arm(std::uint64_t nth, Fault fault, Lasting lasting) {
  nth_ = 0;  // A call between these lines meets no half-set wish.
  fault_ = fault;
  lasting_ = lasting;
  calls_ = 0;
  fired_ = false;
  nth_ = nth;
}

int FaultVfs::next_call(int io_code) {
  const std::uint64_t call = ++calls_;
  const std::uint64_t nth = nth_;
  if (nth == 0 || call < nth) { return SQLITE_OK; }
  if (call > nth && lasting_ == Lasting::once) { return SQLITE_OK; }
  fired_ = true;
  return fault_ == Fault::disk_full ? SQLITE_FULL : io_code;
}

void FaultVfs::opened(const std::string& path) {
  if (images_.contains(path)) { return; }
  std::ifstream in(path, std::ios::binary);
  images_[path].durable.assign(std::istreambuf_iterator<char>(in), {});
}

void FaultVfs::wrote(const std::string& path, const void* data, int bytes, sqlite3_int64 offset) {
  const auto* from = static_cast<const std::uint8_t*>(data);
  images_[path].pending.push_back({.offset = static_cast<std::size_t>(offset),
                                   .bytes = {from, from + bytes},
                                   .truncate_to = {}});
}
void FaultVfs::truncated(const std::string& path, sqlite3_int64 size) {
  images_[path].pending.push_back(
      {.offset = 0, .bytes = {}, .truncate_to = static_cast<std::size_t>(size)});
}
void FaultVfs::synced(const std::string& path) {
  Image& image = images_[path];
  for (const Write& write : image.pending) { apply(image.durable, write); }
  image.pending.clear();
}
void FaultVfs::deleted(const std::string& path) { images_.erase(path); }

void FaultVfs::apply(std::vector<std::uint8_t>& content, const Write& write) {
  if (write.truncate_to) {
    content.resize(*write.truncate_to);
    return;
  }
  content.resize(std::max(content.size(), write.offset + write.bytes.size()));
  std::ranges::copy(write.bytes, content.begin() + static_cast<std::ptrdiff_t>(write.offset));
}

std::map<std::string, std::vector<std::uint8_t>> FaultVfs::after_power_cut(
    Random& random, unsigned kept_percent) const {
  constexpr std::size_t sector_bytes = 512;
  std::map<std::string, std::vector<std::uint8_t>> out;
  for (const auto& [path, image] : images_) {
    std::vector<std::uint8_t> content = image.durable;
    for (const Write& write : image.pending) {
      if (write.truncate_to) {
        if (random.chance(kept_percent)) { apply(content, write); }
        continue;
      }
      for (std::size_t at = 0; at < write.bytes.size(); at += sector_bytes) {
        if (!random.chance(kept_percent)) { continue; }
        const auto first = write.bytes.begin() + static_cast<std::ptrdiff_t>(at);
        const auto count = std::min(sector_bytes, write.bytes.size() - at);
        apply(content, {.offset = write.offset + at,
                        .bytes = {first, first + static_cast<std::ptrdiff_t>(count)},
                        .truncate_to = {}});
      }
    }
    out[path] = std::move(content);
  }
  return out;
}

}  // namespace edge::store
