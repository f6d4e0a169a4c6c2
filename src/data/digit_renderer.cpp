#include "data/digit_renderer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace tandem::data {

namespace {

// --- The shapes --------------------------------------------------------------------------------
//
// A stroke is a smooth curve through its knots, with a sharp turn at each one marked `corner`. Positions
// are hundredths of the digit's box, x to the right and y down. A digit has several ways of being written.

enum Turn : uint8_t { smooth, corner };

struct Knot {
  int8_t x = 0, y = 0;
  Turn turn = smooth;
};

constexpr int max_knots = 12, max_strokes = 3;

struct Stroke {
  int count = 0;
  std::array<Knot, max_knots> knots = {};
};

struct Glyph {
  int digit = 0;
  int width = 0;  // of its box, whose height is 100
  int stroke_count = 0;
  std::array<Stroke, max_strokes> strokes = {};
};

template <size_t N>
constexpr Stroke stroke(const Knot (&knots)[N]) {
  static_assert(N >= 2 && N <= max_knots);
  Stroke s;
  for (const Knot& knot : knots) s.knots[s.count++] = knot;
  return s;
}

template <class... Strokes>
constexpr Glyph glyph(int digit, int width, const Strokes&... strokes) {
  static_assert(sizeof...(strokes) <= max_strokes);
  Glyph g{digit, width};
  ((g.strokes[g.stroke_count++] = strokes), ...);
  return g;
}

// Each digit's ways of writing stand together; `first_way` below relies on it.
// clang-format off
constexpr Glyph glyphs[] = {
    glyph(0, 68, stroke({{60, 3}, {25, 14}, {4, 52}, {20, 90}, {52, 99}, {86, 78}, {96, 42}, {78, 10},
                         {48, 2}})),
    glyph(0, 55, stroke({{45, 0}, {10, 25}, {5, 70}, {40, 100}, {85, 80}, {95, 35}, {65, 2}, {38, 8}})),
    glyph(0, 85, stroke({{72, 10}, {40, 2}, {6, 40}, {16, 88}, {55, 98}, {94, 62}, {84, 18}, {58, 4}})),

    glyph(1, 12, stroke({{50, 0}, {52, 50}, {50, 100}})),
    glyph(1, 35, stroke({{0, 25}, {70, 0, corner}, {72, 50}, {70, 100}})),
    glyph(1, 50, stroke({{10, 22}, {52, 0, corner}, {50, 97}}),
                 stroke({{5, 98}, {95, 97}})),

    glyph(2, 70, stroke({{6, 24}, {40, 1}, {84, 20}, {66, 56}, {4, 97, corner}, {50, 95}, {98, 98}})),
    glyph(2, 72, stroke({{8, 18}, {44, 0}, {82, 20}, {62, 62}, {24, 96}, {5, 88}, {24, 74}, {58, 90},
                         {98, 90}})),
    glyph(2, 62, stroke({{5, 8}, {50, 2}, {90, 24}, {60, 65}, {6, 98, corner}, {95, 93}})),

    glyph(3, 62, stroke({{8, 12}, {46, 0}, {82, 22}, {36, 46, corner}, {94, 72}, {52, 99}, {2, 86}})),
    glyph(3, 62, stroke({{6, 3}, {88, 2, corner}, {40, 40, corner}, {94, 66}, {55, 99}, {3, 88}})),
    glyph(3, 60, stroke({{10, 16}, {50, 1}, {84, 18}, {56, 44}, {40, 48}, {62, 50}, {95, 76}, {50, 100},
                         {4, 90}})),

    glyph(4, 70, stroke({{16, 2}, {6, 56, corner}, {50, 54}, {96, 50}}),
                 stroke({{76, 6}, {70, 55}, {66, 100}})),
    glyph(4, 68, stroke({{70, 0}, {2, 66, corner}, {98, 64}}),
                 stroke({{70, 0}, {70, 100}})),
    glyph(4, 66, stroke({{14, 4}, {5, 40}, {40, 56}, {84, 40}, {88, 4, corner}, {80, 55}, {72, 100}})),

    glyph(5, 66, stroke({{92, 2}, {20, 4, corner}, {12, 44, corner}, {52, 36}, {94, 66}, {54, 98}, {2, 88}})),
    glyph(5, 66, stroke({{22, 6}, {18, 40, corner}, {60, 38}, {92, 70}, {50, 100}, {4, 92}}),
                 stroke({{20, 4}, {98, 0}})),
    glyph(5, 60, stroke({{95, 0}, {36, 8}, {16, 36}, {56, 50}, {86, 76}, {48, 99}, {2, 90}})),

    glyph(6, 62, stroke({{76, 0}, {32, 26}, {6, 68}, {40, 99}, {90, 78}, {58, 52}, {12, 70}})),
    glyph(6, 55, stroke({{46, 0}, {10, 36}, {4, 76}, {44, 100}, {92, 82}, {70, 58}, {34, 66}, {20, 88}})),
    glyph(6, 68, stroke({{92, 6}, {52, 4}, {10, 42}, {14, 86}, {54, 98}, {84, 72}, {52, 50}, {10, 64}})),

    glyph(7, 64, stroke({{2, 5}, {94, 3, corner}, {58, 48}, {36, 100}})),
    glyph(7, 66, stroke({{4, 4}, {92, 2, corner}, {40, 100}}),
                 stroke({{26, 52}, {94, 48}})),
    glyph(7, 62, stroke({{4, 20}, {10, 4, corner}, {52, 8}, {96, 0, corner}, {66, 40}, {56, 100}})),

    glyph(8, 62, stroke({{84, 14}, {48, 0}, {14, 20}, {50, 46}, {92, 76}, {50, 100}, {6, 78}, {46, 50},
                         {84, 24}, {78, 8}})),
    glyph(8, 55, stroke({{50, 46}, {12, 24}, {50, 0}, {88, 22}, {50, 46}, {4, 74}, {50, 100}, {96, 74},
                         {54, 47}})),
    glyph(8, 66, stroke({{96, 6}, {50, 2}, {16, 18}, {44, 46}, {80, 74}, {48, 99}, {8, 84}, {38, 54},
                         {76, 32}, {98, 4}})),

    glyph(9, 60, stroke({{86, 16}, {48, 0}, {8, 26}, {40, 52}, {86, 20, corner}, {84, 60}, {76, 100}})),
    glyph(9, 60, stroke({{90, 18}, {52, 1}, {8, 26}, {44, 50}, {90, 22, corner}, {86, 68}, {52, 98},
                         {10, 90}})),
    glyph(9, 52, stroke({{60, 48}, {12, 36}, {30, 2}, {86, 12}, {84, 40}, {62, 72}, {40, 100}})),
};
// clang-format on
constexpr int glyph_count = static_cast<int>(std::size(glyphs));

constexpr int first_way(int digit) {
  int i = 0;
  while (i < glyph_count && glyphs[i].digit < digit) ++i;
  return i;
}
constexpr auto first_ways = [] {
  std::array<int, 11> first = {};
  for (int digit = 0; digit <= 10; ++digit) first[digit] = first_way(digit);
  return first;
}();

// --- Chance ------------------------------------------------------------------------------------

/// SplitMix64's finalizer: a bijection of 64 bits in which every bit depends on every other.
constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Numbers that depend on (seed, index) and on how many were drawn before, and nothing else.
class Chance {
 public:
  Chance(uint64_t seed, uint64_t index) : state_(mix(mix(seed + 0x9e3779b97f4a7c15u) ^ index)) {}

