/* dns_server ZONEFILE: prints its port, serves until stdin ends. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "t/auth/dns_server.h"

int
main(int argc, char **argv)
{
	struct dns_server *s;
	struct buf zone;
	char chunk[65536];
	size_t n;
	FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;

	if (f == NULL) {
		fprintf(stderr, "usage: dns_server ZONEFILE\n");
		return 64;
	}
	buf_init(&zone, 64 << 20);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(&zone, chunk, n);
	fclose(f);
	s = dns_server_start(buf_span(&zone));
	buf_done(&zone);
	if (s == NULL)
		return 70;
	printf("%u\n", dns_server_port(s));
	fflush(stdout);
	while (read(0, chunk, sizeof(chunk)) > 0)
		;
	dns_server_stop(s);
	return 0;
}
