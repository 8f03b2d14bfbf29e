// Tells a test of each event, over TCP, and does as it is told: see tests/integration/ledger.h. Config: {"port": N}.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test_module.h"

static int create(const mayfly_host* given, mayfly_str config, void** instance, mayfly_error* error) {
  (void)given, (void)error;
  char copy[256] = "";
  memcpy(copy, config.data, config.size < sizeof(copy) - 1 ? config.size : sizeof(copy) - 1);
  const char* at = strstr(copy, "\"port\":");
  *instance = (void*)(at ? strtol(at + 7, NULL, 10) : 0);
  return 0;
}

static int handle(void* instance, const mayfly_event* event, mayfly_response* response) {
  struct sockaddr_in address = {0};
  address.sin_family = AF_INET;
  address.sin_port = htons((uint16_t)(long)instance);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  char line[1024];
  const int size =
      snprintf(line, sizeof(line), "%.*s %u %.*s\n", (int)event->id.size, event->id.data, event->attempt,
               (int)(event->body_size < 256 ? event->body_size : 256), (const char*)event->body);
  const int peer = socket(AF_INET, SOCK_STREAM, 0);
  char answer[16] = "";
  ssize_t got = -1;
  if (peer >= 0 && connect(peer, (struct sockaddr*)&address, sizeof(address)) == 0 &&
      send(peer, line, (size_t)size, MSG_NOSIGNAL) == size)
    got = recv(peer, answer, sizeof(answer) - 1, 0);
  if (peer >= 0) close(peer);
  if (got <= 0) return host->fail(response, text("the test does not answer"));
  if (strncmp(answer, "done", 4) == 0) return reply_text(response, "done");
  return host->fail(response, text("the test says so"));
}

TEST_MODULE(create, NULL, handle, NULL, 0);
