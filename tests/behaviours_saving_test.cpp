// What users of Keras expect of saved models and weights: T-64 to T-66, in both modes with equal bits.

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "onnx/model.pb.h"
#include "tandem/tandem.h"
#include "tests/same_bits.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;
using td::testing::same_bits;

using Floats = std::vector<float>;

namespace {

constexpr nn::Mode modes[] = {nn::Mode::eager, nn::Mode::graph};

void expect_same_weights(const nn::Model& a, const nn::Model& b) {
  const auto x = a.named_parameters(), y = b.named_parameters();
  ASSERT_EQ(x.size(), y.size());
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(x[i].first, y[i].first);
    EXPECT_TRUE(same_bits(x[i].second.value(), y[i].second.value())) << x[i].first;
    EXPECT_EQ(x[i].second.trainable(), y[i].second.trainable()) << x[i].first;
  }
}

class Saving : public ::testing::Test {
 protected:
  Saving() { std::filesystem::create_directories(folder_); }
  ~Saving() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("tandem_saving_" + std::to_string(getpid()));
};
using Behaviour = Saving;

struct Data {
  td::Tensor x = td::random::normal({65, 6}) /* the last batch has one */;
  td::Tensor y = td::cast(td::sum(x, {1}) > 0, td::int64);
};

nn::FitOptions silent(int epochs) {
  nn::FitOptions options;
  options.batch_size = 16;
  options.epochs = epochs;
  options.verbose = 0;
  return options;
}

nn::Model classifier() {
  const nn::Value input = nn::Input({6}, {.name = "features"});
  nn::Value h = nn::Dense(8, "relu")(input);
  h = nn::BatchNormalization()(h);
  h = nn::Dropout(0.3)(h);
  return nn::Model(input, nn::Dense(2, "softmax")(h), {.name = "classifier"});
}

/// What a class of the user's adds to the loss; no reader of the file knows it.
struct Squashed : nn::Module {
  nn::Dense inner = member("inner", nn::Dense(4));
  td::Tensor operator()(const td::Tensor& x) const {
    const td::Tensor y = td::tanh(inner(x));
    add_loss(0.01f * td::mean(td::square(y)));
    return td::sum(y, {1}, true);
  }
};

struct Joined : nn::Module {
  td::Tensor operator()(const td::Tensor& a, const td::Tensor& b) const { return td::concat({a, b}, 1); }
};

/// Fits on, twice from the same point: the model that was never saved, and the one from the file.
void expect_goes_on(const nn::Model& model, const std::string& path, const td::Nest& x, const td::Nest& y,
                    nn::Mode mode) {
  model.save(path);
  const td::Tensor generator = td::random::generator().value();
  const nn::History expected = model.fit(x, y, silent(2));
  const nn::Logs evaluated = model.evaluate(x, y, {.batch_size = 16});
  const nn::Model again = nn::load_model(path);
  EXPECT_EQ(td::random::generator().value().to_vector<uint64_t>(), generator.to_vector<uint64_t>());
  again.set_mode(mode);
  const nn::History history = again.fit(x, y, silent(2));
  EXPECT_EQ(history.step_losses, expected.step_losses);
  ASSERT_EQ(history.epochs.size(), expected.epochs.size());
  for (size_t i = 0; i < history.epochs.size(); ++i)
    EXPECT_EQ(history.epochs[i].entries(), expected.epochs[i].entries());
  expect_same_weights(model, again);
  EXPECT_EQ(again.evaluate(x, y, {.batch_size = 16}).entries(), evaluated.entries());
}

}  // namespace

