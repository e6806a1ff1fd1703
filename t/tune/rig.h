/* A ruleset of our own and messages by hand, for the tests of this room */
#ifndef T_TUNE_RIG_H
#define T_TUNE_RIG_H

#include "scoring/rules/ruleset.h"
#include "t/tap.h"
#include "tune/set.h"

static inline struct ruleset *
rig_rules(const char *text)
{
	struct arena *a = arena_new(16 << 20);
	struct ruleset_options o = { .text = span_cstr(text),
		.text_name = "rig" };
	struct ruleset *rs = NULL;
	struct diags diags;
	struct error err;

	diags_init(&diags, a);
	if (ruleset_load(&o, &diags, &rs, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	arena_free(a);
	return rs;
}

/* hits: names, ended by NULL */
static inline void
rig_add(struct tune_set *s, const struct ruleset *rs, bool spam, int64_t time,
    uint64_t identity, const char *text, const char *const *hits)
{
	struct tune_message m = { .name = text, .spam = spam, .time = time };
	struct sketch_maker k;
	uint32_t list[32];
	size_t n = 0;

	memcpy(m.identity, &identity, sizeof(identity));
	sketch_begin(&k);
	sketch_add(&k, span_cstr(text));
	sketch_end(&k, &m.sketch);
	for (; hits != NULL && hits[n] != NULL && n < 32; n++)
		list[n] = (uint32_t)ruleset_find(rs, hits[n]);
	if (tune_set_add(s, &m, list, n) != 0)
		abort();
}

static uint64_t rig_state = 11;

static inline double
rig_uniform(void)
{
	rig_state ^= rig_state << 13;
	rig_state ^= rig_state >> 7;
	rig_state ^= rig_state << 17;
	return (double)(rig_state >> 11) / 9007199254740992.0;
}

#endif
