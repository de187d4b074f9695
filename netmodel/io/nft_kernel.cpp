// Commit: difference to what is known, one transaction, known state moves on with the generation.
#include "netmodel/io/nft_kernel.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <span>
#include <utility>

#include "netmodel/core/nft_table.hpp"
#include "netmodel/core/nft_text.hpp"
#include "netmodel/io/nft_batch.hpp"
#include "netmodel/io/nft_reader.hpp"
#include "netmodel/io/nft_socket.hpp"

namespace edge::netmodel {
namespace {

constexpr int commit_attempts_max = 3;

/// Every transaction raises the generation by one; 0 is skipped (nf_tables_commit).
std::uint32_t after(std::uint32_t generation) { return generation + 1 == 0 ? 1 : generation + 1; }

void add_everything(nft::Batch& batch, const nft::Elements& elements,
                    bool drop_dhcp_unicast_renewals) {
  for (const nft::TableId table : nft::table_ids) { batch.add_table(table); }
  for (std::size_t i = 0; i < nft::set_count; ++i) { batch.add_set(static_cast<nft::SetId>(i)); }
  for (const nft::Chain& chain : nft::chains()) { batch.add_chain(chain); }
  for (const nft::Rule& rule : nft::rules(drop_dhcp_unicast_renewals)) { batch.add_rule(rule); }
  for (std::size_t i = 0; i < nft::set_count; ++i) {
    batch.add_elements(static_cast<nft::SetId>(i), elements[i]);
  }
}

std::size_t count(const nft::Elements& elements) {
  std::size_t total = 0;
  for (const auto& list : elements) { total += list.size(); }
  return total;
}

}  // namespace

struct NftKernel::Impl {
  explicit Impl(NetfilterSocket opened) : socket(std::move(opened)) {}

  NetfilterSocket socket;
  std::optional<nft::Reading> known;
  NftCommitReport report;
  /// Atomic: a monitor on another thread asks. 0 is no generation.
  std::array<std::atomic<std::uint32_t>, 64> own_generations{};
  std::size_t own_count = 0;

  /// Reads back unless the ruleset is still the one that `known` describes.
  Result<void> refresh() {
    EDGE_ASSIGN(const std::uint32_t generation, nft::read_generation(socket));
    if (known && known->generation == generation) { return {}; }
    known.reset();
    EDGE_ASSIGN(known, nft::read_table(socket));
    return {};
  }

  /// Its notification may be read before sendmsg returns here, so the generation is claimed
  /// beforehand; that it can be ours only is certain, as the batch names the one before it.
  Result<void> commit(nft::Batch& batch) {
    const std::uint32_t generation = after(known->generation);
    auto& claim = own_generations[own_count % own_generations.size()];
    claim = generation;
    if (auto done = batch.commit(); !done) {
      claim = 0;
      return done;
    }
    ++own_count;
    known->generation = generation;
    return {};
  }

  void remove_tables(nft::Batch& batch) const {
    for (const nft::TableId table : nft::table_ids) {
      if (known->tables[static_cast<std::size_t>(table)]) { batch.remove_table(table); }
    }
  }

  Result<void> rebuild(const NftState& desired) {
    const nft::Elements elements = nft::elements_of(desired);
    nft::Batch batch(socket, known->generation);
    remove_tables(batch);
    add_everything(batch, elements, desired.drop_dhcp_unicast_renewals);
    EDGE_TRY(commit(batch));
    known->tables = {true, true};
    report = {
        .wrote = true, .rebuilt = known->state.has_value(), .elements_added = count(elements)};
    return {};
  }

  Result<void> change(const NftState& desired) {
    return send(nft::difference(*known->state, desired));
  }

