// Stages that keep elements: in memory as they come, or all of them in a file.

#include <filesystem>
#include <mutex>

#include "core/check.h"
#include "data/element_file.h"
#include "data/stages.h"

namespace tandem::data::detail {

namespace {

// ---- in memory. What is kept is pass 0: the cache of a process that goes on in a later pass must hold the
// same.

class KeptRows final : public Rows {
 public:
  explicit KeptRows(std::shared_ptr<const Rows> source)
      : source_(std::move(source)), kept_(static_cast<size_t>(source_->count())) {}
  int64_t count() const override { return static_cast<int64_t>(kept_.size()); }
  Nest at(int64_t i) const override {
    {
      const std::lock_guard lock(mutex_);
      if (kept_[i]) return *kept_[i];
    }
    Nest element = source_->at(i);
    const std::lock_guard lock(mutex_);
    kept_[i].emplace(element);
    return element;
  }

 private:
  std::shared_ptr<const Rows> source_;
  mutable std::mutex mutex_;
  mutable std::vector<std::optional<Nest>> kept_;
};

/// The beginning of a stream, as far as anybody has read it.
class KeptStream {
 public:
  explicit KeptStream(StageHandle source) : source_(std::move(source)) {}
  bool at(int64_t i, Nest& element) {
    const std::lock_guard lock(mutex_);
    while (i >= static_cast<int64_t>(kept_.size())) {
      if (ended_) return false;
      if (!cursor_) cursor_ = source_->open(0);
      Nest next;
      ended_ = !cursor_->next(next);
      if (ended_)
        cursor_ = nullptr;
      else
        kept_.push_back(std::move(next));
    }
    element = kept_[i];
    return true;
  }

 private:
  std::mutex mutex_;
  StageHandle source_;
  std::unique_ptr<Cursor> cursor_;
  std::vector<Nest> kept_;
  bool ended_ = false;
};

class MemoryCacheStage final : public Stage {
 public:
  explicit MemoryCacheStage(StageHandle source)
      : source_(std::move(source)), stream_(std::make_shared<KeptStream>(source_)) {}
  int64_t cardinality() const override { return source_->cardinality(); }
  std::string describe() const override { return source_->describe() + ".cache()"; }
  bool has_rows() const override { return source_->has_rows(); }
  std::shared_ptr<const Rows> rows(int64_t) const override {
    const std::lock_guard lock(mutex_);
    if (!rows_) rows_ = std::make_shared<KeptRows>(source_->rows(0));
    return rows_;
  }
  Ahead ahead() const override { return source_->ahead(); }
  std::unique_ptr<tandem::data::detail::Cursor> open(int64_t pass) const override {
    if (has_rows()) return Stage::open(pass);
    return std::make_unique<Cursor>(stream_);
  }

 private:
  class Cursor final : public tandem::data::detail::Cursor {
   public:
    explicit Cursor(std::shared_ptr<KeptStream> stream) : stream_(std::move(stream)) {}
    bool next(Nest& element) override {
      if (!stream_->at(next_, element)) return false;
      ++next_;
      return true;
    }
    void save(IteratorState& state) const override { state.push_back(next_); }
    void load(StateReader& state) override { next_ = state.next_within(0, most_elements); }

   private:
    std::shared_ptr<KeptStream> stream_;
    int64_t next_ = 0;
  };

  StageHandle source_;
  std::shared_ptr<KeptStream> stream_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Rows> rows_;
};

// ---- in a file

class FileRows final : public Rows {
 public:
  explicit FileRows(std::shared_ptr<const ElementFile> file) : file_(std::move(file)) {}
  int64_t count() const override { return file_->count(); }
  Nest at(int64_t i) const override { return file_->at(i); }

 private:
  std::shared_ptr<const ElementFile> file_;
};

class FileCacheStage final : public Stage {
 public:
  FileCacheStage(StageHandle source, std::string path) : source_(std::move(source)), path_(std::move(path)) {}
  int64_t cardinality() const override {
    const int64_t count = source_->cardinality();
    return count >= 0 ? count : rows(0)->count();
  }
  std::string describe() const override { return source_->describe() + ".cache(file)"; }
  bool has_rows() const override { return true; }
  std::shared_ptr<const Rows> rows(int64_t) const override {
    const std::lock_guard lock(mutex_);
    if (!rows_) {
      TD_CHECK(source_->cardinality() != infinite, "cache: {} never ends, and no file holds it",
               source_->describe());
      if (!std::filesystem::exists(path_)) write();
      rows_ = std::make_shared<FileRows>(ElementFile::open(path_, source_->describe()));
    }
    return rows_;
  }
  Ahead ahead() const override { return source_->ahead(); }

 private:
  void write() const {
    ElementFileWriter file(path_, source_->describe());
    const auto cursor = source_->open(0);
    Nest element;
    while (cursor->next(element)) file.add(element);
    file.finish();
  }

  StageHandle source_;
  std::string path_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Rows> rows_;
};

}  // namespace

StageHandle memory_cache_stage(StageHandle source) {
  return std::make_shared<MemoryCacheStage>(std::move(source));
}
StageHandle file_cache_stage(StageHandle source, std::string path) {
  return std::make_shared<FileCacheStage>(std::move(source), std::move(path));
}

}  // namespace tandem::data::detail
