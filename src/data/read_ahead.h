#pragma once
// Workers that prepare elements ahead of the reader and hand them over in order.

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <vector>

#include "data/stage.h"
#include "runtime/background.h"

namespace tandem::data::detail {

/// What workers do. Claims are made in order, one at a time; the work on them is done by any number of
/// threads at once.
class AheadSource {
 public:
  virtual ~AheadSource() = default;
  struct Claim {
    int64_t number = 0;
    Nest element;
  };
  /// Takes the next element as far as that must happen in order; false at the end.
  virtual bool claim(Claim& claim) = 0;
  /// Makes the element of the claim.
  virtual void work(Claim& claim) const = 0;
  /// As Cursor's.
  virtual int64_t skip(int64_t count) = 0;
  virtual void save(IteratorState& state) const = 0;
  virtual void load(StateReader& state) = 0;
};

/// Reads through `source`; with workers, ahead of the reader. They start with the first element.
class AheadCursor final : public Cursor {
 public:
  AheadCursor(std::unique_ptr<AheadSource> source, Ahead ahead) : source_(std::move(source)), ahead_(ahead) {}
  ~AheadCursor() override;

  bool next(Nest& element) override;
  int64_t skip(int64_t count) override;
  void save(IteratorState& state) const override;
  void load(StateReader& state) override { source_->load(state); }

 private:
  struct Slot {
    AheadSource::Claim claim;
    IteratorState after;
    std::exception_ptr error;
    bool ready = false, end = false;
  };
  size_t capacity() const { return static_cast<size_t>(std::max<int64_t>(ahead_.elements, 1)); }
  void start();
  void run();

  std::unique_ptr<AheadSource> source_;
  const Ahead ahead_;
  IteratorState state_;  ///< after the element read last
  bool started_ = false;
  std::mutex claims_;  ///< of the source
  bool ended_ = false;
  std::mutex mutex_;  ///< of the slots; taken inside the other
  std::condition_variable room_, ready_;
  std::deque<std::shared_ptr<Slot>> slots_;
  bool stopping_ = false;
  std::vector<runtime::BackgroundTask> workers_;
};

}  // namespace tandem::data::detail
