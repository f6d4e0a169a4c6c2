#include "data/read_ahead.h"

#include <algorithm>

#include "tandem/error.h"

namespace tandem::data::detail {

AheadCursor::~AheadCursor() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  workers_.clear();  // waits for them
}

void AheadCursor::start() {
  started_ = true;
  source_->save(state_);
  try {
    for (int i = 0; i < ahead_.workers; ++i) workers_.emplace_back([this] { run(); });
  } catch (const Error&) {
    // Without threads the reader does the work itself.
  }
}

void AheadCursor::run() {
  for (;;) {
    const auto slot = std::make_shared<Slot>();
    {
      const std::lock_guard order(claims_);
      {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return stopping_ || slots_.size() < capacity(); });
        if (stopping_ || ended_) return;
        slots_.push_back(slot);
      }
      try {
        ended_ = slot->end = !source_->claim(slot->claim);
      } catch (...) {
        slot->error = std::current_exception();
      }
      source_->save(slot->after);
    }
    if (!slot->end && !slot->error) try {
        source_->work(slot->claim);
      } catch (...) {
        slot->error = std::current_exception();
      }
    {
      const std::lock_guard lock(mutex_);
      slot->ready = true;
    }
    ready_.notify_one();
    if (slot->end) return;
  }
}

bool AheadCursor::next(Nest& element) {
  if (!started_ && ahead_.any()) start();
  if (workers_.empty()) {
    AheadSource::Claim claim;
    const bool more = source_->claim(claim);
    if (more) source_->work(claim);
    element = std::move(claim.element);
    return more;
  }
  std::shared_ptr<Slot> slot;
  bool half_empty = false;
  {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return !slots_.empty() && slots_.front()->ready; });
    slot = slots_.front();
    if (slot->end) return false;  // it stays, for whoever asks again
    slots_.pop_front();
    half_empty = slots_.size() <= capacity() / 2;
  }
  // Workers that sleep make several elements each time they are woken.
  if (half_empty) room_.notify_one();
  state_ = std::move(slot->after);
  if (slot->error) std::rethrow_exception(slot->error);
  element = std::move(slot->claim.element);
  return true;
}

int64_t AheadCursor::skip(int64_t count) {
  return workers_.empty() ? source_->skip(count) : Cursor::skip(count);
}

void AheadCursor::save(IteratorState& state) const {
  if (workers_.empty()) return source_->save(state);
  state.insert(state.end(), state_.begin(), state_.end());
}

}  // namespace tandem::data::detail
