/*
 * Drives Paho's asynchronous client as told on standard input, one command a line, and says on standard output what
 * happens. Each command is answered by one line; what Paho calls back comes as lines that begin with @ and the number
 * of the client, at any moment. The tests build it with the sanitizers.
 */
#define _GNU_SOURCE
#include "client.h"
#include "link.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The loop of all clients: one thread. */

static int wakes[2];
static _Atomic int ending;

void wake(void)
{
	while (write(wakes[1], "", 1) < 0 && errno == EINTR)
		;
}

static void* loop(void* unused)
{
	static struct pollfd polled[CLIENTS + 1];
	static char more[CLIENTS];
	char bytes[512];

	(void)unused;
	while (!ending)
	{
		int again = 0, count;

		pthread_mutex_lock(&lock);
		count = highest;
		polled[0] = (struct pollfd){wakes[0], POLLIN, 0};
		for (int i = 0; i < count; ++i)
		{
			polled[i + 1].fd = -1;
			if (clients[i].handle && clients[i].link)
			{
				enos_paho_enter(clients[i].handle);
				polled[i + 1].fd = enos_link_interest(clients[i].link, &polled[i + 1].events);
				enos_paho_leave(clients[i].handle);
			}
			again |= more[i];
		}
		pthread_mutex_unlock(&lock);
		poll(polled, count + 1, again ? 0 : 50);
		if (polled[0].revents && read(wakes[0], bytes, sizeof(bytes)) < 0)
			continue;
		pthread_mutex_lock(&lock);
		for (int i = 0; i < count; ++i)
			if (clients[i].handle && clients[i].link)
			{
				enos_paho_enter(clients[i].handle);
				more[i] = (char)enos_paho_step(clients[i].handle, polled[i + 1].fd >= 0 && polled[i + 1].revents, 100);
				enos_paho_leave(clients[i].handle);
			}
			else
				more[i] = 0;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

/* Makes, connects and destroys clients as fast as it can, beside whatever else goes on. */
static _Atomic int churning;

static void* churn(void* first)
{
	struct client* client = first;
	int port = client->port;

	while (churning)
	{
		if (create(client, port, 0) == MQTTASYNC_SUCCESS)
			connect_client(client, 5, 60);
		sched_yield();
		destroy(client);
	}
	return NULL;
}

static int command(const char* word, struct client* client, const char* text, int a, int b)
{
	static pthread_t churner;

	if (strcmp(word, "create") == 0)
		say("rc %d", create(client, a, 0));
	else if (strcmp(word, "secure") == 0)
		say("rc %d", create(client, a, 1));
	else if (strcmp(word, "fault") == 0)
		say_fault(client);
	else if (strcmp(word, "limit") == 0)
		say("rc %d", (set_limit(client, (size_t)a), 0));
	else if (strcmp(word, "interface") == 0)
		say("rc %d", (snprintf(client->interface, sizeof(client->interface), "%s", text), 0));
	else if (strcmp(word, "burst") == 0)
		say("rc %d", (client->burst = a, 0));
	else if (strcmp(word, "connect") == 0)
		say("rc %d", connect_client(client, a ? a : 30, b ? b : 60));
	else if (strcmp(word, "storm") == 0) /* connects a clients at once, all to port b */
	{
		int rc = 0;

		for (int i = 0; i < a && rc == 0; ++i)
			if ((rc = create(&client[i], b, 0)) == 0)
				rc = connect_client(&client[i], 60, 60);
		say("rc %d", rc);
	}
	else if (strcmp(word, "reads") == 0)
		say("count %d", reads);
	else if (strcmp(word, "threads") == 0)
		say("count %d", count_threads());
	else if (strcmp(word, "close") == 0) /* a descriptor */
		say("rc %d", close(a));
	else if (strcmp(word, "publish") == 0)
		say("rc %d", publish_now(client, a, b));
	else if (strcmp(word, "subscribe") == 0)
		say("rc %d", subscribe(client, a, 0));
	else if (strcmp(word, "unsubscribe") == 0)
		say("rc %d", subscribe(client, a, 1));
	else if (strcmp(word, "disconnect") == 0)
		say("rc %d", disconnect(client, a));
	else if (strcmp(word, "break") == 0)
		say("count %d", each_descriptor(break_writing, client->port));
	else if (strcmp(word, "narrow") == 0) /* what is written at once goes out in parts */
		say("count %d", each_descriptor(narrow, client->port));
	else if (strcmp(word, "destroy") == 0)
	{
		long start = now_ms(CLOCK_MONOTONIC);

		destroy(client);
		say("ms %ld", now_ms(CLOCK_MONOTONIC) - start);
	}
	else if (strcmp(word, "churn") == 0) /* 1 starts, 0 ends */
	{
		if ((churning = a) != 0)
		{
			client->port = b;
			pthread_create(&churner, NULL, churn, client);
		}
		else
			pthread_join(churner, NULL);
		say("rc 0");
	}
	else if (strcmp(word, "descriptors") == 0)
		say("count %d", each_descriptor(any_descriptor, 0));
	else if (strcmp(word, "inherited") == 0)
		say("count %d", each_descriptor(survives_exec, 0));
	else if (strcmp(word, "allow") == 0) /* the number of descriptors */
	{
		struct rlimit limit;

		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = a ? (rlim_t)a : limit.rlim_max;
		say("rc %d", setrlimit(RLIMIT_NOFILE, &limit));
	}
	else if (strcmp(word, "cpu") == 0)
		say("ms %ld", now_ms(CLOCK_PROCESS_CPUTIME_ID));
	else if (strcmp(word, "largest") == 0)
		say("bytes %zu", largest);
	else if (strcmp(word, "secrets") == 0)
		say("count %d", count_secrets());
	else if (strcmp(word, "skew") == 0)
		say("rc %d", (skew = a, 0));
	else
		return 0;
	return 1;
}

int main(void)
{
	char line[256];
	pthread_t looping;

	if (pipe2(wakes, O_CLOEXEC | O_NONBLOCK) != 0 || pthread_create(&looping, NULL, loop, NULL) != 0)
		return 1;
	while (fgets(line, sizeof(line), stdin))
	{
		char word[32] = "", text[64] = "";
		int index = 0, a = 0, b = 0;

		sscanf(line, "%31s %d %d %d", word, &index, &a, &b);
		sscanf(line, "%*s %*d %63s", text);
		if (strcmp(word, "quit") == 0)
			break;
		if (index < 0 || index >= CLIENTS || !command(word, &clients[index], text, a, b))
			say("unknown: %s", word);
	}
	for (int i = 0; i < CLIENTS; ++i)
		if (clients[i].handle)
			destroy(&clients[i]);
	ending = 1;
	wake();
	pthread_join(looping, NULL);
	say("bye");
	return 0;
}
