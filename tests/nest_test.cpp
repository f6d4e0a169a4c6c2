// Structures whose form is known only at run time.

#include "tandem/nest.h"

#include "support.h"
#include "tandem/function.h"
#include "tandem/ops.h"

namespace tandem::testing {
namespace {

TEST(Nest, HoldsLeavesListsAndMaps) {
  const Tensor a = 1, b = 2, c = 3;
  const Nest one = a, list = {a, b}, named = {{"z", a}, {"text", {b, c}}};
  EXPECT_TRUE(one.is_leaf());
  EXPECT_EQ(list.size(), 2u);
  EXPECT_EQ(named.keys(), (std::vector<std::string>{"text", "z"}));
  EXPECT_EQ(named["text"][1].leaf().item<int>(), 3);
  EXPECT_EQ(named.form(), "{text: [*, *], z: *}");
  EXPECT_EQ(named.find("x"), nullptr);
  std::vector<int> leaves;
  for (const Tensor& t : named.flatten()) leaves.push_back(t.item<int>());
  EXPECT_EQ(leaves, (std::vector<int>{2, 3, 1}));
}

TEST(Nest, KeepsItsFormUnderMapping) {
  const Nest named = {{"z", Tensor(1)}, {"text", {Tensor(2), Tensor(3)}}};
  const NestOf<int> values = named.map([](const Tensor& t) { return t.item<int>() * 10; });
  EXPECT_EQ(values["text"][0].leaf(), 20);
  EXPECT_TRUE(values.same_form(named));
  EXPECT_EQ(named.with_leaves<int>({7, 8, 9})["z"].leaf(), 9);
  EXPECT_FALSE(named.same_form(Nest(Tensor(1))));
  EXPECT_EQ(Nest(std::vector<Tensor>{}).size(), 0u);
}

TEST(Nest, SaysWhatIsMissing) {
  const Nest named = {{"z", Tensor(1)}};
  EXPECT_ERROR(named["y"], "the nest {z: *} has not an entry \"y\"");
  EXPECT_ERROR(named[1], "the nest {z: *} has not an entry 1");
  EXPECT_ERROR(named.leaf(), "the nest {z: *} has not a leaf");
  EXPECT_ERROR(named.with_leaves<int>({}), "a nest of 1 leaves was given 0");
  EXPECT_ERROR((Nest{{"z", Tensor(1)}, {"z", Tensor(2)}}), "a nest has two entries \"z\"");
}

TEST(Nest, IsWhatFunctionsTakeAndReturn) {
  auto swap = function([](Nest pair) -> Nest { return {{"sum", pair["a"].leaf() + pair["b"].leaf()}}; });
  EXPECT_EQ(swap(Nest{{"a", Tensor(1)}, {"b", Tensor(2)}})["sum"].leaf().item<int>(), 3);
  EXPECT_EQ(swap(Nest{{"a", Tensor(5)}, {"b", Tensor(2)}})["sum"].leaf().item<int>(), 7);
}

}  // namespace
}  // namespace tandem::testing
