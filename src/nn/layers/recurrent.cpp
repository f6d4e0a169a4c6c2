// RNN and its kin: cells walked through time; Bidirectional, TimeDistributed.

#include "tandem/nn/layers/recurrent.h"

#include "nn/clone.h"
#include "nn/layer_call.h"
#include "nn/layers/recurrent_cells.h"
#include "tandem/iteration.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::CellBody;
using detail::LayerBody;
using detail::ModuleState;
using Tensors = std::vector<Tensor>;

/// One step: from what belongs to it and the states to the output and the next states.
using Step = std::function<Tensors(const Tensor& element, const Tensors& states)>;

Tensor time_first(const Tensor& x) { return moveaxis(x, 1, 0); }

class RecurrentBody final : public LayerBody {
 public:
  RecurrentBody(Layer cell, RecurrentLayerOptions options, std::vector<int64_t> sizes)
      : cell_(std::move(cell)), options_(std::move(options)), sizes_(std::move(sizes)) {
    if (const CellBody* own = own_cell()) sizes_ = own->state_sizes();
    TD_CHECK(!sizes_.empty(), "the cell {} is none of Tandem's; say which states it has in state_sizes",
             cell_.name());
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    TD_CHECK(!options_.return_state,
             "the layer returns its states too: call it on a list, as layer(std::vector<td::Tensor>{{x}})");
    return walk(state, x, {})[0];
  }
  Tensors call_many(ModuleState& state, const Tensors& inputs) override {
    TD_CHECK(inputs.size() == 1 || inputs.size() == sizes_.size() + 1,
             "the layer was called on {} tensors; expected 1, or {} with the initial states", inputs.size(),
             sizes_.size() + 1);
    return walk(state, inputs[0], Tensors(inputs.begin() + 1, inputs.end()));
  }
  std::vector<Layer> layers() const override { return {cell_}; }
  bool is_composite() const override { return own_cell() == nullptr; }

  const RecurrentLayerOptions& options() const { return options_; }
  void turn_around() { options_.go_backwards = !options_.go_backwards; }
  size_t state_count() const { return sizes_.size(); }
  void reset_state() {
    const std::lock_guard<std::mutex> lock(kept_.mutex);
    for (const Variable& v : kept_.states) v.assign(zeros(v.shape(), v.dtype()));
  }

 private:
  CellBody* own_cell() const { return dynamic_cast<CellBody*>(cell_.body().get()); }

  Tensors walk(ModuleState& state, const Tensor& x, const Tensors& given) {
    TD_CHECK(x.rank() >= 3, "the input has shape {}; expected 3 dimensions: (batch, steps, features)",
             x.shape());
    const detail::AroundUserCode own_lines(state.where);
    Tensor elements = time_first(x), mask = mask_of(x);
    if (mask.defined()) mask = unsqueeze(time_first(mask), {-1});
    if (options_.go_backwards) {
      elements = flip(elements, {0});
      if (mask.defined()) mask = flip(mask, {0});
    }
    const Step step = prepare(elements, own_lines);
    Tensors last = run(state, elements, mask, initial_states(state, x, given), step);
    if (options_.return_sequences && mask_of(x).defined()) set_mask(last[0], mask_of(x));
    return last;
  }

