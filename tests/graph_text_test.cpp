// Graphs as text: round trips, every mistake in a text named with its place, and the verifier.

#include "graph/text.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "core/tensor_impl.h"
#include "graph/verify.h"
#include "ops/variable_impl.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;

namespace {

std::string round_trip(const std::string& text) {
  return td::to_text(td::parse_graph(text), {.full_paths = true});
}

#define EXPECT_ROUND_TRIP(text) EXPECT_EQ(round_trip(text), text)

/// A graph whose only node is the constant, printed and read back.
td::Tensor through_text(const td::Tensor& value) {
  td::Graph g;
  g.outputs = {g.add_constant(value)};
  const std::string text = td::to_text(g, {.complete_constants = true});
  const td::Graph back = td::parse_graph(text);
  EXPECT_EQ(td::to_text(back, {.complete_constants = true}), text);
  return back.constant(back.outputs[0]);
}

template <class T>
void expect_same_bits(const std::vector<T>& values) {
  const td::Tensor t = td::from_range(values);
  const td::Tensor back = through_text(t);
  ASSERT_EQ(back.dtype(), t.dtype());
  ASSERT_EQ(back.shape(), t.shape());
  EXPECT_EQ(std::memcmp(back.impl()->data, t.impl()->data, values.size() * sizeof(T)), 0);
}

void expect_refused(const std::string& text, const std::string& message) {
  EXPECT_EQ(td::testing::message_of([&] { td::parse_graph(text); }), message) << text;
}

}  // namespace

TEST(GraphText, PrintsWhatTracingRecords) {
  td::Graph g;
  const td::ValueRef x = g.add_input("x", td::spec({5}));
  const td::ValueRef two = g.add_constant(td::Tensor(2.f), {"/home/me/model.cpp", 41});
  const td::Spec spec = td::spec({5});
  const td::OpDef& op = *td::find_op("Pow");
  const td::ValueRef inputs[] = {x, two};
  const int32_t pow =
      g.add(op, td::AttributeBox(*op.attributes, nullptr), inputs, {&spec, 1}, {"/home/me/model.cpp", 41});
  g.outputs = {{pow, 0}};
  EXPECT_EQ(td::to_text(g),
            "graph(x: float32(5,)) {\n"
            "  %constant = Constant {value=float32()[2]} : float32()  @model.cpp:41\n"
            "  %pow = Pow(%x, %constant) : float32(5,)  @model.cpp:41\n"
            "  return %pow\n"
            "}\n");
  EXPECT_EQ(td::to_text(g, {.locations = false}),
            "graph(x: float32(5,)) {\n"
            "  %constant = Constant {value=float32()[2]} : float32()\n"
            "  %pow = Pow(%x, %constant) : float32(5,)\n"
            "  return %pow\n"
            "}\n");
  EXPECT_EQ(td::to_text(g, g.node(pow), {.full_paths = true}),
            "%pow = Pow(%x, %constant) : float32(5,)  @/home/me/model.cpp:41");
}

TEST(GraphText, RoundTrips) {
  EXPECT_ROUND_TRIP("graph() {\n  return\n}\n");
  EXPECT_ROUND_TRIP(
      "graph(x: float32(?0, 3)  @/src/a-b.cpp:7, \"y 1\" \"y\": bfloat16(?, ?1)) {\n"
      "  %softmax = Softmax(%x) {axis=0} : float32(?0, 3)  @\"odd name.cpp\":12\n"
      "  %cast = Cast(%\"y 1\") {to=int8} : int8(?, ?1)\n"
      "  %constant = Constant {value=int64(2,)[3, 4]} : int64(2,)\n"
      "  %sum = ReduceSum(%softmax, _) {keepdims=0} : float32()\n"
      "  %transpose = Transpose(%x) {perm=[1, 0]} : float32(3, ?0)\n"
      "  return %sum, %transpose, %constant, %cast, _\n"
      "}\n");
}

TEST(GraphText, RefusesShapesThatNoMemoryHolds) {
  const std::string many = "(1099511627776, 1099511627776)", none = "(1099511627776, 0, 1099511627776)";
  for (const std::string& shape : {many, none})
    expect_refused(
        "graph(x: float32" + shape + ") {\n  %y = Neg(%x) : float32" + shape + "\n  return %y\n}\n",
        "out of memory: a tensor of shape " + shape + " has more elements than fit in memory");
  EXPECT_ERROR(
      td::function([](td::Tensor x) {
        return td::expand(x, {int64_t{1} << 40, int64_t{1} << 40});
      })(td::ones({1, 1})),
      "expand: out of memory: a tensor of shape (1099511627776, 1099511627776) has more elements than fit "
      "in memory (graph_text_test.cpp:LINE)");
}

