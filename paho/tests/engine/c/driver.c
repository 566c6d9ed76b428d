/*
 * Drives Paho's asynchronous client as told on standard input, one command a line, and says on standard output what
 * happens. Each command is answered by one line; what Paho calls back comes as lines that begin with @ and the number
 * of the client, at any moment. The tests build it with the sanitizers.
 */
#define _GNU_SOURCE
#include "MQTTAsync.h"
#include "process.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#if defined(OPENSSL)
#include <openssl/ssl.h>
#endif

#define CLIENTS 2048

static struct client
{
	MQTTAsync handle;
	int port;
	int topics; /* of the last subscribe */
	int burst;  /* QoS 1 messages to publish as soon as connected */
	int secure; /* over TLS */
} clients[CLIENTS];

static void say(const char* format, ...) __attribute__((format(printf, 1, 2)));

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

	say("@%d refused code %d sent %d", number(context), data->code, enos_paho_connect_sent(client->handle));
}

static void on_lost(void* context, char* cause)
{
	struct client* client = context;

	(void)cause;
	say("@%d lost sent %d", number(context), enos_paho_connect_sent(client->handle));
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

static int create_at(struct client* client, const char* scheme, int port)
{
	MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;
	char uri[64], id[32];
	int rc;

	options.struct_version = 1;
	options.MQTTVersion = MQTTVERSION_3_1_1;
	options.maxBufferedMessages = 1000;
	snprintf(uri, sizeof(uri), "%s://127.0.0.1:%d", scheme, port);
	snprintf(id, sizeof(id), "client-%d", (int)(client - clients));
	rc = MQTTAsync_createWithOptions(&client->handle, uri, id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
	client->port = port;
	client->burst = 0;
	if (rc == MQTTASYNC_SUCCESS)
		rc = MQTTAsync_setCallbacks(client->handle, client, on_lost, on_message, NULL);
	return rc;
}

static int create(struct client* client, int port)
{
	client->secure = 0;
	return create_at(client, "tcp", port);
}

#if defined(OPENSSL)
/* With a TLS that trusts anybody: it is Paho that is tested. */
static int create_secure(struct client* client, int port)
{
	SSL_CTX* context = SSL_CTX_new(TLS_client_method());
	SSL* ssl = SSL_new(context);
	int rc = create_at(client, "ssl", port);

	client->secure = 1;
	if (rc == MQTTASYNC_SUCCESS)
		rc = enos_paho_set_tls(client->handle, ssl);
	SSL_free(ssl);
	SSL_CTX_free(context);
	return rc;
}

static void say_fault(struct client* client)
{
	enos_paho_tls_fault fault;

	enos_paho_get_tls_fault(client->handle, &fault);
	say("fault %d handshake %d reason %d", fault.error, fault.handshake, fault.reason);
}
#endif

static int connect_client(struct client* client, int timeout, int keepalive)
{
	MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
	MQTTAsync_SSLOptions ssl = MQTTAsync_SSLOptions_initializer;
	char password[120];
	int rc;

	secret(password, sizeof(password));
	options.MQTTVersion = MQTTVERSION_3_1_1;
	options.cleansession = 1;
	options.keepAliveInterval = keepalive;
	options.connectTimeout = timeout;
	if (client->secure)
		options.ssl = &ssl;
	options.maxInflight = 100;
	options.username = "user";
	options.binarypwd.data = password;
	options.binarypwd.len = sizeof(password);
	options.onSuccess = on_connected;
	options.onFailure = on_refused;
	options.context = client;
	rc = MQTTAsync_connect(client->handle, &options);
	explicit_bzero(password, sizeof(password));
	return rc;
}

static int subscribe(struct client* client, int topics, int remove)
{
	static char* const names[] = {"in/one", "in/two", "in/three", "in/four"};
	static const int qos[] = {1, 1, 1, 1};
	MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;

	options.onSuccess = remove ? on_unsubscribed : on_subscribed;
	options.onFailure = on_not_subscribed;
	options.context = client;
	if (!remove)
		client->topics = topics;
	return remove ? MQTTAsync_unsubscribeMany(client->handle, topics, names, &options)
		: MQTTAsync_subscribeMany(client->handle, topics, names, qos, &options);
}

static int disconnect(struct client* client, int timeout)
{
	MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;

	options.timeout = timeout;
	options.onSuccess = on_disconnected;
	options.context = client;
	return MQTTAsync_disconnect(client->handle, &options);
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
		MQTTAsync_destroy(&client->handle);
	}
	return NULL;
}

static int command(const char* word, struct client* client, const char* text, int a, int b)
{
	static pthread_t churner;

	if (strcmp(word, "create") == 0)
		say("rc %d", create(client, a));
#if defined(OPENSSL)
	else if (strcmp(word, "secure") == 0)
		say("rc %d", create_secure(client, a));
	else if (strcmp(word, "fault") == 0)
		say_fault(client);
#endif
	else if (strcmp(word, "limit") == 0)
		say("rc %d", enos_paho_set_max_packet(client->handle, (size_t)a));
	else if (strcmp(word, "interface") == 0)
		say("rc %d", enos_paho_set_interface(client->handle, text));
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
	else if (strcmp(word, "freeze") == 0) /* 0 the receive thread, 1 the send thread */
		say("count %d", each_thread(a ? "MQTTAsync_send" : "MQTTAsync_rcv", stop_thread));
	else if (strcmp(word, "reads") == 0)
		say("count %d", reads);
	else if (strcmp(word, "interruptible") == 0)
		say("count %d", each_thread("MQTTAsync_", takes_signals));
	else if (strcmp(word, "threads") == 0) /* 0 for no more, 1 for more */
		say("rc %d", (no_threads = !a, 0));
	else if (strcmp(word, "close") == 0) /* a descriptor */
		say("rc %d", close(a));
	else if (strcmp(word, "publish") == 0)
		say("rc %d", publish(client, a, b));
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

		MQTTAsync_destroy(&client->handle);
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
#if defined(OPENSSL)
	MQTTAsync_init_options init = MQTTAsync_init_options_initializer;

	/* as libenos does: not cleaned up at exit, under threads that still run */
	OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
	MQTTAsync_global_init(&init);
#endif

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
			MQTTAsync_destroy(&clients[i].handle);
	say("bye");
	return 0;
}
