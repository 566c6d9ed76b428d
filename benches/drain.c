/* Measures how fast messages in memory are sent, as many as a backlog in backlog.c: drain_<library> <port> */

#include "bench.h"
#include "mqtt.h"

enum { MESSAGES = 100000, WINDOW = 100 };

int main(int argc, char **argv)
{
    uint64_t start;

    need(argc == 2, "usage: drain_<library> <port>");
    client_open(atoi(argv[1]), NULL);
    client_connect();
    start = now_ns();
    client_publish(1, WINDOW, MESSAGES);
    report("drain", MESSAGES / ((double)(now_ns() - start) / 1e9));
    client_disconnect();
    return 0;
}