TEST(GraphText, ReadsCommentsAndLooseLayout) {
  EXPECT_EQ(
      round_trip("// a comment\ngraph( x :float32( 3, ) ) {%y=Neg( %x ):float32(3) // minus\nreturn %y}"),
      "graph(x: float32(3,)) {\n  %y = Neg(%x) : float32(3,)\n  return %y\n}\n");
}

TEST(GraphText, FloatsKeepTheirBits) {
  const float inf = std::numeric_limits<float>::infinity();
  expect_same_bits<float>({0.f, -0.f, 1.f, 0.1f, 1e-45f, -1e-40f, 3.4e38f, inf, -inf,
                           std::bit_cast<float>(0x7fc00000u), std::bit_cast<float>(0xffc00000u),
                           std::bit_cast<float>(0x7f800001u)});
  expect_same_bits<double>({0., -0., 0.1, 5e-324, 1.7e308, std::bit_cast<double>(0x7ff0000000000001ull),
                            std::bit_cast<double>(0x7ff8000000000000ull), -INFINITY});
  std::mt19937_64 random(1);
  std::vector<float> floats;
  std::vector<double> doubles;
  for (int i = 0; i < 10000; ++i) {
    floats.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
    doubles.push_back(std::bit_cast<double>(random()));
  }
  expect_same_bits(floats);
  expect_same_bits(doubles);
  std::vector<td::Half> halves;
  std::vector<td::BFloat16> brains;
  for (int i = 0; i < 65536; ++i) {
    halves.emplace_back().bits = static_cast<uint16_t>(i);
    brains.emplace_back().bits = static_cast<uint16_t>(i);
  }
  expect_same_bits(halves);
  expect_same_bits(brains);
}

TEST(GraphText, IntegersKeepTheirBits) {
  expect_same_bits<int64_t>({0, -1, INT64_MIN, INT64_MAX});
  expect_same_bits<uint64_t>({0, UINT64_MAX});
  expect_same_bits<int8_t>({-128, 127, 0});
  expect_same_bits<uint8_t>({255, 0});
  expect_same_bits<int32_t>({INT32_MIN, INT32_MAX});
  EXPECT_EQ(through_text(td::Tensor({true, false})).to_vector<bool>(), (std::vector<bool>{true, false}));
  EXPECT_EQ(through_text(td::zeros({0, 3})).shape(), (td::Shape{0, 3}));
}

TEST(GraphText, EqualElementsAreWrittenOnce) {
  td::Graph g;
  g.outputs = {g.add_constant(td::full({100, 100}, 0.5f))};
  const std::string text = td::to_text(g);
  EXPECT_EQ(text,
            "graph() {\n  %constant = Constant {value=float32(100, 100)[0.5, ...]} : float32(100, 100)\n"
            "  return %constant\n}\n");
  EXPECT_EQ(round_trip(text), text);
}

TEST(GraphText, LongConstantsAreElided) {
  td::Graph g;
  std::vector<float> v(100);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i);
  g.outputs = {g.add_constant(td::from_vector(std::move(v), {100}))};
  const std::string text = td::to_text(g);
  EXPECT_NE(text.find("float32(100,)<100 elements, hash "), std::string::npos) << text;
  expect_refused(text,
                 "graph text 2:44: this constant was elided when the text was written; print it with "
                 "complete_constants to read it back");
}

