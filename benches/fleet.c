/* Measures the cost of connected, idle clients: fleet_<library> <port> <clients, at most> */

#include "mqtt.h"

#include "bench.h"

#include <dirent.h>
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { IDLE_S = 5 };

struct cost {
    double resident_kib, heap_kib;
    unsigned descriptors, threads;
};

static unsigned entries(const char *path)
{
    DIR *directory = opendir(path);
    unsigned count = 0;

    need(directory != NULL, path);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2;
}

static struct cost cost(void)
{
    struct cost cost;
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    need(file != NULL && fscanf(file, "%*d %ld", &pages) == 1, "/proc/self/statm");
    fclose(file);
    cost.resident_kib = (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
    cost.heap_kib = (double)mallinfo2().uordblks / 1024;
    cost.descriptors = entries("/proc/self/fd") - 1; /* without the one that reads the directory */
    cost.threads = entries("/proc/self/task");
    return cost;
}

/* The number of times that the threads of this process went to sleep. */
static double sleeps(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_nvcsw;
}

int main(int argc, char **argv)
{
    static const unsigned counts[] = {1, 100, 1000};
    unsigned clients = 0;
    struct timespec idle = {IDLE_S, 0};
    struct cost none, one = {0}, all = {0};
    double before = 0;

    need(argc == 3, "usage: fleet_<library> <port> <clients>");
    none = cost();
    for (size_t i = 0; i < sizeof counts / sizeof *counts && counts[i] <= (unsigned)atoi(argv[2]); i++) {
        char measure[32];

        while (clients < counts[i]) {
            client_open(atoi(argv[1]), NULL);
            client_connect();
            clients++;
        }
        all = cost();
        if (i == 0) {
            one = all;
            before = sleeps();
            while (nanosleep(&idle, &idle) != 0)
                continue;
            report("idle", (sleeps() - before - 1) / IDLE_S);
        }
        snprintf(measure, sizeof measure, "resident_%u", clients);
        report(measure, all.resident_kib);
        snprintf(measure, sizeof measure, "descriptors_%u", clients);
        report(measure, all.descriptors - none.descriptors);
        snprintf(measure, sizeof measure, "threads_%u", clients);
        report(measure, all.threads);
    }
    report("each_resident", (all.resident_kib - one.resident_kib) / (clients - 1));
    report("each_heap", (all.heap_kib - one.heap_kib) / (clients - 1));
    return 0;
}
