/*
 * flood - a client of the ban helper that is fast, hostile, or in a hurry;
 * a tool of the tests and benchmarks.
 *
 *   flood SOCKET add N FIRST     N bans, pipelined on one connection, of
 *                                addresses from number FIRST on; prints
 *                                "RATE OK" (a second; how many said ok)
 *   flood SOCKET garbage N SEED  N random, mutated, short and long packets,
 *                                connecting again whenever it is thrown out
 *   flood SOCKET latency N PID   N checks, one at a time; prints "MEDIAN P99
 *                                MAX WORK LATE" in microseconds, WORK being
 *                                the longest without the time that process PID
 *                                and this one could run and were not let, and
 *                                LATE how many took more than 10 ms of it
 *   flood SOCKET echo            a server that does nothing but answer what
 *                                latency asks: what the machine itself costs
 *   flood SOCKET hoard N         N connections, each asking for lists that it
 *                                never reads; ends with its stdin
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ban/wire.h"

static const char *path;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
open_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

static uint64_t state;

static uint64_t
rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Number n of a long row of addresses that nothing forbids, all in 32.0.0.0/6
 * and in no order, as they come from everywhere. */
static struct network
numbered(uint32_t n)
{
	uint32_t v = 0x20000000u + (n * 0x9E3779B1u & 0x3FFFFFFu);
	struct netaddr a = { 4, { (uint8_t)(v >> 24), (uint8_t)(v >> 16),
	    (uint8_t)(v >> 8), (uint8_t)v } };

	return network_of(&a, 32);
}