  uint64_t bits() { return mix(state_ += 0x9e3779b97f4a7c15u); }
  int below(int count) { return static_cast<int>((bits() >> 32) * static_cast<uint64_t>(count) >> 32); }
  float uniform(float low, float high) {
    return low + (high - low) * (static_cast<float>(bits() >> 40) * 0x1p-24f);
  }
  /// Bell-shaped, of mean 0 and standard deviation `deviation`, never beyond 3.47 deviations: the sum of
  /// four uniform numbers, because the usual formulas need a logarithm, which libraries round differently.
  float bell(float deviation) {
    const uint64_t b = bits();
    const auto sum = static_cast<float>((b & 0xffff) + (b >> 16 & 0xffff) + (b >> 32 & 0xffff) + (b >> 48));
    return (sum * 0x1p-16f - 2.f) * 1.7320508f * deviation;
  }

 private:
  uint64_t state_;
};

constexpr float hundredths(int value) { return static_cast<float>(value) / 100; }

// --- Geometry ----------------------------------------------------------------------------------

struct Point {
  float x = 0, y = 0;
};
constexpr Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
constexpr Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
constexpr Point operator*(float s, Point p) { return {s * p.x, s * p.y}; }

/// How one writer's hand deforms every stroke of a picture.
class Hand {
 public:
  Hand(Chance& chance, float width) {
    const float height = chance.uniform(16.f, 21.f);
    const float stretch = width * (1 + chance.bell(0.12f)) * height;
    const float slant = 0.12f + chance.bell(0.22f);
    // A rotation from the tangent of half its angle needs no sine.
    const float t = chance.bell(0.045f);
    const float cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
    x_ = {stretch * cosine, stretch * sine};
    y_ = {-height * (slant * cosine + sine), height * (cosine - slant * sine)};
    for (Point& b : bend_) b = {chance.bell(0.07f), chance.bell(0.05f)};
  }

