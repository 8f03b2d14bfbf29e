#include "runtime/worker/module.h"

#include <dlfcn.h>
#include <string.h>

namespace mayfly::worker {
namespace {

std::string Names(const mayfly_module& module) {
  std::string names;
  for (std::uint32_t i = 0; i < module.handler_count; ++i) {
    if (i != 0) names += ", ";
    names += module.handlers[i]->name;
  }
  return names;
}

bool Valid(const mayfly_module& module, std::string& problem) {
  if (module.handler_count == 0 || module.handlers == nullptr) {
    problem = "mayfly_module_v1 describes no handler";
    return false;
  }
  for (std::uint32_t i = 0; i < module.handler_count; ++i) {
    const mayfly_handler* handler = module.handlers[i];
    if (handler == nullptr || !MAYFLY_HAS(handler, handle) || handler->handle == nullptr ||
        handler->name == nullptr) {
      problem =
          "handler number " + std::to_string(i) + " of the module lacks its size, name or handle function";
      return false;
    }
  }
  return true;
}

std::string Sentence(const char* what, int result, const mayfly_error& error) {
  if (!error.text.empty()) return std::string(what) + " failed: " + error.text;
  return std::string(what) + " returned " + std::to_string(result) + " (" + strerror(result) +
         ") without set_error";
}

}  // namespace

bool Module::Map(const std::string& path, const std::string& handler, const mayfly_host& host,
                 std::string& reason, std::string& problem) {
  reason = "LoadFailed";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* error = dlerror();
    problem = error != nullptr ? error : "dlopen failed without saying why";
    return false;
  }
  using Describe = const mayfly_module* (*)(const mayfly_host*);
  const auto describe = reinterpret_cast<Describe>(dlsym(library, "mayfly_module_v1"));
  if (describe == nullptr) {
    problem = "the module does not export mayfly_module_v1: define it with MAYFLY_EXPORT and C linkage";
    return false;
  }
  const mayfly_module* module = describe(&host);
  reason = "AbiMismatch";
  if (module == nullptr || !MAYFLY_HAS(module, handlers)) {
    problem = "mayfly_module_v1 returned no description, or one that is too small";
    return false;
  }
  if (module->abi_version != MAYFLY_ABI_VERSION) {
    problem = "the module was built for ABI version " + std::to_string(module->abi_version) +
              ", this runtime serves version " + std::to_string(MAYFLY_ABI_VERSION) +
              ": build it with a matching mayfly/function.h";
    return false;
  }
  if (!Valid(*module, problem)) return false;
  reason = "HandlerNotFound";
  if (handler.empty()) {
    if (module->handler_count != 1) {
      problem = "the module has several handlers (" + Names(*module) + "): say which with spec.handler";
      return false;
    }
    handler_ = module->handlers[0];
    return true;
  }
  for (std::uint32_t i = 0; i < module->handler_count; ++i) {
    if (handler == module->handlers[i]->name) handler_ = module->handlers[i];
  }
  if (handler_ == nullptr) {
    problem = "the module has no handler '" + handler + "'; it has: " + Names(*module);
    return false;
  }
  return true;
}

bool Module::Create(const mayfly_host& host, const std::string& config_json, std::string& reason,
                    std::string& problem) {
  if (!MAYFLY_HAS(handler_, create) || handler_->create == nullptr) return true;
  mayfly_error error;
  const int result = handler_->create(&host, {config_json.data(), config_json.size()}, &instance_, &error);
  if (result == 0) return true;
  reason = "CreateFailed";
  problem = Sentence("create()", result, error);
  return false;
}

bool Module::AfterFork(std::string& problem) {
  if (!MAYFLY_HAS(handler_, after_fork) || handler_->after_fork == nullptr) return true;
  mayfly_error error;
  const int result = handler_->after_fork(instance_, &error);
  if (result == 0) return true;
  problem = Sentence("after_fork()", result, error);
  return false;
}

int Module::Handle(const mayfly_event& event, mayfly_response* response) {
  return handler_->handle(instance_, &event, response);
}

void Module::Destroy() {
  if (MAYFLY_HAS(handler_, destroy) && handler_->destroy != nullptr) handler_->destroy(instance_);
}

}  // namespace mayfly::worker
