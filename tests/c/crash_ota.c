/* The device of c_examples/15_ota.c, which downloads and installs a firmware, or kills itself before.
 *
 * It passes a point before and after each storage call, each change of a file by its sink, and in each event. With
 * CRASH_AT=n in the environment it raises SIGKILL at the n-th point, counted over its restart. It ends at
 * SIGTERM. */
#define _POSIX_C_SOURCE 200809L

#include "device.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static long crash_at, points;
static volatile sig_atomic_t stops;
static enos_client *volatile the_client;

static long pass_point(long result)
{
    /* The sink and the loop are on threads of their own. */
    if (__sync_add_and_fetch(&points, 1) == crash_at)
        raise(SIGKILL);
    return result;
}

/* A new process goes on counting. */
static void carry_points(void)
{
    char text[24];

    sprintf(text, "%ld", points);
    setenv("POINTS", text, 1);
}

#define pwrite(fd, data, len, at) (pass_point(0), pass_point(pwrite(fd, data, len, at)))
#define ftruncate(fd, len) (pass_point(0), pass_point(ftruncate(fd, len)))
#define fdatasync(fd) (pass_point(0), pass_point(fdatasync(fd)))
#define fsync(fd) (pass_point(0), pass_point(fsync(fd)))
#define rename(from, to) (pass_point(0), pass_point(rename(from, to)))
#define unlink(path) (pass_point(0), pass_point(unlink(path)))
#define execvp(path, argv) (carry_points(), execvp(path, argv))
#define on_event example_event
#define store example_store
#define create example_create
#define main example_main

#undef _POSIX_C_SOURCE
#include "../../c_examples/15_ota.c"

#undef on_event
#undef store
#undef create
#undef main

static void *the_device;

int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, enos_last_error());
    return 1;
}

void tell(const char *device_key, const enos_event *event)
{
    printf("%s %s %d %s\n", device_key, enos_event_name(event->type), (int)event->status, event->detail);
    fflush(stdout);
}

static int32_t watch(enum call call, int after, const char *key)
{
    (void)call, (void)after, (void)key;
    return (int32_t)pass_point(0);
}

static void hear(void *ctx, enos_client *client, const enos_event *event)
{
    (void)ctx;
    example_event(the_device, client, event);
    pass_point(0);
}

static void on_signal(int number)
{
    (void)number;
    stops = 1;
    /* The signal may come just before the loop waits. */
    if (the_client != NULL)
        enos_client_wake(the_client);
}

/* In place of example.c. */
int run_example(int argc, char **argv, enos_event_cb on_event, void (*each_second)(void *ctx, enos_client *client),
                void *ctx)
{
    enos_config *config = configure(argv[1], argv[2], argv[3], hear);
    enos_client *client;

    (void)argc, (void)on_event, (void)each_second;
    the_device = ctx;
    signal(SIGTERM, on_signal);
    set_directory(config, argv[4], watch);
    MUST(enos_config_set_device_secret(config, getenv("SECRET"), ENOS_NUL_TERMINATED));
    MUST(enos_config_set_firmware_version(config, getenv("ENOS_FIRMWARE_VERSION")));
    MUST(enos_config_set_reconnect(config, 100, 500));
    MUST(enos_config_set_connect_budget(config, 0, 1000, 0));
    the_client = client = create(config);
    MUST(enos_client_connect(client));
    while (!stops)
        MUST(enos_client_loop(client, ENOS_FOREVER));
    the_client = NULL;
    end(client);
    return 0;
}

int main(int argc, char **argv)
{
    const char *at = getenv("CRASH_AT"), *before = getenv("POINTS");
    int result;

    crash_at = at ? strtol(at, NULL, 10) : 0;
    points = before ? strtol(before, NULL, 10) : 0;
    alarm(60);
    result = example_main(argc, argv);
    printf("points %ld\n", points);
    return result;
}