  /// From the unit box to pixels, around the origin.
  Point operator()(Point p) const {
    const float u = 2 * p.x - 1, v = 2 * p.y - 1;
    const float terms[] = {u * u, u * v, v * v, u * v * v, v * u * u, v * v * v};
    Point bent = {p.x - 0.5f, p.y - 0.5f};
    for (size_t i = 0; i < std::size(terms); ++i) bent = bent + terms[i] * bend_[i];
    return bent.x * x_ + bent.y * y_;
  }

 private:
  Point x_, y_;
  std::array<Point, 6> bend_ = {};
};

/// A disc of ink moved from one point to another, its radius changing on the way.
struct Segment {
  Point from, to;
  float radius_from = 0, radius_to = 0;
};

constexpr int pieces_per_knot = 6;
constexpr int max_segments = max_strokes * max_knots * pieces_per_knot;

class Drawing {
 public:
  void add(const Segment& segment) { segments_[count_++] = segment; }
  std::span<Segment> segments() { return {segments_.data(), static_cast<size_t>(count_)}; }

 private:
  int count_ = 0;
  std::array<Segment, max_segments> segments_;
};

/// Adds a stroke as short segments: a Catmull-Rom spline through its knots, broken at corners.
void trace(const Stroke& stroke, const Hand& hand, Chance& chance, float radius, Drawing& drawing) {
  std::array<Point, max_knots> at;
  const int n = stroke.count;
  for (int i = 0; i < n; ++i) {
    const Knot& knot = stroke.knots[i];
    at[i] = hand({hundredths(knot.x) + chance.bell(0.036f), hundredths(knot.y) + chance.bell(0.028f)});
  }
  const float radius_from = radius * (1 + chance.bell(0.12f)), radius_to = radius * (1 + chance.bell(0.18f));
  const auto is_end = [&](int i) { return i == 0 || i == n - 1 || stroke.knots[i].turn == corner; };
  Segment piece;
  piece.to = at[0];
  piece.radius_to = radius_from;
  for (int i = 0; i + 1 < n; ++i) {
    const Point a = at[i], b = at[i + 1];
    const Point slope_a = is_end(i) ? b - a : 0.5f * (b - at[i - 1]);
    const Point slope_b = is_end(i + 1) ? b - a : 0.5f * (at[i + 2] - a);
    for (int j = 1; j <= pieces_per_knot; ++j) {
      const float t = static_cast<float>(j) / pieces_per_knot, s = 1 - t;
      piece.from = piece.to;
      piece.radius_from = piece.radius_to;
      piece.to = (s * s * (1 + 2 * t)) * a + (t * t * (3 - 2 * t)) * b + (s * s * t) * slope_a -
                 (s * t * t) * slope_b;
      const float along = (static_cast<float>(i) + t) / static_cast<float>(n - 1);
      piece.radius_to = radius_from + (radius_to - radius_from) * along;
      drawing.add(piece);
    }
  }
}

/// Moves the drawing to about the middle of the picture, and shrinks it where it would not fit.
void place(Chance& chance, Drawing& drawing) {
  constexpr float side = digit_side, margin = 0.5f;
  Point low = {side, side}, high = {-side, -side};
  for (const Segment& s : drawing.segments()) {
    const float reach = std::max(s.radius_from, s.radius_to);
    low = {std::min({low.x, s.from.x - reach, s.to.x - reach}),
           std::min({low.y, s.from.y - reach, s.to.y - reach})};
    high = {std::max({high.x, s.from.x + reach, s.to.x + reach}),
            std::max({high.y, s.from.y + reach, s.to.y + reach})};
  }
  const float scale =
      std::min({1.f, (side - 2 * margin) / (high.x - low.x), (side - 2 * margin) / (high.y - low.y)});
  const auto offset = [&](float from, float to, float jitter) {
    const float slack = 0.5f * (side - 2 * margin - scale * (to - from));
    return 0.5f * side + std::clamp(jitter, -slack, slack) - scale * 0.5f * (from + to);
  };
  const Point shift = {offset(low.x, high.x, chance.bell(1.4f)), offset(low.y, high.y, chance.bell(1.4f))};
  for (Segment& s : drawing.segments()) {
    s.from = scale * s.from + shift;
    s.to = scale * s.to + shift;
    s.radius_from *= scale;
    s.radius_to *= scale;
  }
}

/// Inks one segment: a pixel's coverage falls from 1 to 0 over `softness` pixels at the stroke's edge.
void ink(const Segment& s, float softness, std::array<float, digit_pixels>& coverage) {
  const float reach = std::max(s.radius_from, s.radius_to) + softness;
  const auto first = [&](float a, float b) { return std::max(0, static_cast<int>(std::min(a, b) - reach)); };
  const auto last = [&](float a, float b) {
    return std::min(digit_side - 1, static_cast<int>(std::max(a, b) + reach));
  };
  const Point along = s.to - s.from;
  const float length_squared = along.x * along.x + along.y * along.y;
  const float inverse = length_squared > 1e-12f ? 1 / length_squared : 0;
  const int left = first(s.from.x, s.to.x), right = last(s.from.x, s.to.x);
  for (int y = first(s.from.y, s.to.y); y <= last(s.from.y, s.to.y); ++y)
    for (int x = left; x <= right; ++x) {
      const Point p = Point{static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f} - s.from;
      const float t = std::clamp((p.x * along.x + p.y * along.y) * inverse, 0.f, 1.f);
      const Point off = p - t * along;
      const float distance_squared = off.x * off.x + off.y * off.y;
      if (distance_squared > reach * reach) continue;
      const float distance = std::sqrt(distance_squared);
      const float radius = s.radius_from + (s.radius_to - s.radius_from) * t;
      const float covered = std::clamp((radius - distance) / softness + 0.5f, 0.f, 1.f);
      float& pixel = coverage[y * digit_side + x];
      pixel = std::max(pixel, covered);
    }
}

}  // namespace

