// Answers with a greeting: for ?name=…, or for the body of a POST.
#include <mayfly/function.hpp>
#include <string>

namespace {

mayfly::Reply Greet(const mayfly::Event& event) {
  std::string name = event.QueryParameter("name").value_or(std::string(event.body()));
  if (name.empty()) name = "world";
  mayfly::Log::Info("greeting ", name);
  return mayfly::Reply::Text("Hello, " + name + "!\n");
}

}  // namespace

MAYFLY_FUNCTION("@NAME@", Greet)
