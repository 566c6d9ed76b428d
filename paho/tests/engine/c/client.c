#define _GNU_SOURCE
#include "client.h"
#include "link.h"
#include "process.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct client clients[CLIENTS];
int highest;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void say(const char* format, ...)
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

/* What is done with a client. */

int create(struct client* client, int port, int secure)
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

void set_limit(struct client* client, size_t bytes)
{
	client->limit = bytes;
	if (!client->link)
		return;
	enos_paho_enter(client->handle);
	enos_link_limit(client->link, bytes);
	enos_paho_leave(client->handle);
}

void say_fault(struct client* client)
{
	enos_tls_words words;
	int kind;

	enos_paho_enter(client->handle);
	kind = enos_link_fault(client->link, &words);
	enos_paho_leave(client->handle);
	say("fault %d error %d handshake %d reason %d", kind, words.error, words.handshake, words.reason);
}

int connect_client(struct client* client, int timeout, int keepalive)
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

void destroy(struct client* client)
{
	pthread_mutex_lock(&lock);
	MQTTAsync_destroy(&client->handle);
	if (client->link)
		enos_link_free(client->link);
	client->link = NULL;
	pthread_mutex_unlock(&lock);
}

/* A call of Paho's by the thread that takes commands. */
static int done(struct client* client, int rc)
{
	enos_paho_pump(client->handle);
	enos_paho_leave(client->handle);
	wake();
	return rc;
}

int publish_now(struct client* client, int qos, int length)
{
	enos_paho_enter(client->handle);
	return done(client, publish(client, qos, length));
}

int subscribe(struct client* client, int topics, int remove)
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

int disconnect(struct client* client, int timeout)
{
	MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;

	options.timeout = timeout;
	options.onSuccess = on_disconnected;
	options.context = client;
	enos_paho_enter(client->handle);
	return done(client, MQTTAsync_disconnect(client->handle, &options));
}
