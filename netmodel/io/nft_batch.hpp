// One nf_tables transaction under construction: messages in a buffer, and what each of them was
// for.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "netmodel/core/nft_table.hpp"
#include "netmodel/io/nft_socket.hpp"

struct nlmsghdr;

namespace edge::netmodel::nft {

/// begin (constructor), add and remove calls, commit. The kernel takes all of it or nothing.
/// Time: none. Threads: none.
class Batch {
 public:
  /// `generation`: the kernel refuses the batch when the ruleset has another one by then.
  Batch(NetfilterSocket& socket, std::uint32_t generation);

  void add_table(TableId table);
  void remove_table(TableId table);
  void add_set(SetId id);
  void add_chain(const Chain& chain);
  void add_rule(const Rule& rule);
  /// Cut into as many messages as 16-bit attribute lengths demand.
  void add_elements(SetId id, std::span<const Element> elements);
  void remove_elements(SetId id, std::span<const Element> elements);

  /// Errors: transient with ERESTART when the generation moved; else the errno's reaction, and text
  /// like `add element inet uplink publish { 0x00004e21 . tcp . 80 : 10.200.0.5 . 80 }: File
  /// exists`.
  Result<void> commit();

 private:
  /// Enough to say afterwards what a sequence number was: nothing is rendered unless it failed.
  struct Step {
    std::uint32_t sequence = 0;
    std::size_t at = 0;                 ///< Of the message in the buffer.
    std::string text;                   ///< Of all but elements.
    std::span<const Element> elements;  ///< Of one message. The caller's: alive until commit().
    SetId set{};
  };
  nlmsghdr* start(TableId table, std::uint16_t type, std::uint16_t flags, std::string text);
  void finish(const nlmsghdr* message);
  void put_elements(SetId id, std::span<const Element> elements, bool add);
  std::string describe(const NetfilterError& error) const;

  NetfilterSocket& socket_;
  std::vector<char> bytes_;
  std::size_t used_ = 0;
  std::vector<Step> steps_;
};

}  // namespace edge::netmodel::nft
