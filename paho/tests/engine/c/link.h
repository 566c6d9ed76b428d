/*
 * The link's functions for a program in C (link/src/c.rs).
 */
#include <stddef.h>

typedef struct
{
	int error;
	int handshake;
	int reason;
} enos_tls_words;

const void* enos_link_table(void);
void* enos_link_new(const char* address, const char* interface, int secure, int keepalive, size_t limit);
void enos_link_free(void* link);
int enos_link_interest(void* link, short* events);
int enos_link_sent(void* link);
void enos_link_limit(void* link, size_t bytes);
int enos_link_fault(void* link, enos_tls_words* tls);