TEST(GraphText, VariablesNeedAResolver) {
  const td::Variable w(td::Tensor({1.f, 2.f}), {.name = "w"});
  const std::string text =
      "graph(x: float32(2,)) {\n"
      "  %read_variable = ReadVariable {variable=\"w\"} : float32(2,)\n"
      "  %add = Add(%x, %read_variable) : float32(2,)\n"
      "  %assign_variable = AssignVariable(%add) {variable=\"w\"}\n"
      "  return\n"
      "}\n";
  const auto find = [&](std::string_view name) { return name == "w" ? w.impl() : nullptr; };
  const td::Graph g = td::parse_graph(text, {.variables = find});
  EXPECT_EQ(td::to_text(g), text);
  const td::Tensor x = {10.f, 20.f};
  td::interpret(g, {&x, 1});
  EXPECT_EQ(w.value().to_vector<float>(), (std::vector<float>{11, 22}));
  expect_refused(text,
                 "graph text 2:20: the text uses the variable \"w\"; reading it needs a resolver of names");
  std::string other = text;
  other.replace(other.find("\"w\""), 3, "\"v\"");
  EXPECT_EQ(td::testing::message_of([&] { td::parse_graph(other, {.variables = find}); }),
            "graph text 2:20: the variable \"v\" is not known");
}

TEST(GraphText, EveryMistakeHasItsPlace) {
  const std::string head = "graph(x: float32(3,)) {\n  ";
  expect_refused("", "graph text 1:1: expected \"graph\", found the end of the text");
  expect_refused("grape(", "graph text 1:1: expected \"graph\", found \"grape\"");
  expect_refused("graph(x float32(3,))", "graph text 1:9: expected \":\", found \"float32\"");
  expect_refused("graph(x: real(3,))", "graph text 1:10: expected a dtype such as float32, found \"real\"");
  expect_refused("graph(x: float32(3,", "graph text 1:20: expected a number, found the end of the text");
  expect_refused("graph(x: float32(-3,)) {", "graph text 1:18: the size -3 is negative");
  expect_refused("graph(x: float32(99999999999999999999)) {",
                 "graph text 1:18: 99999999999999999999 does not fit int64");
  expect_refused("graph(x: float32(?-1)) {", "graph text 1:19: expected \")\", found \"-\"");
  expect_refused("graph(x: float32(?2000000000000)) {",
                 "graph text 1:19: ?2000000000000 is no symbol that a graph can have");
  expect_refused("graph(x: float32(1,1,1,1,1,1,1,1,1)) {", "graph text 1:34: more than 8 dimensions");
  expect_refused("graph(x: float32(), x: float32()) {", "graph text 1:21: the name \"x\" is defined twice");
  expect_refused(head + "%y = Frob(%x)", "graph text 2:8: no op is called \"Frob\"");
  expect_refused(head + "%y = Input", "graph text 2:8: inputs stand in the head of the graph");
  expect_refused(head + "%y = Neg(%z)", "graph text 2:12: nothing above is called \"z\"");
  expect_refused(head + "%y = Neg(%y)", "graph text 2:12: nothing above is called \"y\"");
  expect_refused(head + "%y = Neg(%x:1)", "graph text 2:12: \"x\" has 1 outputs; there is no output 1");
  expect_refused(head + "%y = Neg(x)", "graph text 2:12: expected \"%\", found \"x\"");
  expect_refused(head + "%y = Neg(%x) {axis=1}", "graph text 2:17: Neg has no attribute axis");
  expect_refused(head + "%y = Softmax(%x) {axis=1, axis=1}",
                 "graph text 2:29: the attribute axis is set twice");
  expect_refused(head + "%y = Softmax(%x) {axis=\"a\"}",
                 "graph text 2:26: axis of Softmax: the attribute has a value of another kind");
  expect_refused(head + "%y = Softmax(%x) {axis=1.5}",
                 "graph text 2:26: axis of Softmax: the attribute has a value of another kind");
  expect_refused(head + "%y = Softmax(%x) {axis=}", "graph text 2:26: expected a number, found \"}\"");
  expect_refused(head + "%y = Constant {value=float32(2,)[1]}",
                 "graph text 2:36: 1 elements do not fill shape (2,), which has 2");
  expect_refused(head + "%y = Constant {value=float32(2,)[1, x]}",
                 "graph text 2:39: expected a number, found \"x\"");
  expect_refused(head + "%y = Constant {value=int8(1,)[128]}", "graph text 2:33: 128 does not fit int8");
  expect_refused(head + "%y = Constant {value=int8(1,)[1.5]}",
                 "graph text 2:33: expected a whole number, found \"1.5\"");
  expect_refused(head + "%y = Constant {value=bool(1,)[1]}",
                 "graph text 2:33: expected true or false, found \"1\"");
  expect_refused(head + "%y = Constant {value=float32(1,)[nan:0x1]}",
                 "graph text 2:36: \"nan:0x1\" are not the bits of a NaN");
  expect_refused(head + "%y = Constant {value=float32(1,)[1e99]}",
                 "graph text 2:36: 1e99 does not fit float32");
  expect_refused(head + "%y = Constant {value=float32(?0,)[]}",
                 "graph text 2:31: a constant's sizes must all be numbers");
  expect_refused(head + "%y = Constant {value=float32(9999999999, 9999999999, 9999999999)[0, ...]}",
                 "graph text 2:31: a constant of shape (9999999999, 9999999999, 9999999999) is larger than "
                 "268435456 bytes");
  expect_refused(head + "%y = Constant {value=float32(8,)[...]}",
                 "graph text 2:36: expected a number, found \"...\"");
  expect_refused(head + "%y = Neg(%x) : float32(3,) @a.cpp",
                 "graph text 2:36: expected \":\", found the end of the text");
  expect_refused(head + "%\"a", "graph text 2:6: the quoted text does not end on its line");
  expect_refused(head + "%\"\\q\"", "graph text 2:6: after \\ only \", \\ and x are known");
  expect_refused(head + "return %x\n} trailing",
                 "graph text 3:3: the graph ends here, but there is more text");
  expect_refused(
      head + "%y = CustomGradient(%x, %x) : float32(3,)\n return\n}",
      "graph text 2:8: CustomGradient holds more than text can say, such as code; it cannot be read back");
}

