/* The whole way of a hostile packet: decoded, decided, answered. Aborts when
 * an allow-listed network reaches the kernel. The input is packets one after
 * the other, the first byte of all choosing the source. */
#include "t/ban/fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char config[] = "ban_allow 192.0.2.0/24 2001:db8:77::/48\n"
	    "mynetworks 10.0.0.0/8\nban_max_entries 1000\n";
	static struct ban_policy policy;
	static struct arena *arena;
	struct fake *fake = calloc(1, sizeof(*fake));
	struct ban_sink sink = { fake, fake_add, fake_del };
	struct ban_service *s;
	struct conf_lines lines;
	struct diags diags;
	struct error err;
	unsigned source;

	if (arena == NULL) {
		arena = arena_new(1u << 20);
		diags_init(&diags, arena);
		conf_parse(arena, "c", SPAN_LIT(config), &lines, &diags, &err);
		ban_policy_parse(arena, &lines, &policy, &diags);
	}
	if (fake == NULL || ban_service_new(&policy, NULL, &sink, fake_log, fake,
	    &s, &err) < 0)
		abort();
	for (size_t i = 0; i < policy.allow.nets.count; i++)
		netset_add(&fake->forbidden, &policy.allow.nets.nets[i]);
	ban_service_set_time(s, 1700000000, 1000);
	source = size > 0 ? data[0] % 3 : 0;
	for (size_t at = 1; at < size; at += BAN_REQUEST_SIZE) {
		size_t n = size - at < BAN_REQUEST_SIZE ? size - at :
		    BAN_REQUEST_SIZE;
		struct ban_request q;
		struct ban_reply reply;
		struct ban_cursor cursor;
		unsigned char out[BAN_REPLY_SIZE];

		if (ban_request_decode(data + at, n, &q, &err) < 0)
			continue;
		ban_service_handle(s, source, &q, &reply, &cursor);
		while (cursor.op != 0)
			if (ban_service_next(s, &cursor, &reply) == 1)
				ban_reply_encode(&reply, out);
		ban_reply_encode(&reply, out);
		if (ban_reply_decode(out, sizeof(out), &reply, &err) < 0)
			abort();
	}
	ban_service_set_time(s, 1700000000 + 400 * 86400, 2000);
	while (ban_service_tick(s, 100) == 0)
		;
	if (fake->illegal != 0)
		abort();
	ban_service_free(s);
	netset_done(&fake->forbidden);
	free(fake);
	return 0;
}
