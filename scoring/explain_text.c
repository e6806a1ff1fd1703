#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "scoring/explain.h"

enum { MATCHED_BYTES = 100, STATUS_COLUMNS = 78 };

void
explain_points(double points, struct buf *out)
{
	double r = round(points * 10.0) / 10.0;

	buf_printf(out, "%.1f", r == 0 ? 0.0 : r);
}

void
explain_status_header(const struct verdict *v, bool tagged, struct buf *out)
{
	size_t column = strlen("X-Spam-Status: "), start = out->len;

	buf_add_str(out, tagged ? "Yes, score=" : "No, score=");
	explain_points(v->score, out);
	buf_add_str(out, " required=");
	explain_points(v->thresholds.tag, out);
	buf_add_str(out, " tests=");
	column += out->len - start;
	if (v->hit_count == 0)
		buf_add_str(out, "none");
	for (size_t i = 0; i < v->hit_count; i++) {
		size_t n = strlen(v->hits[i].rule);

		if (i > 0) {
			buf_add_char(out, ',');
			column++;
		}
		if (column + n + 1 > STATUS_COLUMNS && column > 8) {
			buf_add_str(out, "\n\t");
			column = 8;
		}
		buf_add_str(out, v->hits[i].rule);
		column += n;
	}
}

struct colors {
	const char *strong, *bad, *good, *faint, *off;
};

static void
put_text(struct buf *out, const char *s)
{
	escape_text(out, span_cstr(s), 0);
}

static void
put_place(struct buf *out, const struct hit *h)
{
	const char *base;

	if (h->file == NULL) {
		buf_add_str(out, "built in");
		return;
	}
	base = strrchr(h->file, '/');
	put_text(out, base != NULL ? base + 1 : h->file);
	buf_printf(out, ":%u", h->line);
}

/* The strongest features, a line each: share, view, words of the mail */
static void
put_learned(struct buf *out, const struct colors *c, const struct hit *h)
{
	struct span rest = h->matched;

	while (rest.len > 0) {
		size_t n = span_find(rest, '\n');

		buf_printf(out, "          %s", c->faint);
		escape_text(out, span_of(rest.ptr, n), MATCHED_BYTES);
		buf_printf(out, "%s\n", c->off);
		rest = span_from(rest, n + 1);
	}
}

/* Where something matched, and what; part: which part of a meta, or NULL */
static void
put_match(struct buf *out, const struct colors *c, const char *part,
    const char *target, struct span matched, size_t offset)
{
	buf_printf(out, "          %s", c->faint);
	if (part != NULL)
		buf_printf(out, "%s: ", part);
	put_text(out, target);
	if (offset != NO_OFFSET)
		buf_printf(out, ", byte %zu", offset);
	if (matched.len > 0) {
		buf_add_str(out, ": \"");
		escape_text(out, matched, MATCHED_BYTES);
		buf_add_char(out, '"');
	}
	buf_printf(out, "%s\n", c->off);
}

static void
put_hits(const struct explain_input *in, const struct colors *c,
    struct buf *out)
{
	const struct verdict *v = in->verdict;

	if (v->hit_count == 0) {
		buf_add_str(out, "No rule with a score hit.\n");
		return;
	}
	buf_printf(out, "%spoints  %-28s %s%s\n", c->strong, "rule",
	    "where it stands", c->off);
	for (size_t i = 0; i < v->hit_count; i++) {
		const struct hit *h = &v->hits[i];

		buf_printf(out, "%s%6.2f%s  %-28s ", h->score > 0 ? c->bad : c->good,
		    h->score, c->off, h->rule);
		put_place(out, h);
		if (h->count > 1)
			buf_printf(out, " (%u times)", h->count);
		buf_add_char(out, '\n');
		if (h->describe[0] != '\0') {
			buf_add_str(out, "          ");
			put_text(out, h->describe);
			buf_add_char(out, '\n');
		}
		if (strcmp(h->type, "learned") == 0) {
			put_learned(out, c, h);
			continue;
		}
		/* one part alone is the meta's own text */
		if (h->part_count < 2)
			put_match(out, c, NULL, h->target, h->matched, h->offset);
		else
			for (size_t k = 0; k < h->part_count; k++)
				put_match(out, c, h->parts[k].rule,
				    h->parts[k].target, h->parts[k].matched,
				    h->parts[k].offset);
	}
}