static int
add(unsigned n, unsigned first)
{
	int fd = open_socket();
	unsigned sent = 0, got = 0, good = 0;
	double start = now();

	while (got < n) {
		struct pollfd pfd = { fd, POLLIN | (sent < n ? POLLOUT : 0), 0 };
		unsigned char packet[BAN_REPLY_SIZE];
		ssize_t size;

		poll(&pfd, 1, -1);
		while (sent < n) {
			struct ban_request q = { .op = BAN_OP_ADD, .id = sent,
				.net = numbered(first + sent), .scope = BAN_MAIL,
				.ttl_sec = 3600 + sent % 3600 };
			unsigned char out[BAN_REQUEST_SIZE];

			snprintf(q.reason, sizeof(q.reason), "strike %u", sent);
			ban_request_encode(&q, out);
			if (send(fd, out, sizeof(out), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
				break;
			sent++;
		}
		while ((size = recv(fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
			struct ban_reply r;

			if (ban_reply_decode(packet, (size_t)size, &r, NULL) == 0 &&
			    r.id == got && r.result == BAN_OK)
				good++;
			got++;
		}
		if (size == 0)
			break;
	}
	printf("%.0f %u\n", n / (now() - start), good);
	close(fd);
	return got == n ? 0 : 1;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Microseconds that a process waited for a processor so far; 0 unknown. */
static double
waited(int schedstat)
{
	unsigned long long ran, waits;
	char text[128];
	ssize_t n = pread(schedstat, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return sscanf(text, "%llu %llu", &ran, &waits) == 2 ?
	    (double)waits / 1e3 : 0;
}

static int
latency(unsigned n, unsigned pid)
{
	double *took = calloc(n, sizeof(*took)), longest = 0;
	int fd = open_socket(), server, self, late = 0;
	char name[64];

	snprintf(name, sizeof(name), "/proc/%u/schedstat", pid);
	server = open(name, O_RDONLY);
	self = open("/proc/self/schedstat", O_RDONLY);
	for (unsigned i = 0; took != NULL && i < n; i++) {
		struct ban_request q = { .op = BAN_OP_CHECK, .id = i,
			.net = numbered(i), .scope = BAN_BOTH };
		unsigned char packet[BAN_REPLY_SIZE];
		double start, before;

		ban_request_encode(&q, packet);
		before = waited(server) + waited(self);
		start = now();
		if (send(fd, packet, BAN_REQUEST_SIZE, MSG_NOSIGNAL) < 0 ||
		    recv(fd, packet, sizeof(packet), 0) != BAN_REPLY_SIZE)
			return 1;
		took[i] = (now() - start) * 1e6;
		before = took[i] - (waited(server) + waited(self) - before);
		if (before > longest)
			longest = before;
		late += before > 10000;
		usleep(1000);
	}
	qsort(took, n, sizeof(*took), compare);
	printf("%.0f %.0f %.0f %.0f %d\n", took[n / 2], took[n - n / 100 - 1],
	    took[n - 1], longest, late);
	free(took);
	return 0;
}

static int
echo(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), client;
	unsigned char packet[BAN_REPLY_SIZE] = { 0 };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, 4) < 0) {
		perror(path);
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while ((client = accept(fd, NULL, NULL)) >= 0) {
		while (recv(client, packet, sizeof(packet), 0) > 0)
			send(client, packet, sizeof(packet), MSG_NOSIGNAL);
		close(client);
	}
	return 1;
}

static size_t
hostile_packet(unsigned char out[4096])
{
	unsigned kind = rnd() % 8;
	struct ban_request q = { .op = (enum ban_op)(rnd() % (BAN_OP_COUNT + 1)),
		.id = rnd(), .scope = rnd() % 4, .ttl_sec = (int64_t)(rnd() % 100000),
		.flags = rnd() % 4 == 0 };
	size_t n = BAN_REQUEST_SIZE;

	if (kind < 2) { /* noise of any length */
		n = kind == 0 ? rnd() % 4096 + 1 : BAN_REQUEST_SIZE;
		for (size_t i = 0; i < n; i++)
			out[i] = (unsigned char)rnd();
		return n;
	}
	if (rnd() % 8 != 0) {
		q.net.addr.family = rnd() % 2 ? 4 : 6;
		for (int i = 0; i < (q.net.addr.family == 4 ? 4 : 16); i++)
			q.net.addr.bytes[i] = (uint8_t)rnd();
		q.net.prefix_len = (uint8_t)(rnd() %
		    (q.net.addr.family == 4 ? 33 : 129));
		/* often at what must never be banned */
		if (rnd() % 3 == 0 && q.net.addr.family == 4)
			memcpy(q.net.addr.bytes, (uint8_t[4][4]){ { 127, 0, 0, 1 },
			    { 192, 0, 2, 1 }, { 198, 51, 100, 1 }, { 0 } }[rnd() % 4], 4);
		else if (rnd() % 3 == 0)
			memset(q.net.addr.bytes, 0, 15);
	}
	for (size_t i = 0; i < rnd() % 40; i++)
		q.label[i % 31] = (char)('a' + rnd() % 26);
	for (size_t i = 0; i < rnd() % BAN_REASON_SIZE; i++)
		q.reason[i % 127] = (char)rnd();
	if (q.op != BAN_OP_ADD && rnd() % 4 != 0) {
		q.reason[0] = q.label[0] = '\0';
		if (q.op != BAN_OP_CONFIRM && q.op != BAN_OP_ALLOW)
			q.ttl_sec = 0;
	}
	ban_request_encode(&q, out);
	if (kind == 2) /* flip a few bits of a legal one */
		for (unsigned i = 0; i <= rnd() % 4; i++)
			out[rnd() % n] ^= (unsigned char)(1u << rnd() % 8);
	else if (kind == 3)
		n = rnd() % BAN_REQUEST_SIZE + 1;
	else if (kind == 4)
		n += rnd() % 64 + 1, memset(out + BAN_REQUEST_SIZE, 0, 64);
	return n;
}

static int
garbage(unsigned n, unsigned seed)
{
	int fd = open_socket();

	state = seed * 0x9E3779B97F4A7C15u + 1;
	for (unsigned i = 0; i < n; i++) {
		unsigned char packet[4096];
		size_t size = hostile_packet(packet);

		/* whoever does not read its answers is not read from either:
		 * waiting for room alone would be waiting for ever */
		while (send(fd, packet, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
			struct pollfd pfd = { fd, POLLIN | POLLOUT, 0 };
			unsigned char answer[4096];

			if (errno == EAGAIN) {
				poll(&pfd, 1, -1);
				while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
					;
				continue;
			}
			if (errno != EPIPE && errno != ECONNRESET) {
				perror("send");
				return 1;
			}
			close(fd);
			fd = open_socket();
			break;
		}
		/* answers are not wanted, but must not pile up either */
		while (recv(fd, packet, sizeof(packet), MSG_DONTWAIT) > 0)
			;
	}
	close(fd);
	return 0;
}

static int
hoard(unsigned n)
{
	char c;

	for (unsigned i = 0; i < n; i++) {
		int fd = open_socket();

		for (int j = 0; j < 10; j++) {
			struct ban_request q = { .op = BAN_OP_LIST,
				.scope = BAN_BOTH };
			unsigned char out[BAN_REQUEST_SIZE];

			ban_request_encode(&q, out);
			send(fd, out, sizeof(out), MSG_DONTWAIT | MSG_NOSIGNAL);
		}
	}
	puts("ready");
	fflush(stdout);
	return read(0, &c, 1) < 0;
}

int
main(int argc, char **argv)
{
	unsigned n = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
	unsigned extra = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;

	if (argc < 3 || (n == 0 && strcmp(argv[2], "echo") != 0))
		return 64;
	path = argv[1];
	if (strcmp(argv[2], "echo") == 0)
		return echo();
	if (strcmp(argv[2], "add") == 0)
		return add(n, extra);
	if (strcmp(argv[2], "garbage") == 0)
		return garbage(n, extra);
	if (strcmp(argv[2], "latency") == 0)
		return latency(n, extra);
	if (strcmp(argv[2], "hoard") == 0)
		return hoard(n);
	return 64;
}