TEST_F(Behaviour, T_64_ALoadedModelPredictsTheSameBitsAndTrainsOnAsIfNeverStopped) {
  const Data data;
  for (const nn::Mode mode : modes) {
    td::random::seed(3);
    const nn::Model model = classifier();
    model.set_mode(mode);
    model.compile(
        {.optimizer = nn::Adam(0.01), .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
    model.fit(data.x, data.y, silent(2));
    model.save(path("model.onnx"));
    const td::Tensor expected = model.predict(data.x);

    const nn::Model again = nn::load_model(path("model.onnx"));
    again.set_mode(mode);
    EXPECT_TRUE(again.is_compiled());
    EXPECT_EQ(again.name(), "classifier");
    expect_same_weights(model, again);
    EXPECT_TRUE(same_bits(again.predict(data.x), expected));
    EXPECT_TRUE(same_bits(again(data.x), expected));
    EXPECT_EQ(again.optimizer().iterations().value().item<int64_t>(), 10);
    EXPECT_EQ(again.optimizer().learning_rate().value().item<double>(), 0.01);
    // For everybody else it is a plain graph.
    const td::LoadedModel plain = td::load(path("model.onnx"));
    EXPECT_EQ(plain.inputs()[0].to_string(), "features: float32(batch, 6)");
    EXPECT_TRUE(plain.variables().empty());
    EXPECT_TRUE(same_bits(plain({data.x})[0], expected));
    EXPECT_TRUE(same_bits(plain.run_eagerly({data.x})[0], expected));

    expect_goes_on(model, path("model.onnx"), data.x, data.y, mode);
    expect_goes_on(nn::load_model(path("model.onnx")), path("again.onnx"), data.x, data.y, mode);
  }
}

TEST_F(Behaviour, T_64_WhateverCodeTheModelCameFrom) {
  const Data data;
  const td::Tensor targets = td::unsqueeze(td::cast(data.y, td::float32), {1});
  for (const nn::Mode mode : modes) {
    td::random::seed(5);
    const nn::Model model{Squashed()};
    model.set_mode(mode);
    model.compile(
        {.optimizer = nn::SGD(0.05, {.momentum = 0.9}),
         .loss = [](const td::Tensor& p, const td::Tensor& t) { return td::mean(td::pow(p - t, 4), {1}); }});
    model.fit(data.x, targets, silent(1));
    expect_goes_on(model, path("own.onnx"), data.x, targets, mode);
    // Compiled anew it still knows what its layers add to the loss.
    const nn::Model again = nn::load_model(path("own.onnx"), {.compile = false});
    again.set_mode(mode);
    EXPECT_FALSE(again.is_compiled());
    EXPECT_ERROR(again.fit(data.x, targets),
                 "fit: the model is not compiled; call compile() first "
                 "(behaviours_saving_test.cpp:LINE)");
    const nn::Model reference = nn::load_model(path("own.onnx"), {.compile = false});
    const auto loss_of_both = [&](const nn::Model& m) {
      m.compile({.optimizer = nn::SGD(0.01), .loss = "mse"});
      return m.fit(data.x, targets, silent(1)).step_losses[0];
    };
    td::random::seed(8);
    const float loss = loss_of_both(again);
    td::random::seed(8);
    EXPECT_EQ(loss_of_both(reference), loss);
    EXPECT_EQ(again.losses().size(), 1u);
  }
}

TEST_F(Behaviour, T_64_SeveralInputsAndOutputs) {
  const Data data;
  const nn::Value a = nn::Input({6}, {.name = "a"}), b = nn::Input({2}, {.name = "b"});
  const nn::Value joined = nn::Layer(Joined())({nn::Dense(4, "tanh")(a), b});
  const nn::Model model(
      nn::Values{{"a", a}, {"b", b}},
      nn::Values{{"price", nn::Dense(1)(joined)}, {"sold", nn::Dense(1, "sigmoid")(joined)}});
  model.compile({.optimizer = "rmsprop",
                 .loss = {{"price", "mse"}, {"sold", "binary_crossentropy"}},
                 .metrics = {{"sold", "accuracy"}}});
  const td::Nest x{{"a", data.x}, {"b", td::random::normal({65, 2})}},
      y{{"price", td::sum(data.x, {1}, true)}, {"sold", td::cast(td::unsqueeze(data.y, {1}), td::float32)}};
  model.fit(x, y, silent(1));
  expect_goes_on(model, path("two.onnx"), x, y, nn::Mode::automatic);
  const nn::Model again = nn::load_model(path("two.onnx"));
  const td::Nest expected = model.predict(x), found = nn::load_model(path("two.onnx")).predict(x);
  EXPECT_EQ(found.form(), "{price: *, sold: *}");
}

TEST_F(Behaviour, T_64_RegularizersAndConstraintsOutliveTheCode) {
  const Data data;
  const nn::Value input = nn::Input({6});
  const nn::Model model(input, nn::Dense(2, "softmax",
                                         {.kernel_initializer = "ones",
                                          .kernel_regularizer = nn::regularizers::L2(0.5),
                                          .kernel_constraint = "non_neg"})(input));
  model.save(path("options.onnx"));
  const nn::Model again = nn::load_model(path("options.onnx"));
  for (const nn::Model& m : {model, again}) {
    m.compile({.optimizer = nn::SGD(0.5), .loss = "sparse_categorical_crossentropy"});
    td::random::seed(4);
    m.fit(data.x, data.y, silent(2));
    EXPECT_EQ(m.regularization_losses().size(), 1u);
  }
  expect_same_weights(model, again);
  EXPECT_EQ(model.evaluate(data.x, data.y).entries(), again.evaluate(data.x, data.y).entries());
  EXPECT_GE(td::amin(again.variables()[0].value()).item<float>(), 0);
}

TEST_F(Behaviour, T_64_FrozenLayersStayFrozen) {
  const Data data;
  const nn::Model model = classifier();
  model.layers()[0].set_trainable(false);
  model.compile({.optimizer = nn::SGD(0.1), .loss = "sparse_categorical_crossentropy"});
  model.fit(data.x, data.y, silent(1));
  expect_goes_on(model, path("frozen.onnx"), data.x, data.y, nn::Mode::automatic);
  const nn::Model again = nn::load_model(path("frozen.onnx"));
  EXPECT_EQ(again.trainable_variables().size(), model.trainable_variables().size());
  again.set_trainable(true);
  EXPECT_ERROR(again.fit(data.x, data.y, silent(1)),
               "fit: other variables train than when the model was saved; compile it anew "
               "(behaviours_saving_test.cpp:LINE)");
}

TEST_F(Behaviour, T_64_WhatCannotBeSavedOrLoadedSaysSo) {
  const nn::Model unknown{Squashed()};
  EXPECT_ERROR(
      unknown.save(path("x.onnx")),
      "save: the shapes of the model's inputs are unknown: it has no nn::Input and has not been trained; "
      "give them as .inputs, as in {.inputs = td::spec({-1, 784})} (behaviours_saving_test.cpp:LINE)");
  unknown.save(path("x.onnx"), {.inputs = td::spec({-1, 3})});
  EXPECT_EQ(nn::load_model(path("x.onnx"))(td::ones({2, 3})).shape(), (td::Shape{2, 1}));

  // Compiled, but nobody knows for what targets.
  const nn::Model model = classifier();
  model.compile({.optimizer = "sgd", .loss = "mse"});
  ::testing::internal::CaptureStderr();
  model.save(path("y.onnx"));
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("has seen no batch yet"), std::string::npos);
  EXPECT_FALSE(nn::load_model(path("y.onnx")).is_compiled());

  const auto f = td::function([](td::Tensor x) { return x * 2.f; });
  td::save(f, path("f.onnx"), td::spec({2}));
  EXPECT_ERROR(nn::load_model(path("f.onnx")),
               "load_model: " + path("f.onnx") +
                   ": this is no model with its training; td::load runs any ONNX file "
                   "(behaviours_saving_test.cpp:LINE)");
}

TEST_F(Behaviour, T_64_UnknownOperationsNameThemselves) {
  const nn::Model model = classifier();
  model.save(path("m.onnx"));
  std::ifstream in(path("m.onnx"), std::ios::binary);
  td::onnx::ModelProto proto;
  ASSERT_TRUE(proto.ParseFromIstream(&in));
  ASSERT_EQ(proto.graph().node(0).op_type(), "MatMul");
  proto.mutable_graph()->mutable_node(0)->set_op_type("Fuse");
  std::ofstream(path("m.onnx"), std::ios::binary) << proto.SerializeAsString();
  const std::string message = tandem::testing::message_of([&] { nn::load_model(path("m.onnx")); });
  EXPECT_NE(message.find("(Fuse of opset 17): there is no such operator here"), std::string::npos) << message;
}

TEST_F(Behaviour, T_65_WeightsAloneFitOrNothingChanges) {
  const nn::Model model = classifier();
  const std::string file = path("weights.safetensors");
  td::save_weights(model, file);
  const nn::Model same = classifier();
  EXPECT_TRUE(td::load_weights(same, file).empty());
  expect_same_weights(model, same);
  model.save(path("model.onnx"));
  const nn::Model third = classifier();
  EXPECT_TRUE(td::load_weights(third, path("model.onnx")).empty());
  expect_same_weights(model, third);

  EXPECT_ERROR(td::load_weights(nn::Sequential({nn::Dense(2)}), file),
               "load_weights: the module has no variables yet; layers make theirs at their first call "
               "(behaviours_saving_test.cpp:LINE)");
  const nn::Value input = nn::Input({6});
  const nn::Model wider(
      input, nn::Dense(3, "softmax", {.name = "dense_1"})(nn::Dense(8, "relu", {.name = "dense"})(input)));
  const Floats before = wider.variables()[0].value().to_vector<float>();
  EXPECT_ERROR(td::load_weights(wider, file),
               "load_weights: \"dense_1/kernel\" is float32(8, 2) in " + file +
                   ", but float32(8, 3) in the module, and 5 more (behaviours_saving_test.cpp:LINE)");
  EXPECT_EQ(wider.variables()[0].value().to_vector<float>(), before) << "nothing is changed by a failed load";
  const std::vector<std::string> skipped = td::load_weights(wider, file, {.skip_mismatch = true});
  ASSERT_EQ(skipped.size(), 6u);
  EXPECT_EQ(skipped[1], "\"dense_1/bias\" is float32(2,) in " + file + ", but float32(3,) in the module");
  EXPECT_EQ(skipped[2],
            file + " has a tensor \"batch_normalization/beta\", which no variable of the module takes");
  EXPECT_TRUE(same_bits(wider.variables()[0].value(), model.variables()[0].value()));
  const nn::Model deeper(input, nn::Dense(2, {}, {.name = "other"})(input));
  EXPECT_NE(tandem::testing::message_of([&] {
              td::load_weights(deeper, file);
            }).find("load_weights: " + file + " has no tensor \"other/kernel\", and "),
            std::string::npos);
}

TEST_F(Behaviour, T_66_HostileFilesAreRefused) {
  const Data data;
  const nn::Model model = classifier();
  model.compile({.optimizer = nn::Adam(), .loss = "sparse_categorical_crossentropy"});
  model.fit(data.x, data.y, silent(1));
  model.save(path("good.onnx"));
  std::ifstream in(path("good.onnx"), std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const td::Tensor generator = td::random::generator().value();
  auto message_for = [&](const std::string& bytes) {
    std::ofstream(path("bad.onnx"), std::ios::binary) << bytes;
    return tandem::testing::message_of([&] { nn::load_model(path("bad.onnx")); });
  };
  auto changed = [&](auto change) {
    td::onnx::ModelProto proto;
    EXPECT_TRUE(proto.ParseFromString(good));
    change(proto);
    return message_for(proto.SerializeAsString());
  };
  auto training = [](td::onnx::ModelProto& m, const char* name) -> td::onnx::TrainingInfoProto& {
    for (td::onnx::TrainingInfoProto& t : *m.mutable_training_info())
      if (t.algorithm().name() == name) return t;
    throw std::runtime_error(name);
  };
  auto kernel = [](td::onnx::ModelProto& m) {
    auto& list = *m.mutable_graph()->mutable_initializer();
    int i = 0;
    while (list.Get(i).name() != "dense/kernel") ++i;
    return i;
  };
  const auto expect_refused = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect_refused(
      changed([&](auto& m) { training(m, "train_step").mutable_update_binding(0)->set_key("nobody"); }),
      "\"nobody\" is updated, but is no variable");
  expect_refused(
      changed([&](auto& m) { training(m, "train_step").mutable_update_binding(0)->set_value("nothing"); }),
      "gets its next value from \"nothing\", which is no output");
  expect_refused(changed([&](auto& m) {
                   training(m, "train_step").mutable_algorithm()->mutable_node(3)->set_input(0, "later");
                 }),
                 "it uses \"later\" before anything defines it");
  expect_refused(changed([&](auto& m) {
                   m.mutable_graph()->mutable_initializer(kernel(m))->set_dims(0, int64_t{1} << 40);
                 }),
                 "raw_data has 192 bytes");
  expect_refused(changed([&](auto& m) {
                   auto& t = *m.mutable_graph()->mutable_initializer(kernel(m));
                   t.clear_raw_data();
                   t.set_data_location(1);
                   auto& location = *t.add_external_data();
                   location.set_key("location");
                   location.set_value("../../etc/passwd");
                 }),
                 "leaves the model's folder");
  expect_refused(
      changed([&](auto& m) { m.mutable_graph()->mutable_initializer()->DeleteSubrange(kernel(m), 1); }),
      "the variable \"dense/kernel\" has no value");
  expect_refused(changed([&](auto& m) {
                   for (auto& p : *m.mutable_metadata_props())
                     if (p.key() == "tandem.training.batch") p.set_value(std::string(200, '['));
                 }),
                 "is no form of a structure");
  std::string deep = "a";
  for (int i = 0; i < 100000; ++i) deep += "/a";
  expect_refused(changed([&](auto& m) {
                   auto& value = *m.mutable_graph()->add_initializer();
                   value = m.graph().initializer(kernel(m));
                   value.set_name(deep);
                   auto& role = *m.add_metadata_props();
                   role.set_key("tandem.variable." + deep);
                   role.set_value("trainable");
                 }),
                 "stands in more than 64 modules");
  // Whatever the damage, the answer is an error or a model, and who is refused has changed nothing.
  td::Tensor noise = td::random::generator().value();
  uint32_t random = 1;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = good;
    for (int k = 0; k < 3; ++k) {
      random = random * 1664525 + 1013904223;
      bytes[random % bytes.size()] = static_cast<char>(random >> 24);
    }
    if (i % 3 == 0) bytes.resize(random % bytes.size());
    if (message_for(bytes) != "no error") {
      EXPECT_EQ(td::random::generator().value().to_vector<uint64_t>(), noise.to_vector<uint64_t>());
    }
    noise = td::random::generator().value();
  }
  td::random::generator().assign(generator);
}
