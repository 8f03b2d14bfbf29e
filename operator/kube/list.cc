#include "operator/kube/list.h"

#include "operator/kube/api_error.h"

namespace mayfly::kube {

absl::StatusOr<std::string> ListAll(Client& client, const Resource& resource, std::string_view space,
                                    ListOptions options, absl::FunctionRef<void()> on_restart,
                                    absl::FunctionRef<void(JsonView)> on_item, const CallOptions& call) {
  int restarts = 0;
  for (;;) {
    absl::StatusOr<ListPage> page = client.List(resource, space, options, call);
    if (!page.ok()) {
      if (!IsExpired(page.status()) || options.continue_token.empty() || restarts == 2) return page.status();
      ++restarts;
      options.continue_token.clear();
      if (restarts == 2) options.limit = 0;
      on_restart();
      continue;
    }
    page->items().ForEachItem(on_item);
    if (page->continue_token.empty()) return page->resource_version;
    options.continue_token = page->continue_token;
  }
}

}  // namespace mayfly::kube