  /// What a step does; makes `elements` what it does it with.
  Step prepare(Tensor& elements, const detail::AroundUserCode& own_lines) {
    if (CellBody* own = own_cell()) {
      ModuleState& cell_state = *cell_.state();
      const detail::CellWeights& w = own->weights_for(cell_state, elements);
      // What is dropped is so at every step; an element's shape is that of the first.
      const detail::StepMasks masks = own->draw_masks(cell_state, elements[0]);
      if (masks.input.defined()) elements = elements * masks.input;
      elements = own->share_of(w, elements);
      return [own, weights = own->step_weights(w), masks](const Tensor& element, const Tensors& states) {
        Tensors next = own->step(weights, element, states, masks);
        // A value of its own: so its gradient is added to the state's after what later steps add, in loops
        // of graphs as in eager ones.
        next.insert(next.begin(), identity(next[0]));
        return next;
      };
    }
    described_.get([&] { return own_lines.outside([&] { return describe(elements); }); });
    return [this, &own_lines](const Tensor& element, const Tensors& states) {
      Tensors inputs{element};
      inputs.insert(inputs.end(), states.begin(), states.end());
      Tensors next = own_lines.outside([&] { return cell_(inputs, {}, cell_.state()->where); });
      TD_CHECK(next.size() == states.size() + 1,
               "the cell returned {} tensors; expected {}: the output and {} states", next.size(),
               states.size() + 1, states.size());
      next[0] = identity(next[0]);
      return next;
    };
  }
  /// Parameters are made before a loop is traced.
  bool describe(const Tensor& elements) {
    Shape example = elements.shape().codes();
    example.erase(0);
    example.erase(0);
    std::vector<Value> inputs{Input(example, {.dtype = elements.dtype()})};
    for (int64_t size : sizes_) inputs.push_back(Input({size}, {.dtype = elements.dtype()}));
    cell_(inputs, {}, cell_.state()->where);
    return true;
  }

  Tensors initial_states(ModuleState& state, const Tensor& x, const Tensors& given) {
    if (!given.empty()) return given;
    Tensors states;
    if (options_.stateful) {
      const std::lock_guard<std::mutex> lock(kept_.mutex);
      for (size_t i = 0; i < sizes_.size(); ++i) {
        const Shape shape{x.dim(0, state.where), sizes_[i]};
        if (i == kept_.states.size())
          kept_.states.push_back(state.parameter("state_" + std::to_string(i), shape, "zeros",
                                                 {.trainable = false, .dtype = x.dtype()}, state.where));
        TD_CHECK(kept_.states[i].shape() == shape, "the batch has {} examples; the states are those of {}",
                 shape[0], kept_.states[i].shape()[0]);
        states.push_back(kept_.states[i]);
      }
      return states;
    }
    for (int64_t size : sizes_) states.push_back(zeros({x.dim(0), Dim(size)}, x.dtype()));
    return states;
  }

  Tensors run(ModuleState& state, const Tensor& elements, const Tensor& mask, const Tensors& initial,
              const Step& step) {
    // With a mask the output before goes along: a masked step repeats it.
    const bool repeats = mask.defined() && !options_.zero_output_for_mask;
    const size_t count = initial.size();
    const auto advance = [&](const Tensors& carried, const Tensor& element, const Tensor& counts) {
      const Tensors states(carried.begin(), carried.begin() + static_cast<ptrdiff_t>(count));
      Tensors next = step(element, states);
      if (counts.defined()) {
        next[0] = where(counts, next[0], repeats ? carried.back() : zeros_like(next[0]));
        for (size_t i = 0; i < count; ++i) next[i + 1] = where(counts, next[i + 1], states[i]);
      }
      return next;
    };
    Tensors carried = initial;
    // An output has the shape of a step's; with Tandem's cells that is the first state's.
    if (repeats) carried.push_back(zeros_like(initial[0]));

    const bool all = options_.return_sequences, states_too = options_.return_state || options_.stateful;
    Tensors sequences, last;
    Tensor output;
    constexpr int64_t most_unrolled = 256;
    const int64_t known = elements.shape().codes()[0];
    if (options_.unroll.value_or(known > 0 && known <= most_unrolled)) {
      const int64_t steps = elements.dim(0, state.where);
      TD_CHECK(steps > 0, "the input has no steps; expected at least 1");
      const Tensors rows = unstack(elements, 0), counting = mask.defined() ? unstack(mask, 0) : Tensors();
      for (size_t t = 0; t < rows.size(); ++t) {
        Tensors next = advance(carried, rows[t], mask.defined() ? counting[t] : Tensor());
        if (all) sequences.push_back(next[0]);
        output = next[0];
        next.erase(next.begin());
        if (repeats) next.push_back(output);
        carried = std::move(next);
      }
      last.assign(carried.begin(), carried.begin() + static_cast<ptrdiff_t>(count));
      if (all) output = stack(sequences, 1, state.where);
    } else {
      tandem::detail::TensorList parts{elements};
      if (mask.defined()) parts.push_back(mask);
      // The output of the last step goes along too where it alone is wanted.
      tandem::detail::TensorList start(carried.begin(), carried.end());
      if (!all && !repeats) start.push_back(zeros_like(initial[0]));
      const tandem::detail::TensorList found = tandem::detail::iterate(
          {"rnn", false, false, all}, parts, start,
          [&](const tandem::detail::TensorList& now, const tandem::detail::TensorList& element) {
            const Tensors next =
                advance(Tensors(now.begin(), now.begin() + static_cast<ptrdiff_t>(carried.size())),
                        element[0], mask.defined() ? element[1] : Tensor());
            tandem::detail::IterationStep result;
            result.accumulators.assign(next.begin() + 1, next.end());
            if (repeats || !all) result.accumulators.push_back(next[0]);
            if (all) result.kept.push_back(next[0]);
            if (all && states_too) result.kept.insert(result.kept.end(), next.begin() + 1, next.end());
            return result;
          },
          state.where);
      if (all) {
        // A loop does not say how many steps it makes.
        output = found[0];
        if (const int64_t steps = elements.shape().codes()[0]; steps >= 0)
          output = reshape(output, concat({Tensor({steps}, DType::i64), shape_of(output, 1)}, 0));
        output = moveaxis(output, 0, 1);
        for (size_t i = 1; i < found.size(); ++i) last.push_back(found[i][-1]);
      } else {
        output = found.back();
        last.assign(found.begin(), found.begin() + static_cast<ptrdiff_t>(count));
      }
    }
    if (options_.stateful)
      for (size_t i = 0; i < count; ++i) kept_.states[i].assign(last[i]);
    Tensors results{output};
    if (options_.return_state) results.insert(results.end(), last.begin(), last.end());
    return results;
  }

