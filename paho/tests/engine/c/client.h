/*
 * The clients that the driver makes of Paho's: what is done with one, and what Paho tells of it as lines on standard
 * output.
 */
#include "MQTTAsync.h"

#include <pthread.h>
#include <stddef.h>

#define CLIENTS 2048

struct client
{
	MQTTAsync handle;
	void* link;
	int port;
	int topics; /* of the last subscribe */
	int burst;  /* QoS 1 messages to publish as soon as connected */
	int secure; /* over TLS */
	size_t limit;
	char interface[32];
};

extern struct client clients[CLIENTS];
extern int highest; /* the clients that were ever made are below */

/* Handles come and go with this lock; the thread that loops them all holds it. Before a client's own. */
extern pthread_mutex_t lock;

/* One line on standard output, in one piece. */
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the loop's wait; the driver has it. */
void wake(void);

int create(struct client* client, int port, int secure);

/* A new connection has a new link. */
int connect_client(struct client* client, int timeout, int keepalive);
void set_limit(struct client* client, size_t bytes);
void say_fault(struct client* client);
int publish_now(struct client* client, int qos, int length);
int subscribe(struct client* client, int topics, int remove);
int disconnect(struct client* client, int timeout);
void destroy(struct client* client);
