// Branches beyond two: by index, and by the first predicate that holds. Both are nests of cond.

#include "core/check.h"
#include "function/control_flow.h"
#include "tandem/control_flow.h"
#include "tandem/ops.h"

namespace tandem {

Tensor switch_case(const Tensor& index, const std::vector<std::function<Tensor()>>& branches,
                   Location where) {
  return detail::named("switch_case", where, [&] {
    TD_CHECK(!branches.empty(), "there is no branch");
    Tensor (*choose)(const Tensor&, const std::vector<std::function<Tensor()>>&, size_t,
                     Location) = [](const Tensor& i, const std::vector<std::function<Tensor()>>& all,
                                    size_t first, Location at) -> Tensor {
      if (first + 1 == all.size()) return all[first]();
      auto rest = [&]() -> Tensor {
        std::vector<std::function<Tensor()>> tail(all.begin() + static_cast<ptrdiff_t>(first) + 1, all.end());
        return switch_case(i - 1, tail, at);
      };
      return cond(equal(i, 0), all[first], std::function<Tensor()>(rest), at);
    };
    return choose(index, branches, 0, where);
  });
}

Tensor case_(const std::vector<std::pair<Tensor, std::function<Tensor()>>>& cases,
             const std::function<Tensor()>& otherwise, CaseOptions options, Location where) {
  return detail::named("case", where, [&] {
    TD_CHECK(!cases.empty() || otherwise, "there is no branch");
    std::vector<Tensor> predicates;
    for (size_t i = 0; i < cases.size(); ++i) {
      const Tensor& p = cases[i].first;
      TD_CHECK(p.defined() && p.dtype() == DType::boolean && p.shape().codes().element_count() == 1,
               "predicate {} is {}; a scalar bool is needed", i,
               p.defined() ? fmt::format("{}{}", p.dtype(), p.shape()) : "an empty tensor handle");
      predicates.push_back(reshape(p, Dims()));
    }
    if (!predicates.empty() && (options.exclusive || !otherwise)) {
      const CallSite site(where);
      const Tensor all = stack(predicates, 0, where), holding = sum(cast(all, DType::i64));
      if (options.exclusive)
        check(holding <= 1, "several predicates hold, and the cases are exclusive:", {all}, where);
      if (!otherwise)
        check(holding >= 1, "no predicate holds, and there is no default branch:", {all}, where);
    }
    // From the last to the first, so that each branch's else is ready.
    std::function<Tensor()> rest = otherwise ? otherwise : cases.back().second;
    const size_t count = otherwise ? cases.size() : cases.size() - 1;
    for (size_t i = count; i-- > 0;)
      rest = [&cases, &predicates, i, rest, where] {
        return cond(predicates[i], cases[i].second, rest, where);
      };
    return rest();
  });
}

}  // namespace tandem
