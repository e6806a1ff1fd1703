/*
 * dns_server - a DNS server for tests on a free port of 127.0.0.1, UDP and
 * TCP, in a thread of its own. It serves a zone in the form of --dns-data
 * and misbehaves on command. Commands are lines in the zone that begin with
 * "!"; NAME is a name with everything below it, "*" is any:
 *
 *   ! NAME delay MS      answer late
 *   ! NAME drop          never answer
 *   ! NAME rcode N       answer with this response code (5: refused)
 *   ! NAME tc            TC bit over UDP, whole over TCP
 *   ! NAME cut N         send only the first N bytes of the answer
 *   ! NAME garbage       random bytes
 *   ! NAME wrongname     answer a question for another name
 *   ! NAME wrongid       another query id
 *   ! NAME wrongtype     the question's type changed
 *   ! NAME alias TARGET  a lie: a record of another owner's name added
 *   ! NAME flip          one record at a time, another at each query
 *   ! ttl N              of everything (default 300)
 *   ! log PATH           "NAME TYPE" (a number) of each query, a line each
 *   ! port N             this one, as a server had it that was here before
 */
#ifndef T_AUTH_DNS_SERVER_H
#define T_AUTH_DNS_SERVER_H

#include <stdint.h>

#include "base/span.h"

struct dns_server;

/* NULL with a message on stderr. */
struct dns_server *dns_server_start(struct span zone);
unsigned dns_server_port(const struct dns_server *s);
/* Queries that came so far. */
unsigned dns_server_count(const struct dns_server *s);
void dns_server_stop(struct dns_server *s);

#endif
