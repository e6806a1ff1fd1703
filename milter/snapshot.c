#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "milter/snapshot.h"

struct shared_dns {
	atomic_uint refs;
	struct dns *dns; /* NULL: offline */
	char *key;	 /* the settings it was made from */
};

static void
shared_dns_unref(struct shared_dns *d)
{
	if (d == NULL || atomic_fetch_sub(&d->refs, 1) != 1)
		return;
	dns_free(d->dns);
	free(d->key);
	free(d);
}

static int
shared_dns_get(const struct snapshot_options *o,
    const struct scoring_settings *s, const struct snapshot *old,
    struct shared_dns **ret_dns, struct error *err)
{
	struct dns_options options = { s->resolver, s->trust_anchor };
	struct shared_dns *d;
	struct buf key;
	int r = 0;

	buf_init(&key, 1 << 20);
	buf_printf(&key, "anchor=%s", s->trust_anchor != NULL ? s->trust_anchor : "");
	for (size_t i = 0; i < s->resolver.count; i++)
		buf_printf(&key, " %s", s->resolver.items[i]);
	/* a file of answers is read again: that is what a reload is for */
	if (old != NULL && o->dns_data == NULL && !key.failed &&
	    strcmp(old->dns->key, key.ptr) == 0) {
		buf_done(&key);
		atomic_fetch_add(&old->dns->refs, 1);
		*ret_dns = old->dns;
		return 0;
	}
	d = calloc(1, sizeof(*d));
	if (d == NULL || key.failed || (d->key = strdup(key.ptr)) == NULL)
		r = error_set(err, -ENOMEM, "out of memory for the resolver");
	buf_done(&key);
	if (r == 0 && o->dns_data != NULL)
		r = dns_new_file(o->dns_data, &d->dns, err);
	else if (r == 0 && !o->offline)
		r = dns_new(&options, &d->dns, err);
	if (r != 0) {
		if (d != NULL)
			free(d->key);
		free(d);
		return r;
	}
	atomic_init(&d->refs, 1);
	*ret_dns = d;
	return 0;
}

static void
snapshot_free(struct snapshot *s)
{
	if (s->auth != NULL)
		auth_context_free(s->auth);
	shared_dns_unref(s->dns);
	if (s->engine != NULL)
		engine_free(s->engine);
	milter_settings_done(&s->settings);
	free(s);
}

int
snapshot_load(const struct snapshot_options *o, const struct snapshot *old,
    struct diags *diags, struct snapshot **ret_snapshot, struct error *err)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	struct settings_room room;
	size_t before = diags->errors;
	int r;

	if (s == NULL)
		return error_set(err, -ENOMEM, "out of memory for a snapshot");
	s->refs = 1;
	milter_settings_init(&s->settings);
	room = (struct settings_room){ milter_settings_table, &s->settings };
	struct engine_options eo = {
		.config = o->config,
		.rules = o->rules,
		.rules_count = o->rules_count,
		.rules_dir = o->rules_dir,
		.rooms = &room,
		.room_count = 1,
		.foreign_prefix = "ban_",
	};
	r = engine_load(&eo, diags, &s->engine, err);
	if (r == 0) {
		milter_settings_check(&s->settings,
		    o->config != NULL ? o->config : "settings", diags);
		if (diags->errors != before)
			r = error_set(err, -EINVAL, "%zu errors in the settings",
			    diags->errors - before);
	}
	if (r == 0) {
		s->scoring = engine_settings(s->engine);
		r = shared_dns_get(o, s->scoring, old, &s->dns, err);
	}
	if (r == 0)
		r = auth_context_new(s->scoring, s->dns->dns, &s->auth, err);
	if (r != 0) {
		snapshot_free(s);
		return r;
	}
	*ret_snapshot = s;
	return 0;
}

struct dns *
snapshot_dns(const struct snapshot *s)
{
	return s->dns->dns;
}

struct snapshot *
snapshot_ref(struct snapshot *s)
{
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
snapshot_unref(struct snapshot *s)
{
	if (s != NULL && __atomic_fetch_sub(&s->refs, 1, __ATOMIC_ACQ_REL) == 1)
		snapshot_free(s);
}
