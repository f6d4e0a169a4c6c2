#pragma once
// A vector whose first N elements need no heap.

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <new>
#include <span>
#include <utility>

namespace tandem {

template <class T, int N>
class SmallVector {
 public:
  SmallVector() = default;
  SmallVector(std::initializer_list<T> values) {
    for (const T& v : values) push_back(v);
  }
  explicit SmallVector(std::span<const T> values) {
    for (const T& v : values) push_back(v);
  }
  SmallVector(const SmallVector& other) {
    for (const T& v : other) push_back(v);
  }
  SmallVector(SmallVector&& other) noexcept { take(other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) {
      clear();
      for (const T& v : other) push_back(v);
    }
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) {
      clear();
      release();
      take(other);
    }
    return *this;
  }
  ~SmallVector() {
    clear();
    release();
  }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](int i) { return data_[i]; }
  const T& operator[](int i) const { return data_[i]; }
  T& back() { return data_[size_ - 1]; }
  const T& back() const { return data_[size_ - 1]; }
  operator std::span<const T>() const { return {data_, static_cast<size_t>(size_)}; }
  operator std::span<T>() { return {data_, static_cast<size_t>(size_)}; }

  void push_back(T v) {
    if (size_ == capacity_) grow(2 * capacity_);
    new (data_ + size_++) T(std::move(v));
  }
  void pop_back() { data_[--size_].~T(); }
  void resize(int n, const T& fill = T()) {
    while (size_ > n) pop_back();
    while (size_ < n) push_back(fill);
  }
  void clear() {
    while (size_ > 0) pop_back();
  }
  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    if (a.size_ != b.size_) return false;
    for (int i = 0; i < a.size_; ++i)
      if (!(a.data_[i] == b.data_[i])) return false;
    return true;
  }

 private:
  T* inline_data() { return std::launder(reinterpret_cast<T*>(inline_)); }
  void grow(int capacity) {
    T* bigger = static_cast<T*>(
        ::operator new(sizeof(T) * static_cast<size_t>(capacity), std::align_val_t(alignof(T))));
    for (int i = 0; i < size_; ++i) {
      new (bigger + i) T(std::move(data_[i]));
      data_[i].~T();
    }
    release();
    data_ = bigger;
    capacity_ = capacity;
  }
  void release() {
    if (data_ != inline_data()) ::operator delete(data_, std::align_val_t(alignof(T)));
    data_ = inline_data();
    capacity_ = N;
  }
  void take(SmallVector& other) noexcept {
    if (other.data_ != other.inline_data()) {
      data_ = std::exchange(other.data_, other.inline_data());
      size_ = std::exchange(other.size_, 0);
      capacity_ = std::exchange(other.capacity_, N);
    } else {
      for (T& v : other) new (data_ + size_++) T(std::move(v));
      other.clear();
    }
  }

  alignas(T) std::byte inline_[sizeof(T) * N];
  T* data_ = inline_data();
  int size_ = 0, capacity_ = N;
};

}  // namespace tandem
