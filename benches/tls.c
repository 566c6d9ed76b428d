/* Measures a client library over TLS with client certificates:
 *
 *     tls_<library> <port> <directory of certificates> <name of the measure of handshakes>, or memory
 */

#include "mqtt.h"

#include "bench.h"

#include <string.h>
#include <unistd.h>

enum { HANDSHAKES = 300, CLIENTS = 100 };

/* The time from the call to CONNACK, with full handshakes. This many, or as many as fit into 3 seconds. */
static void measure_handshakes(int port, const char *certificates, const char *measure)
{
    static double us[HANDSHAKES];
    char cpu_measure[64];
    uint64_t cpu, end;
    size_t count = 0;

    client_open(port, certificates);
    client_connect();
    client_disconnect();
    cpu = cpu_ns();
    end = now_ns() + 3000000000u;
    while (count < HANDSHAKES && now_ns() < end) {
        uint64_t start = now_ns();

        us[count++] = (double)(client_connect() - start) / 1e3;
        client_disconnect();
    }
    snprintf(cpu_measure, sizeof cpu_measure, "%s_cpu", measure);
    report(cpu_measure, (double)(cpu_ns() - cpu) / 1e3 / (double)count);
    report(measure, median(us, count));
}

static double resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    need(file != NULL && fscanf(file, "%*d %ld", &pages) == 1, "/proc/self/statm");
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* The first client includes the cost of the libraries and of shared data; the others show the cost of a client. */
static void measure_memory(int port, const char *certificates)
{
    double one = 0;

    for (int i = 0; i < CLIENTS; i++) {
        client_open(port, certificates);
        client_connect();
        if (i == 0)
            one = resident_kib();
    }
    report("tls_memory", (resident_kib() - one) / (CLIENTS - 1));
}

int main(int argc, char **argv)
{
    need(argc == 4, "usage: tls_<library> <port> <directory of certificates> <measure>");
    if (strcmp(argv[3], "memory") == 0)
        measure_memory(atoi(argv[1]), argv[2]);
    else
        measure_handshakes(atoi(argv[1]), argv[2], argv[3]);
    return 0;
}