TEST(GraphText, NoTextBreaksTheParser) {
  const std::string text =
      "graph(x: float32(?0, 3), \"y\\\"1\": int64(2,)) {\n"
      "  %c = Constant {value=float32(3,)[0.5, -0, nan:0x7fc00001]} : float32(3,)  @\"a b.cpp\":12\n"
      "  %a = Add(%x, %c) : float32(?0, 3)\n"
      "  %r = ReduceSum(%a, _) {keepdims=0, noop_with_empty_axes=0} : float32()\n"
      "  %t = Transpose(%a) {perm=[1, 0]} : float32(3, ?0)\n"
      "  return %r, %t\n"
      "}\n";
  td::parse_graph(text);
  std::mt19937 random(7);
  const std::string_view characters = "%(){}[]:,=@?_\"\\.-+0129eEnaifx \n\xff";
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string broken = text;
    const int changes = 1 + static_cast<int>(random() % 3);
    for (int k = 0; k < changes; ++k) {
      const size_t at = random() % broken.size();
      switch (random() % 4) {
        case 0:
          broken.erase(at, 1 + random() % 8);
          break;
        case 1:
          broken.insert(at, 1, characters[random() % characters.size()]);
          break;
        case 2:
          broken[at] = characters[random() % characters.size()];
          break;
        default:
          broken.resize(at);
          break;
      }
      if (broken.empty()) break;
    }
    try {
      td::parse_graph(broken);
    } catch (const td::Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 10000);
}

// ---- the verifier

namespace {

struct Broken {
  td::Graph graph = td::parse_graph(
      "graph(x: float32(2, 3)) {\n"
      "  %neg = Neg(%x) : float32(2, 3)\n"
      "  %exp = Exp(%neg) : float32(2, 3)\n"
      "  %c = Constant {value=float32()[1]} : float32()\n"
      "  return %exp\n"
      "}\n");
  std::string complaint() {
    return td::testing::message_of([&] { td::verify(graph, "some_pass"); });
  }
};

}  // namespace

TEST(Verifier, AcceptsAGoodGraph) { EXPECT_EQ(Broken().complaint(), "no error"); }

