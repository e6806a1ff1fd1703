#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "scoring/shadow.h"

/* What is wrong with a shadow never stops what runs: its errors become
 * warnings, but where somebody asked for errors. */
static int
report(struct shadow_list *list, const struct diags *own, bool strict,
    struct arena *a, struct diags *diags)
{
	for (const struct diag *d = own->first; d != NULL; d = d->next) {
		enum diag_level level = d->level == DIAG_ERROR && !strict ?
		    DIAG_WARNING : d->level;

		diag_add(diags, level, d->file, d->line, "%s", d->text);
		if (d->level != DIAG_ERROR ||
		    list->fault_count == SHADOW_MAX_FAULTS)
			continue;
		list->faults[list->fault_count] = d->line != 0 ?
		    arena_printf(a, "%s:%u: %s", d->file, d->line, d->text) :
		    arena_printf(a, "%s: %s", d->file, d->text);
		if (list->faults[list->fault_count++] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
add(struct shadow_list *list, const struct shadow_options *o, bool strict,
    struct arena *a, struct diags *diags)
{
	struct arena *scratch = arena_new(4 << 20);
	struct shadow *s = NULL;
	struct error err;
	struct diags own;
	int r;

	if (scratch == NULL)
		return -ENOMEM;
	diags_init(&own, scratch);
	if (list->count == SHADOW_MAX_SETS)
		diag_add(&own, DIAG_ERROR, o->path, 0,
		    "more than %d shadows", SHADOW_MAX_SETS);
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(shadow_name(list->sets[i]), o->name) == 0)
			diag_add(&own, DIAG_ERROR, o->path, 0,
			    "there are two shadows \"%s\"", o->name);
	if (o->path[0] != '/')
		diag_add(&own, DIAG_ERROR, o->path, 0,
		    "shadow \"%s\": not an absolute path", o->name);
	if (!shadow_name_valid(o->name))
		diag_add(&own, DIAG_ERROR, o->path, 0,
		    "not a name for a shadow: \"%s\"", o->name);
	r = own.errors != 0 ? -EINVAL : shadow_load(o, &own, &s, &err);
	if (r == 0)
		list->sets[list->count++] = s;
	if (r != -ENOMEM && report(list, &own, strict, a, diags) != 0)
		r = -ENOMEM;
	arena_free(scratch);
	return r == -ENOMEM ? r : 0;
}

int
shadow_list_load(struct shadow_list *list, const struct shadow_options *o,
    const char *candidate, const struct thresholds *untuned, bool strict,
    struct arena *a, struct diags *diags)
{
	const struct strings *words = &o->settings->shadow;
	struct shadow_options one = *o;
	int r = 0;

	if (words->count % 2 != 0)
		diag_add(diags, DIAG_ERROR, "settings", 0,
		    "shadow: needs a name and a file, without spaces");
	for (size_t i = 0; r == 0 && i + 1 < words->count; i += 2) {
		one.name = words->items[i];
		one.path = words->items[i + 1];
		r = add(list, &one, strict, a, diags);
	}
	if (r == 0 && candidate != NULL && access(candidate, F_OK) == 0) {
		one.name = SHADOW_CANDIDATE;
		one.path = candidate;
		one.untuned = untuned;
		r = add(list, &one, strict, a, diags);
	}
	return r;
}

void
shadow_list_done(struct shadow_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		shadow_free(list->sets[i]);
	list->count = 0;
}

bool
shadow_list_has(const struct shadow_list *list, enum shadow_kind kind)
{
	for (size_t i = 0; i < list->count; i++)
		if (shadow_kind(list->sets[i]) == kind)
			return true;
	return false;
}

int
shadow_list_judge(const struct shadow_list *list, enum shadow_kind kind,
    const struct judge_input *in, struct verdict *v)
{
	if (!shadow_list_has(list, kind))
		return 0;
	if (v->shadows == NULL) {
		v->shadows = ARENA_ARRAY(in->arena, list->count,
		    struct shadow_verdict);
		if (v->shadows == NULL)
			return -ENOMEM;
	}
	for (size_t i = 0; i < list->count; i++) {
		if (shadow_kind(list->sets[i]) != kind)
			continue;
		if (shadow_judge(list->sets[i], in, v,
			&v->shadows[v->shadow_count]) != 0)
			return -ENOMEM;
		v->shadow_count++;
	}
	return 0;
}
