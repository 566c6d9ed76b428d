/*
 * Drives Paho's asynchronous client as told on standard input, one command a line, and says on standard output what
 * happens. Each command is answered by one line; what Paho calls back comes as lines that begin with @ and the number
 * of the client, at any moment. The tests build it with the sanitizers.
 */
#define _GNU_SOURCE
#include "MQTTAsync.h"
#include "link.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CLIENTS 2048

static struct client
{
	MQTTAsync handle;
	void* link;
	int port;
	int topics; /* of the last subscribe */
	int burst;  /* QoS 1 messages to publish as soon as connected */
	int secure; /* over TLS */
	size_t limit;
	char interface[32];
} clients[CLIENTS];

/* Handles come and go with this lock; the thread that loops them all holds it. Before a client's own. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int highest; /* the clients that were ever made are below */

static void say(const char* format, ...) __attribute__((format(printf, 1, 2)));
static void wake(void);

static void say(const char* format, ...)
{
	char line[256];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	line[length++] = '\n';
	while (write(1, line, length) < 0 && errno == EINTR) /* one call, so that lines stay whole */
		;
}

/* What Paho calls back. */

static int number(void* context)
{
	return (int)((struct client*)context - clients);
}

static void on_published(void* context, MQTTAsync_successData* data)
{
	const char* topic = data->alt.pub.destinationName;

	/* reads what it is given, for the sanitizer to see */
	say("@%d published %d topic %d payload %d", number(context), data->token, topic ? (int)strlen(topic) : -1,
			data->alt.pub.message.payloadlen);
}

static void on_not_published(void* context, MQTTAsync_failureData* data)
{
	say("@%d unpublished %d code %d", number(context), data->token, data->code);
}

static int publish(struct client* client, int qos, int length)
{
	MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
	char* payload = calloc(1, length + 1);
	int rc;

	options.onSuccess = on_published;
	options.onFailure = on_not_published;
	options.context = client;
	rc = MQTTAsync_send(client->handle, "out/topic", length, payload, qos, 0, &options);
	explicit_bzero(payload, length);
	free(payload);
	return rc;
}

static void on_connected(void* context, MQTTAsync_successData* data)
{
	struct client* client = context;

	(void)data;
	for (int i = 0; i < client->burst; ++i)
		publish(client, 1, 1000);
	say("@%d up", number(context));
}

static void on_refused(void* context, MQTTAsync_failureData* data)
{
	struct client* client = context;

	say("@%d refused code %d sent %d", number(context), data->code, enos_link_sent(client->link));
}

static void on_lost(void* context, char* cause)
{
	struct client* client = context;

	(void)cause;
	say("@%d lost sent %d", number(context), enos_link_sent(client->link));
}

static int on_message(void* context, char* topic, int topic_length, MQTTAsync_message* message)
{
	say("@%d message topic %d payload %d qos %d", number(context), topic_length ? topic_length : (int)strlen(topic),
			message->payloadlen, message->qos);
	MQTTAsync_freeMessage(&message);
	MQTTAsync_free(topic);
	return 1;
}

static void on_subscribed(void* context, MQTTAsync_successData* data)
{
	struct client* client = context;
	int sum = 0;

	if (client->topics == 1)
		sum = data->alt.qos;
	else
		for (int i = 0; i < client->topics; ++i)
			sum += data->alt.qosList[i];
	say("@%d subscribed %d", number(context), sum);
}

static void on_unsubscribed(void* context, MQTTAsync_successData* data)
{
	say("@%d unsubscribed %d", number(context), data->token);
}

static void on_not_subscribed(void* context, MQTTAsync_failureData* data)
{
	say("@%d unanswered %d code %d", number(context), data->token, data->code);
}

static void on_disconnected(void* context, MQTTAsync_successData* data)
{
	(void)data;
	say("@%d disconnected", number(context));
}

/* The commands. */