TEST(Verifier, NamesNodeAndPass) {
  Broken order;
  order.graph.node(1).inputs[0] = {2, 0};
  EXPECT_EQ(
      order.complaint(),
      "verify: after some_pass: node 1 (%neg = Neg): input 0 is node 2, which does not stand before it");
  Broken output;
  output.graph.node(2).inputs[0] = {1, 1};
  EXPECT_EQ(output.complaint(),
            "verify: after some_pass: node 2 (%exp = Exp): input 0 is output 1 of %neg, which has 1");
  Broken missing;
  missing.graph.node(2).inputs[0] = {};
  EXPECT_EQ(missing.complaint(), "verify: after some_pass: node 2 (%exp = Exp): input 0 (X) is missing");
  Broken extra;
  extra.graph.node(2).inputs.push_back({0, 0});
  EXPECT_EQ(extra.complaint(),
            "verify: after some_pass: node 2 (%exp = Exp): it has 2 inputs; at most 1 are taken");
  Broken name;
  name.graph.node(2).name = "neg";
  EXPECT_EQ(name.complaint(), "verify: after some_pass: node 2 (%neg = Exp): another node has its name");
  Broken shape;
  shape.graph.node(2).outputs[0].shape = {2, 4};
  EXPECT_EQ(
      shape.complaint(),
      "verify: after some_pass: node 2 (%exp = Exp): output 0 is written as float32(2, 4); inference gives "
      "float32(2, 3)");
  Broken size;
  size.graph.node(2).outputs[0].shape = {2, -7};
  EXPECT_EQ(size.complaint(), "verify: after some_pass: node 2 (%exp = Exp): output 0 has the size -7");
  Broken type;
  type.graph.node(2).outputs[0].dtype = td::int8;
  EXPECT_EQ(
      type.complaint(),
      "verify: after some_pass: node 2 (%exp = Exp): output 0 is written as int8(2, 3); inference gives "
      "float32(2, 3)");
  Broken attributes;
  attributes.graph.node(2).attributes = {};
  EXPECT_EQ(attributes.complaint(),
            "verify: after some_pass: node 2 (%exp = Exp): its attributes are of another op's type");
  Broken infers;
  infers.graph.node(2).op = td::find_op("Where");
  EXPECT_EQ(infers.complaint(), "verify: after some_pass: node 2 (%exp = Where): input 1 (X) is missing");
  Broken unlisted;
  unlisted.graph.inputs.clear();
  EXPECT_EQ(unlisted.complaint(), "verify: after some_pass: the input %x is not listed among the arguments");
  Broken listed;
  listed.graph.inputs = {0, 0};
  EXPECT_EQ(listed.complaint(), "verify: after some_pass: argument 1 is listed twice");
  Broken result;
  result.graph.outputs = {{9, 0}};
  EXPECT_EQ(result.complaint(),
            "verify: after some_pass: result 0 is output 0 of node 9, which does not exist");
  Broken located;
  located.graph.node(2).where = {"dir/model.cpp", 12};
  located.graph.node(2).outputs.push_back(td::spec({1}));
  EXPECT_EQ(located.complaint(),
            "verify: after some_pass: node 2 (%exp = Exp): it has 2 outputs; its op gives 1 (model.cpp:12)");
}

TEST(Verifier, UnknownSizesMayMeetKnownOnes) {
  // Two unknown sizes are neither equal nor different.
  td::parse_graph(
      "graph(x: float32(?0, 3), y: float32(?1, 3)) {\n"
      "  %add = Add(%x, %y) : float32(?2, 3)\n"
      "  return %add\n}\n");
  EXPECT_EQ(
      td::testing::message_of([] {
        td::parse_graph(
            "graph(x: float32(?0, 3)) {\n"
            "  %neg = Neg(%x) : float32(?1, 3)\n"
            "  return %neg\n}\n");
      }),
      "verify: after graph text: node 1 (%neg = Neg): output 0 is written as float32(?1, 3); inference gives "
      "float32(?0, 3)");
}

TEST(Verifier, EffectsKeepTheirOrder) {
  const td::Variable v(td::Tensor(1.f), {.name = "v"});
  const auto find = [&](std::string_view) { return v.impl(); };
  const auto parse = [&](const std::string& lines) {
    return td::parse_graph("graph(x: float32(), y: float32()) {\n" + lines + "  return %x\n}\n",
                           {.variables = find});
  };
  const std::string a = "  %a = AssignVariable(%x) {variable=\"v\"}\n",
                    b = "  %b = AssignVariable(%y) {variable=\"v\"}\n";
  const std::string r = "  %r = ReadVariable {variable=\"v\"} : float32()\n";
  const td::Interface before(parse(a + r + b));
  const auto complaint = [&](const std::string& lines) {
    return td::testing::message_of([&] { before.check(parse(lines), "p"); });
  };
  EXPECT_EQ(complaint(a + r + b), "no error");
  EXPECT_EQ(complaint(a + b), "no error");
  EXPECT_EQ(complaint(b + a), "after p: the effect %a is lost or out of order");
  EXPECT_EQ(complaint(a), "after p: the effect %b is lost or out of order");
  EXPECT_EQ(complaint(a + b + r), "after p: the effect %r is new or out of order");
}