static void
put_result(struct buf *out, const char *method, const struct check *c,
    enum auth_result r, const char *subject, const char *reason)
{
	buf_printf(out, "  %-6s ", method);
	if (c->state == CHECK_DONE)
		buf_add_str(out, auth_result_name(r));
	else
		buf_printf(out, "%s", c->state == CHECK_UNKNOWN ? "unknown" :
							       "not run");
	if (subject != NULL && subject[0] != '\0') {
		buf_add_char(out, ' ');
		put_text(out, subject);
	}
	if (c->state != CHECK_DONE && c->why != NULL)
		reason = c->why;
	if (reason != NULL && reason[0] != '\0') {
		buf_add_str(out, " (");
		put_text(out, reason);
		buf_add_char(out, ')');
	}
	buf_add_char(out, '\n');
}

static const char *
list_text(const struct dnsxl_evidence *d)
{
	return d->result != NULL ? d->result :
	    d->check.state != CHECK_DONE ? d->check.why : NULL;
}

/* What each list said, and why it said nothing; a list that several questions
 * went to says the same once. */
static void
put_lists(const struct evidence *e, struct buf *out)
{
	for (size_t i = 0; i < e->dnsxl_count; i++) {
		const struct dnsxl_evidence *d = &e->dnsxl[i], *before = e->dnsxl;
		const char *text = list_text(d);

		if (text == NULL)
			continue;
		while (before != d && (list_text(before) == NULL ||
		    strcmp(before->list, d->list) != 0 ||
		    strcmp(list_text(before), text) != 0))
			before++;
		if (before != d)
			continue;
		buf_add_str(out, "  list   ");
		put_text(out, d->list);
		buf_add_str(out, ": ");
		put_text(out, text);
		buf_add_char(out, '\n');
	}
}

static void
put_auth(const struct evidence *e, struct buf *out)
{
	put_result(out, "spf", &e->spf_mailfrom.check, e->spf_mailfrom.result,
	    e->spf_mailfrom.domain, e->spf_mailfrom.reason);
	put_result(out, "helo", &e->spf_helo.check, e->spf_helo.result,
	    e->spf_helo.domain, e->spf_helo.reason);
	for (size_t i = 0; i < e->dkim_count; i++)
		put_result(out, "dkim", &e->dkim[i].check, e->dkim[i].result,
		    e->dkim[i].domain, e->dkim[i].reason);
	if (e->dkim_count == 0)
		buf_add_str(out, "  dkim   none (no signature)\n");
	put_result(out, "dmarc", &e->dmarc.check, e->dmarc.result,
	    e->dmarc.domain, e->dmarc.reason);
	put_result(out, "arc", &e->arc.check, e->arc.result, e->arc.sealer,
	    e->arc.reason);
	put_result(out, "iprev", &e->iprev.check, e->iprev.result, e->iprev.name,
	    NULL);
	put_lists(e, out);
}

static void
put_open(const struct verdict *v, bool unknown, size_t columns, struct buf *out)
{
	size_t column = 0, shown = 0;

	/* the same reason is said once, its tests behind it */
	for (size_t i = 0; i < v->open_count; i++) {
		const struct open_test *t = &v->open[i];
		bool first = t->unknown == unknown;

		for (size_t k = 0; k < i && first; k++)
			first = v->open[k].unknown != unknown ||
			    strcmp(v->open[k].why, t->why) != 0;
		if (!first)
			continue;
		if (shown++ == 0)
			buf_printf(out, "\n%s\n", unknown ?
				"Unknown (begun, not finished)" :
				"Not run (counts 0)");
		buf_add_str(out, "  ");
		put_text(out, t->why);
		buf_add_char(out, ':');
		column = columns;
		for (size_t k = i; k < v->open_count; k++) {
			size_t n = strlen(v->open[k].test);

			if (v->open[k].unknown != unknown ||
			    strcmp(v->open[k].why, t->why) != 0)
				continue;
			if (column + n + 1 > columns) {
				buf_add_str(out, "\n   ");
				column = 3;
			}
			buf_add_char(out, ' ');
			put_text(out, v->open[k].test);
			column += n + 1;
		}
		buf_add_char(out, '\n');
	}
}