  /// Variables that a clone makes anew.
  struct Kept {
    std::vector<Variable> states;
    std::mutex mutex;

    Kept() = default;
    Kept(const Kept&) {}
  };

  Layer cell_;
  RecurrentLayerOptions options_;
  std::vector<int64_t> sizes_;
  detail::Once<bool> described_;
  Kept kept_;
};

RecurrentBody& body_of(const Layer& layer) { return static_cast<RecurrentBody&>(*layer.body()); }

// ---- Bidirectional

/// A copy with weights of its own that goes the other way.
Layer turned_around(const Layer& layer) {
  Layer copy = [&] {
    const detail::CloneScope cloning;
    return Layer(layer);
  }();
  body_of(copy).turn_around();
  return copy;
}

class BidirectionalBody final : public LayerBody {
 public:
  BidirectionalBody(Layer forward, Layer backward, const std::string& merge_mode)
      : forward_(std::move(forward)), backward_(std::move(backward)) {
    detail::check_word("merge_mode", merge_mode, {"concat", "sum", "mul", "ave"});
    merge_mode_ = merge_mode;
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    TD_CHECK(!body_of(forward_).options().return_state,
             "the layer returns its states too: call it on a list, as layer(std::vector<td::Tensor>{{x}})");
    return call_many(state, {x})[0];
  }
  Tensors call_many(ModuleState& state, const Tensors& inputs) override {
    const size_t count = body_of(forward_).state_count();
    TD_CHECK(inputs.size() == 1 || inputs.size() == 2 * count + 1,
             "the layer was called on {} tensors; expected 1, or {} with the initial states", inputs.size(),
             2 * count + 1);
    Tensors first{inputs[0]}, second{inputs[0]};
    if (inputs.size() > 1) {
      const auto middle = inputs.begin() + 1 + static_cast<ptrdiff_t>(count);
      first.insert(first.end(), inputs.begin() + 1, middle);
      second.insert(second.end(), middle, inputs.end());
    }
    Tensors ahead = forward_(first, {}, state.where), back = backward_(second, {}, state.where);
    const bool all = body_of(forward_).options().return_sequences;
    Tensors results{merged(ahead[0], all ? flip(back[0], {1}) : back[0])};
    if (all && mask_of(inputs[0]).defined()) set_mask(results[0], mask_of(inputs[0]));
    results.insert(results.end(), ahead.begin() + 1, ahead.end());
    results.insert(results.end(), back.begin() + 1, back.end());
    return results;
  }
  std::vector<Layer> layers() const override { return {forward_, backward_}; }

