// Greets ?name=…, or the body of a POST.
#include <mayfly/function.hpp>
#include <string>

namespace {

mayfly::Reply Hello(const mayfly::Event& event) {
  std::string name = event.QueryParameter("name").value_or(std::string(event.body()));
  if (name.empty()) name = "world";
  return mayfly::Reply::Text("Hello, " + name + "!\n");
}

}  // namespace

MAYFLY_FUNCTION("hello", Hello)