static void
put_envelope(const struct explain_input *in, struct buf *out)
{
	const struct envelope *e = in->envelope;
	struct field *from = message_find(in->message, "From", 0),
		     *subject = message_find(in->message, "Subject", 0);
	char ip[NETADDR_TEXT];

	buf_add_str(out, "From:    ");
	if (from != NULL)
		escape_text(out, span_trim(field_decoded(in->message, from)), 200);
	buf_add_str(out, "\nSubject: ");
	if (subject != NULL)
		escape_text(out, span_trim(field_decoded(in->message, subject)), 200);
	buf_add_str(out, "\nClient:  ");
	if (e->client_ip.family != 0)
		buf_add_str(out, netaddr_format(&e->client_ip, ip));
	else
		buf_add_str(out, "unknown");
	if (e->client_name != NULL) {
		buf_add_char(out, ' ');
		put_text(out, e->client_name);
	}
	if (e->helo != NULL) {
		buf_add_str(out, ", HELO ");
		put_text(out, e->helo);
	}
	if (e->mail_from != NULL) {
		buf_add_str(out, ", MAIL FROM <");
		put_text(out, e->mail_from);
		buf_add_char(out, '>');
	}
	if (e->source == ENVELOPE_MESSAGE)
		buf_add_str(out, " (read from the message)");
	buf_add_str(out, "\n\n");
}

static void
put_total(const struct verdict *v, const struct colors *c, struct buf *out)
{
	const char *color = v->action == ACTION_ACCEPT ? c->good : c->bad;

	buf_printf(out, "\n%sTotal  %.2f%s", c->strong, v->score, c->off);
	if (v->score_low != v->score_high)
		buf_printf(out, ", between %.2f and %.2f; the lower end decides",
		    v->score_low, v->score_high);
	buf_printf(out, "   (tag %g, tempfail %g, reject %g)\n", v->thresholds.tag,
	    v->thresholds.tempfail, v->thresholds.reject);
	buf_printf(out, "%sAction %s%s%s", c->strong, color,
	    action_name(v->action), c->off);
	if (v->action_reason != NULL)
		buf_printf(out, " (%s)", v->action_reason);
	buf_add_char(out, '\n');
	for (size_t i = 0; i < v->flip_count; i++) {
		buf_printf(out, "       %s without ", action_name(v->flips[i].action));
		for (size_t k = 0; k < v->flips[i].count; k++) {
			if (k > 0)
				buf_add_str(out, k + 1 == v->flips[i].count ? " and " :
									    ", ");
			put_text(out, v->flips[i].rules[k]);
		}
		buf_add_char(out, '\n');
	}
	for (size_t i = 0; i < v->shadow_count; i++) {
		const struct shadow_verdict *s = &v->shadows[i];

		buf_printf(out, "Shadow %s: %s at %.2f%s%s\n", s->name,
		    action_name(s->action), s->score,
		    s->fault != NULL ? "; " : "",
		    s->fault != NULL ? s->fault : "");
	}
	if (v->truncated)
		buf_add_str(out, "       the message is longer than scan_size: "
				 "only its beginning was judged\n");
}

void
explain_text(const struct explain_input *in, const struct explain_style *style,
    struct buf *out)
{
	static const struct colors plain = { "", "", "", "", "" },
				   bright = { "\033[1m", "\033[31m", "\033[32m",
					   "\033[2m", "\033[0m" };
	const struct colors *c = style->color ? &bright : &plain;
	const struct verdict *v = in->verdict;
	size_t columns = style->columns != 0 ? style->columns : 80;

	put_envelope(in, out);
	put_hits(in, c, out);
	buf_printf(out, "\n%sAuthentication%s\n", c->strong, c->off);
	put_auth(in->evidence, out);
	if (v->reputation_count > 0)
		buf_printf(out, "\n%sReputation%s\n", c->strong, c->off);
	for (size_t i = 0; i < v->reputation_count; i++) {
		const struct reputation_term *t = &v->reputation[i];

		buf_printf(out, "%6.2f  ", t->score);
		put_text(out, t->identity);
		buf_printf(out, " (%.1f good, %.1f bad)\n", t->ham, t->spam);
	}
	put_open(v, false, columns, out);
	put_open(v, true, columns, out);
	put_total(v, c, out);
}
