// Threads with names and owners.
//
// The name is what debuggers, `top -H` and crash reports show. The owner destroys the std::jthread and so
// stops and joins it; nothing is detached. A body must return soon after its stop token says so.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <thread>

namespace mayfly::base {

// Names the calling thread. Linux keeps the first 15 bytes.
void SetThreadName(const std::string& name);

// Starts `body` on a thread named `name`, with every signal blocked: signals are the main thread's business.
std::jthread StartThread(std::string name, std::function<void(std::stop_token)> body);

}  // namespace mayfly::base
