// The pod of these tests, one static program:
//
//   probe                          answers any HTTP request on port 8080 with its host name, a log line for each
//   probe resolve NAME             asks the name server of /etc/resolv.conf for the address of a full name
//   probe get ADDRESS PORT         prints the answer to GET /
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int fail(const char* what) {
  perror(what);
  return 1;
}

static int serve(void) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
  if (bind(listener, (const struct sockaddr*)&address, sizeof address) != 0) return fail("bind");
  if (listen(listener, 64) != 0) return fail("listen");
  printf("%s listens\n", host);
  for (;;) {
    const int client = accept(listener, NULL, NULL);
    if (client < 0) continue;
    char request[2048];
    if (read(client, request, sizeof request) > 0) {
      char answer[512];
      const int size = snprintf(answer, sizeof answer, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                                strlen(host), host);
      if (write(client, answer, (size_t)size) == size) printf("%s answered\n", host);
    }
    close(client);
  }
}

static int get(const char* host, const char* port) {
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  inet_pton(AF_INET, host, &address.sin_addr);
  if (connect(server, (const struct sockaddr*)&address, sizeof address) != 0) return fail("connect");
  const char request[] = "GET / HTTP/1.0\r\n\r\n";
  if (write(server, request, sizeof request - 1) < 0) return fail("write");
  char answer[2048];
  for (ssize_t size; (size = read(server, answer, sizeof answer)) > 0;)
    fwrite(answer, 1, (size_t)size, stdout);
  return 0;
}

// A question for one A record, and the first such record of the answer.
static int resolve(const char* name) {
  char line[256], server[64] = "";
  FILE* file = fopen("/etc/resolv.conf", "r");
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "nameserver %63s", server) == 1) break;
  }
  unsigned char packet[512] = {0x12, 0x34, 0x01, 0x00, 0, 1};
  size_t size = 12;
  for (const char* label = name; *label;) {
    const size_t length = strcspn(label, ".");
    if (length == 0 || length > 63 || size + length + 6 > sizeof packet) return fail("name");
    packet[size++] = (unsigned char)length;
    memcpy(packet + size, label, length);
    size += length;
    label += length + (label[length] == '.');
  }
  memcpy(packet + size, "\0\0\1\0\1", 5);
  size += 5;
  const int link = socket(AF_INET, SOCK_DGRAM, 0);
  const struct timeval patience = {.tv_sec = 5};
  setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
  inet_pton(AF_INET, server, &address.sin_addr);
  if (sendto(link, packet, size, 0, (const struct sockaddr*)&address, sizeof address) < 0)
    return fail("sendto");
  const ssize_t count = recv(link, packet, sizeof packet, 0);
  if (count < 12) return fail("recv");
  if ((packet[3] & 15) != 0 || packet[7] == 0) {
    fprintf(stderr, "%s says no: code %d\n", server, packet[3] & 15);
    return 1;
  }
  char text[INET_ADDRSTRLEN];  // the record's data are the last 4 bytes before any further section
  for (ssize_t at = (ssize_t)size; at + 14 <= count; ++at) {
    if (memcmp(packet + at, "\0\1\0\1", 4) == 0 && packet[at + 8] == 0 && packet[at + 9] == 4) {
      puts(inet_ntop(AF_INET, packet + at + 10, text, sizeof text));
      return 0;
    }
  }
  return fail("no address");
}

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGTERM, _exit);  // a process with the number 1 ignores it otherwise
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp(argv[1], "resolve") == 0) return resolve(argv[2]);
  if (argc == 4 && strcmp(argv[1], "get") == 0) return get(argv[2], argv[3]);
  return serve();
}
