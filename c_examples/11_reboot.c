/*
 * A command that restarts the board. Its answer must be out before the board goes down: an answer that is only queued
 * dies with the process. So the program answers, waits for DELIVERED, logs out, and restarts.
 *
 *     ENOS_PRODUCT_SECRET=... 11_reboot SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * If the power fails before the answer is out, EnOS sends the command again at the next login. A program that restarts
 * the board at each such command would do so for ever. The library marks the command: enos_command_was_interrupted().
 * This program then answers only, because the board has restarted already. It ends at SIGINT or SIGTERM.
 */
#define _POSIX_C_SOURCE 200809L

#include "example.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct device {
    const char *key;
    uint64_t answer; /* the token of the answer to wait for; 0: none */
    int reboots;
} device;

static void on_reboot(device *self, enos_command *command)
{
    int was_interrupted = enos_command_was_interrupted(command);

    if (self->answer != 0) {
        enos_command_reply(command, 2003, NULL, "it restarts already", NULL);
    } else if (enos_command_reply(command, 200, NULL, NULL, &self->answer) != ENOS_OK) {
        fail("not answered, so it does not restart");
    } else if (was_interrupted) {
        printf("the board has restarted since this command came: only answered\n");
        self->answer = 0;
    } else {
        printf("answered; it restarts when the answer is out\n");
    }
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    device *self = ctx;

    (void)client;
    tell(self->key, event);
    if (event->type == ENOS_EVENT_COMMAND && enos_command_get_type(event->command) == ENOS_COMMAND_SERVICE &&
        strcmp(enos_command_name(event->command), "reboot") == 0) {
        on_reboot(self, event->command);
    } else if (event->type == ENOS_EVENT_DELIVERED && self->answer != 0 && event->token == self->answer) {
        self->answer = 0;
        self->reboots = event->status == ENOS_OK;
        if (self->reboots) {
            printf("the answer is out\n");
            kill(getpid(), SIGTERM); /* ends the loop in order, as an init system does */
        }
    }
}

int main(int argc, char **argv)
{
    device self = {.key = argc > 3 ? argv[3] : NULL};
    int result = run_example(argc, argv, on_event, NULL, &self);

    if (result == 0 && self.reboots) {
        printf("restart\n");
        fflush(stdout);
        execvp(argv[0], argv); /* in place of reboot(2) */
        perror("restart");
        return 1;
    }
    return result;
}