  /// Only some publications changed: what is known is brought up to date in place.
  Result<void> change_publications(const NftState& desired, const Stretch& stretch) {
    auto& list = known->state->publications;
    const std::span was = std::span(list).subspan(stretch.first, stretch.known);
    const std::span will = std::span(desired.publications).subspan(stretch.first, stretch.wanted);
    EDGE_TRY(send(nft::difference(was, will, desired.uplinks)));
    const std::size_t common = std::min(was.size(), will.size());
    std::ranges::copy(will.first(common), was.begin());
    const auto at = list.begin() + static_cast<std::ptrdiff_t>(stretch.first + common);
    if (was.size() > common) {
      list.erase(at, at + static_cast<std::ptrdiff_t>(was.size() - common));
    } else {
      list.insert(at, will.begin() + static_cast<std::ptrdiff_t>(common), will.end());
    }
    return {};
  }

  Result<void> send(const nft::ElementDifference& changes) {
    if (changes.empty()) { return {}; }
    nft::Batch batch(socket, known->generation);
    for (std::size_t i = 0; i < nft::set_count; ++i) {
      batch.remove_elements(static_cast<nft::SetId>(i), changes.removed[i]);
    }
    for (std::size_t i = 0; i < nft::set_count; ++i) {
      batch.add_elements(static_cast<nft::SetId>(i), changes.added[i]);
    }
    EDGE_TRY(commit(batch));
    report = {.wrote = true,
              .rebuilt = false,
              .elements_added = count(changes.added),
              .elements_removed = count(changes.removed)};
    return {};
  }

  Result<void> commit_once(const NftState& desired) {
    report = {};
    const bool as_we_made_it =
        known->state && known->state->foreign_edits.empty() &&
        known->state->drop_dhcp_unicast_renewals == desired.drop_dhcp_unicast_renewals;
    return as_we_made_it ? change(desired) : rebuild(desired);
  }
};

NftKernel::NftKernel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NftKernel::~NftKernel() = default;

Result<std::unique_ptr<NftKernel>> NftKernel::create() {
  EDGE_ASSIGN(NetfilterSocket socket, NetfilterSocket::open());
  auto impl = std::make_unique<Impl>(std::move(socket));
  EDGE_TRY(nft::read_generation(impl->socket));  // Says now whether we may and the kernel can.
  return std::unique_ptr<NftKernel>(new NftKernel(std::move(impl)));
}

Result<void> NftKernel::commit(const NftState& state) {
  EDGE_TRY(impl_->refresh());
  if (impl_->known->state) {
    if (const auto stretch = changed_publications(*impl_->known->state, state)) {
      impl_->report = {};
      const auto done = impl_->change_publications(state, *stretch);
      if (done || done.error().os_errno != ERESTART) { return done; }
    }
  }
  EDGE_ASSIGN(NftState desired, canonical(state));
  desired.foreign_edits.clear();
  for (int attempt = 1;; ++attempt) {
    EDGE_TRY(impl_->refresh());
    const auto done = impl_->commit_once(desired);
    if (done) { break; }
    if (done.error().os_errno != ERESTART || attempt == commit_attempts_max) { return done; }
  }
  if (!impl_->report.wrote) { return {}; }
  impl_->known->state = std::move(desired);
  return {};
}

Result<std::optional<NftState>> NftKernel::dump() {
  impl_->known.reset();
  EDGE_ASSIGN(impl_->known, nft::read_table(impl_->socket));
  return impl_->known->state;
}

Result<void> NftKernel::remove() {
  for (int attempt = 1;; ++attempt) {
    EDGE_TRY(impl_->refresh());
    if (!impl_->known->state) { return {}; }
    nft::Batch batch(impl_->socket, impl_->known->generation);
    impl_->remove_tables(batch);
    const auto done = impl_->commit(batch);
    if (done) { break; }
    if (done.error().os_errno != ERESTART || attempt == commit_attempts_max) { return done; }
  }
  impl_->known->state.reset();
  impl_->known->tables = {};
  return {};
}

const NftCommitReport& NftKernel::last_commit() const { return impl_->report; }

bool NftKernel::is_own_generation(std::uint32_t generation) const {
  return generation != 0 &&
         std::ranges::any_of(impl_->own_generations,
                             [generation](const auto& own) { return own.load() == generation; });
}

}  // namespace edge::netmodel