 private:
  Tensor merged(const Tensor& a, const Tensor& b) const {
    if (merge_mode_ == "sum") return a + b;
    if (merge_mode_ == "mul") return a * b;
    if (merge_mode_ == "ave") return (a + b) * 0.5;
    return concat({a, b}, -1);
  }

  Layer forward_, backward_;
  std::string merge_mode_;
};

// ---- TimeDistributed

class TimeDistributedBody final : public LayerBody {
 public:
  explicit TimeDistributedBody(Layer layer) : layer_(std::move(layer)) {}

  Tensor call(ModuleState& state, const Tensor& x) override {
    TD_CHECK(x.rank() >= 3, "the input has shape {}; expected at least 3 dimensions: (batch, steps, ...)",
             x.shape());
    const detail::AroundUserCode own_lines(state.where);
    // All steps are one large batch.
    const Tensor flat = reshape(x, concat({Tensor({-1}, DType::i64), shape_of(x, 2)}, 0));
    Tensor mask = mask_of(x);
    if (mask.defined())
      mask = mask.rank() > 2 ? reshape(mask, concat({Tensor({-1}, DType::i64), shape_of(mask, 2)}, 0))
                             : Tensor();
    const Tensor y = own_lines.outside([&] { return layer_(flat, {.mask = mask}, state.where); });
    return reshape(y, concat({shape_of(x, 0, 2), shape_of(y, 1)}, 0));
  }
  bool passes_mask() const override { return true; }
  std::vector<Layer> layers() const override { return {layer_}; }
  bool is_composite() const override { return layer_.body()->is_composite(); }

 private:
  Layer layer_;
};

}  // namespace

RNN::RNN(const char* kind, Layer cell, const RecurrentLayerOptions& options, Location where)
    : Layer(kind, options.name, where,
            detail::make_body<RecurrentBody>(kind, where, cell, options, std::vector<int64_t>())) {
  member(cell.name(), cell, where);
}

RNN::RNN(Layer cell, RecurrentLayerOptions options, std::vector<int64_t> state_sizes, Location where)
    : Layer("RNN", options.name, where,
            detail::make_body<RecurrentBody>("RNN", where, cell, options, std::move(state_sizes))) {
  member(cell.name(), cell, where);
}

void RNN::reset_state() const { body_of(*this).reset_state(); }

SimpleRNN::SimpleRNN(int64_t units, CellOptions options, RecurrentLayerOptions walk, Location where)
    : RNN("SimpleRNN", SimpleRNNCell(units, options, where), walk, where) {}
LSTM::LSTM(int64_t units, CellOptions options, RecurrentLayerOptions walk, Location where)
    : RNN("LSTM", LSTMCell(units, options, where), walk, where) {}
GRU::GRU(int64_t units, CellOptions options, RecurrentLayerOptions walk, Location where)
    : RNN("GRU", GRUCell(units, options, where), walk, where) {}

Bidirectional::Bidirectional(RNN layer, BidirectionalOptions options, Location where)
    : Layer("Bidirectional", options.name, where,
            detail::make_body<BidirectionalBody>("Bidirectional", where, layer, turned_around(layer),
                                                 options.merge_mode)) {
  const std::vector<Layer> both = body()->layers();
  const std::string name = layer.name();
  member("forward_" + name, both[0], where);
  member("backward_" + name, both[1], where);
}

TimeDistributed::TimeDistributed(Layer layer, LayerOptions options, Location where)
    : Layer("TimeDistributed", options.name, where, detail::make_clonable<TimeDistributedBody>(layer)) {
  member(layer.name(), layer, where);
}

}  // namespace tandem::nn