int digit_label(uint64_t seed, uint64_t index) { return Chance(seed, index).below(10); }

void draw_digit(uint64_t seed, uint64_t index, std::span<uint8_t, digit_pixels> pixels) {
  Chance chance(seed, index);
  const int digit = chance.below(10);
  const Glyph& glyph = glyphs[first_ways[digit] + chance.below(first_ways[digit + 1] - first_ways[digit])];

  const Hand hand(chance, hundredths(glyph.width));
  const float radius = chance.uniform(0.75f, 1.75f), softness = chance.uniform(1.f, 1.8f);
  Drawing drawing;
  for (int i = 0; i < glyph.stroke_count; ++i) trace(glyph.strokes[i], hand, chance, radius, drawing);
  place(chance, drawing);

  std::array<float, digit_pixels> coverage = {};
  for (const Segment& segment : drawing.segments()) ink(segment, softness, coverage);

  const float brightness = chance.uniform(190.f, 255.f), grain = chance.uniform(0.f, 12.f);
  for (size_t i = 0; i < digit_pixels; i += 4) {
    // Four 16-bit grains of noise a draw: this loop would otherwise take most of the time.
    uint64_t noise = chance.bits();
    for (size_t j = i; j < i + 4; ++j, noise >>= 16) {
      const float speck = grain * (static_cast<float>(noise & 0xffff) * 0x1p-15f - 1.f);
      const float light = brightness * coverage[j] + speck + 0.5f;
      pixels[j] = static_cast<uint8_t>(std::clamp(light, 0.f, 255.f));
    }
  }
}

}  // namespace tandem::data
