/* Measures a client in the program's own poll() loop: polled_<library> <port> */

#include "publishing.h"

int main(int argc, char **argv)
{
    need(argc == 2, "usage: polled_<library> <port>");
    client_open(atoi(argv[1]), NULL);
    client_connect();
    measure_publishing("polled_1", "polled_1_cpu", 1, 1, MESSAGES / 10);
    measure_publishing("polled_10", "polled_10_cpu", 1, 10, MESSAGES);
    measure_publishing("polled_100", "polled_100_cpu", 1, 100, MESSAGES);
    client_disconnect();
    return 0;
}
