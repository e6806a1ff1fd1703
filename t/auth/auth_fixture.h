/*
 * auth_fixture - one gathering over a text of DNS answers, for the tests of
 * this room.
 */
#ifndef T_AUTH_AUTH_FIXTURE_H
#define T_AUTH_AUTH_FIXTURE_H

#include "scoring/auth/auth.h"
#include "t/tap.h"

struct fixture {
	struct arena *config_arena, *arena;
	struct scoring_settings settings;
	struct dns *dns;
	struct auth_context *context;
	struct evidence evidence;
	struct auth_questions questions; /* asked in each gathering */
};

/* zone NULL: offline. Dies on failure: nothing could be tested then. */
static inline void
fixture_init(struct fixture *f, const char *zone)
{
	struct error err = { "" };

	memset(f, 0, sizeof(*f));
	f->config_arena = arena_new(1 << 20);
	if (scoring_settings_init(&f->settings, f->config_arena) != 0)
		exit(1);
	f->settings.authserv_id = "mx.example.net";
	if ((zone != NULL && dns_new_text(span_cstr(zone), "zone", &f->dns,
		&err) != 0) ||
	    auth_context_new(&f->settings, f->dns, &f->context, &err) != 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
}

static inline void
fixture_done(struct fixture *f)
{
	auth_context_free(f->context);
	dns_free(f->dns);
	scoring_settings_done(&f->settings);
	arena_free(f->arena);
	arena_free(f->config_arena);
}

/* Evidence about raw; lives until the next gathering. NULL: no message. */
static inline struct evidence *
fixture_gather(struct fixture *f, struct span raw,
    const struct envelope *envelope, int64_t now)
{
	struct message_limits limits = {
		.scan_bytes = 64 << 20, .max_fields = 10000,
		.max_mime_depth = 20, .max_mime_parts = 100, .max_uris = 100,
	};
	struct envelope none = { .source = ENVELOPE_NONE };
	struct message *m;
	struct error err = { "" };
	struct auth *x;

	arena_free(f->arena);
	f->arena = arena_new(512u << 20);
	memset(&f->evidence, 0, sizeof(f->evidence));
	f->evidence.now = now;
	if (message_parse(f->arena, raw, raw.len, &limits, &m, &err) != 0)
		return NULL;
	x = auth_new(f->context, &f->settings, f->arena);
	if (x == NULL || auth_finish(x, envelope != NULL ? envelope : &none, m,
	    &f->questions, &f->evidence, &err) != 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	auth_free(x);
	return &f->evidence;
}

#endif