static int create_at(struct client* client, int port, int secure)
{
	MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;
	MQTTAsync handle = NULL;
	char id[32];
	int rc;

	options.struct_version = 1;
	options.MQTTVersion = MQTTVERSION_3_1_1;
	options.maxBufferedMessages = 1000;
	snprintf(id, sizeof(id), "client-%d", (int)(client - clients));
	rc = MQTTAsync_createWithOptions(&handle, "tcp://link", id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
	if (rc == MQTTASYNC_SUCCESS)
		rc = MQTTAsync_setCallbacks(handle, client, on_lost, on_message, NULL);
	pthread_mutex_lock(&lock);
	client->handle = handle;
	client->port = port;
	client->secure = secure;
	client->burst = 0;
	client->limit = 0;
	client->interface[0] = 0;
	if (number(client) >= highest)
		highest = number(client) + 1;
	pthread_mutex_unlock(&lock);
	return rc;
}

static int create(struct client* client, int port)
{
	return create_at(client, port, 0);
}

static void say_fault(struct client* client)
{
	enos_tls_words words;
	int kind;

	enos_paho_enter(client->handle);
	kind = enos_link_fault(client->link, &words);
	enos_paho_leave(client->handle);
	say("fault %d error %d handshake %d reason %d", kind, words.error, words.handshake, words.reason);
}

/* A new connection has a new link. */
static int connect_client(struct client* client, int timeout, int keepalive)
{
	MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
	char password[120], address[32];
	void* before = client->link;
	int rc;

	secret(password, sizeof(password));
	options.MQTTVersion = MQTTVERSION_3_1_1;
	options.cleansession = 1;
	options.keepAliveInterval = keepalive;
	options.connectTimeout = timeout;
	options.maxInflight = 100;
	options.username = "user";
	options.binarypwd.data = password;
	options.binarypwd.len = sizeof(password);
	options.onSuccess = on_connected;
	options.onFailure = on_refused;
	options.context = client;
	snprintf(address, sizeof(address), "127.0.0.1:%d", client->port);
	pthread_mutex_lock(&lock);
	enos_paho_enter(client->handle);
	client->link = enos_link_new(address, client->interface, client->secure, keepalive, client->limit);
	enos_paho_set_link(client->handle, enos_link_table(), client->link);
	if (before)
		enos_link_free(before);
	if ((rc = MQTTAsync_connect(client->handle, &options)) == MQTTASYNC_SUCCESS)
		enos_paho_pump(client->handle);
	enos_paho_leave(client->handle);
	pthread_mutex_unlock(&lock);
	explicit_bzero(password, sizeof(password));
	wake();
	return rc;
}

static void destroy(struct client* client)
{
	pthread_mutex_lock(&lock);
	MQTTAsync_destroy(&client->handle);
	if (client->link)
		enos_link_free(client->link);
	client->link = NULL;
	pthread_mutex_unlock(&lock);
}

/* The loop of all clients: one thread. */

static int wakes[2];
static _Atomic int ending;

static void wake(void)
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

/* A call of Paho's by the thread that takes commands. */
static int done(struct client* client, int rc)
{
	enos_paho_pump(client->handle);
	enos_paho_leave(client->handle);
	wake();
	return rc;
}

static int publish_now(struct client* client, int qos, int length)
{
	enos_paho_enter(client->handle);
	return done(client, publish(client, qos, length));
}

static int subscribe(struct client* client, int topics, int remove)
{
	int rc;

	static char* const names[] = {"in/one", "in/two", "in/three", "in/four"};
	static const int qos[] = {1, 1, 1, 1};
	MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;

	options.onSuccess = remove ? on_unsubscribed : on_subscribed;
	options.onFailure = on_not_subscribed;
	options.context = client;
	if (!remove)
		client->topics = topics;
	enos_paho_enter(client->handle);
	rc = remove ? MQTTAsync_unsubscribeMany(client->handle, topics, names, &options)
		: MQTTAsync_subscribeMany(client->handle, topics, names, qos, &options);
	return done(client, rc);
}

static int disconnect(struct client* client, int timeout)
{
	MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;

	options.timeout = timeout;
	options.onSuccess = on_disconnected;
	options.context = client;
	enos_paho_enter(client->handle);
	return done(client, MQTTAsync_disconnect(client->handle, &options));
}

/* Makes, connects and destroys clients as fast as it can, beside whatever else goes on. */
static _Atomic int churning;

static void* churn(void* first)
{
	struct client* client = first;
	int port = client->port;

	while (churning)
	{
		if (create(client, port) == MQTTASYNC_SUCCESS)
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
		say("rc %d", create(client, a));
	else if (strcmp(word, "secure") == 0)
		say("rc %d", create_at(client, a, 1));
	else if (strcmp(word, "fault") == 0)
		say_fault(client);
	else if (strcmp(word, "limit") == 0)
	{
		client->limit = (size_t)a;
		if (client->link)
		{
			enos_paho_enter(client->handle);
			enos_link_limit(client->link, client->limit);
			enos_paho_leave(client->handle);
		}
		say("rc 0");
	}
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
			if ((rc = create(&client[i], b)) == 0)
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
