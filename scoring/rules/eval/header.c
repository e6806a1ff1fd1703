/*
 * HeaderEval, first half: dates, recipients, illegal characters, counts and
 * relations between header fields.
 */
#include <math.h>
#include <stdlib.h>

#include "base/escape.h"
#include "scoring/message/date.h"
#include "scoring/rules/eval/probe.h"

enum {
	FULL_DATE, FETCHMAIL_FROM, QMAIL_UID, FETCHMAIL_BY, CAPS_PREFIX,
	CAPS_CHARSET, TEMPLATE, TEMPLATE_FIELD, OUTLOOK_ID, RATWARE_ID, PATTERNS
};

static const char *const texts[PATTERNS] = {
	[FULL_DATE] = "/(\\s.?\\d+ \\S\\S\\S \\d+ \\d+:\\d+:\\d+ \\S+)/",
	[FETCHMAIL_FROM] = "/\\bfrom (?:localhost\\s|(?:\\S+ ){1,2}\\S*\\b127\\.0\\.0\\.1\\b)/",
	[QMAIL_UID] = "/qmail \\d+ invoked by uid \\d+/",
	[FETCHMAIL_BY] = "/\\bby localhost with \\w+ \\(fetchmail-[\\d.]+/",
	[CAPS_PREFIX] = "/^(?:(?:Re|Fwd|Fw|Aw|Antwort|WG|SV|VB|VS|VL):\\s*)+/i",
	[CAPS_CHARSET] = "/=\\?[-_a-z0-9]*(?:koi|jp|jis|euc|gb|big5|isoir|cp1251|windows-1251|georgianps|pt154|tis)[-_a-z0-9]*\\?/i",
	[TEMPLATE] = "/%[A-Z][A-Z_-]/",
	[TEMPLATE_FIELD] = "/^(?:X-VMS-To|X-UIDL|X-Face|To|Cc|From|Subject|References|In-Reply-To|(?:X-|Resent-|X-Original-)?Message-Id):/i",
	[OUTLOOK_ID] = "/^<[0-9a-f]{4}([0-9a-f]{8})\\$[0-9a-f]{8}\\$[0-9a-f]{8}\\@/",
	[RATWARE_ID] = "/<[A-Z]{28}\\.([^>]+?)>/",
};

enum { MAX_RECEIVED = 256, MAX_RECIPIENTS = 256 };

/* What the date functions share, computed once a message */
struct dates {
	bool has_date;
	int64_t date;		     /* Resent-Date, else Date */
	int64_t received[MAX_RECEIVED]; /* newest first */
	size_t received_count;
	bool has_fetchmail;
	int64_t fetchmail;
	int64_t diff; /* Date minus the nearest Received, 0 if unknown */
};

struct cache {
	struct dates *dates;
	bool has_recipients, sorted;
	double similar;
};

static int
load(struct eval_loader *l, void **ret_state)
{
	return probe_load(l, texts, PATTERNS, ret_state);
}

/* "undef" stands for no bound */
static bool
in_range(const struct eval_call *call, size_t min_arg, double value,
    double factor)
{
	const struct span *min = &call->args[min_arg],
			  *max = &call->args[min_arg + 1];

	return (span_is(*min, "undef") || value >= factor * strtod(min->ptr, NULL)) &&
	    (span_is(*max, "undef") || value < factor * strtod(max->ptr, NULL));
}

static bool
line_date(struct probe *p, struct span line, int64_t *ret_time)
{
	struct span g[2];

	return probe_groups(p, FULL_DATE, line, g, 2) && date_parse(g[1], ret_time);
}

static void
received_times(struct probe *p, struct dates *d)
{
	const struct span *lines;
	size_t count, first = 0, local_end = 0;

	if (eval_get_list(p->ctx, "Received", &lines, &count) != 0) {
		p->error = -ENOMEM;
		return;
	}
	if (count == 0)
		return;
	/* fetchmail's own fields stand before the ones that were carried */
	if (probe_hit(p, FETCHMAIL_FROM, lines[0]) ||
	    probe_hit(p, QMAIL_UID, lines[0]))
		local_end = 1;
	if (count > local_end &&
	    probe_hit(p, FETCHMAIL_BY, lines[local_end]))
		first = ++local_end;
	else
		local_end = 0;
	for (size_t i = 0; i < local_end; i++) {
		int64_t t;

		if (line_date(p, lines[i], &t) &&
		    t <= eval_input(p->ctx)->evidence->now &&
		    (!d->has_fetchmail || t > d->fetchmail)) {
			d->fetchmail = t;
			d->has_fetchmail = true;
		}
	}
	for (size_t i = first; i < count && d->received_count < MAX_RECEIVED; i++)
		if (line_date(p, lines[i], &d->received[d->received_count]))
			d->received_count++;
}

static const struct dates *
dates_of(struct probe *p)
{
	static const char *const fields[] = { "Resent-Date", "Date" };
	const struct message *m = eval_input(p->ctx)->message;
	struct cache *c = probe_cache(p, sizeof(struct cache));
	struct dates *d;
	size_t n;

	if (c == NULL || c->dates != NULL)
		return c != NULL ? c->dates : NULL;
	c->dates = d = ARENA_NEW(eval_input(p->ctx)->arena, struct dates);
	if (d == NULL) {
		p->error = -ENOMEM;
		return NULL;
	}
	for (size_t k = 0; k < 2 && !d->has_date; k++)
		for (size_t i = 0; !d->has_date; i++) {
			struct field *f = message_find(m, fields[k], i);

			if (f == NULL)
				break;
			d->has_date = date_parse(field_decoded(m, f), &d->date);
		}
	received_times(p, d);
	n = d->received_count;
	if (d->has_date && n > 0) {
		/* the oldest Received is often written by the author's own
		 * program: the same second says nothing */
		if (n > 1 && d->received[n - 1] == d->date)
			n--;
		d->diff = d->date - d->received[0];
		for (size_t i = 1; i < n; i++)
			if (llabs(d->date - d->received[i]) < llabs(d->diff))
				d->diff = d->date - d->received[i];
	}
	return d;
}

static int
run_shifted_date(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	const struct dates *d = dates_of(&p);

	return probe_end(&p, r,
	    d != NULL && in_range(call, 0, (double)d->diff, 3600));
}

static int
time_cmp_newest(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x < y) - (x > y);
}

static int
run_within_months(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const double month = 31556952.0 / 12;
	struct probe p = probe_begin(ctx);
	const struct dates *d = dates_of(&p);
	int64_t times[4], when = 0;
	size_t n = 0;

	if (d != NULL) {
		if (d->has_date)
			times[n++] = d->date;
		if (d->received_count > 0)
			times[n++] = d->received[0];
		if (d->has_fetchmail)
			times[n++] = d->fetchmail;
		if (d->has_date && d->received_count > 0)
			times[n++] = d->date - d->diff;
		if (n > 0) {
			qsort(times, n, sizeof(times[0]), time_cmp_newest);
			when = times[(n - 1) / 2];
		}
	}
	return probe_end(&p, r, in_range(call, 0,
		(double)(eval_input(ctx)->evidence->now - when), month));
}

static bool
is_illegal(unsigned char c)
{
	return c <= 8 || c == 0x0B || c == 0x0C || (c >= 0x0E && c <= 0x1F) ||
	    c >= 0x7F;
}

static int
run_illegal_chars(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	bool raw = call->args[0].len > 4 &&
	    span_is(span_from(call->args[0], call->args[0].len - 4), ":raw");
	const char *request = raw ? call->args[0].ptr :
	    arena_printf(eval_input(ctx)->arena, "%s:raw", call->args[0].ptr);
	double ratio = strtod(call->args[1].ptr, NULL),
	       count = strtod(call->args[2].ptr, NULL);
	size_t illegal = 0, exempt = 0, controls = 0, high = 0, i;
	bool utf8 = true;
	struct span s;

	if (request == NULL)
		return -ENOMEM;
	s = probe_get(&p, request);
	if (span_trim(s).len == 0)
		return probe_end(&p, r, false);
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		illegal += is_illegal(c);
		high += c >= 0x80;
		controls += c < 0x20 && is_illegal(c);
		exempt += c == 0xA2 || c == 0xA3 || c == 0xAE;
	}
	for (i = 0; high > 0 && utf8 && i < s.len;) {
		uint32_t cp;
		size_t skip, n = utf8_decode(span_from(s, i), &cp, &skip);

		utf8 = n != 0;
		i += n;
	}
	if (high > 0 && utf8 && controls == 0) /* RFC 6532 */
		return probe_end(&p, r, false);
	if (illegal > 0 && span_iis(span_cstr(request), "subject:raw") &&
	    exempt == 1)
		illegal--;
	return probe_end(&p, r, (double)illegal / (double)s.len >= ratio &&
		(double)illegal >= count);
}

/* SpamAssassin compares the bytes of two characters at the beginning */
static bool
same_start(struct span a, struct span b)
{
	return span_eq(span_of(a.ptr, a.len < 2 ? a.len : 2),
	    span_of(b.ptr, b.len < 2 ? b.len : 2));
}

static struct span
host_of(struct span address)
{
	size_t at = span_find(address, '@');

	return span_from(address, at < address.len ? at + 1 : at);
}

static int
span_cmp(struct span a, struct span b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n != 0 ? memcmp(a.ptr, b.ptr, n) : 0;

	return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static void
recipients(struct probe *p, struct cache *c)
{
	enum { SORTED_MIN = 7, SIMILAR_MIN = 5 };
	static const char *const requests[] = { "ToCc:addr", "Bcc:addr" };
	struct span list[MAX_RECIPIENTS];
	const struct span *values;
	size_t count, n = 0, inputs = 0, hits = 0, pairs = 0;

	c->has_recipients = true;
	for (size_t k = 0; k < 2 && inputs < SIMILAR_MIN; k++) {
		if (eval_get_list(p->ctx, requests[k], &values, &count) != 0) {
			p->error = -ENOMEM;
			return;
		}
		inputs += count;
		for (size_t i = 0; i < count && n < MAX_RECIPIENTS; i++)
			if (n == 0 || !span_ieq(values[i], list[n - 1]))
				list[n++] = values[i];
	}
	c->sorted = n >= SORTED_MIN;
	for (size_t i = 1; i < n; i++)
		if (span_cmp(list[i - 1], list[i]) > 0)
			c->sorted = false;
	if (n < SIMILAR_MIN)
		return;
	if (!eval_steps(p->ctx, n * n / 2)) {
		p->error = -EAGAIN;
		return;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++) {
			struct span a = host_of(list[i]), b = host_of(list[j]);

			hits += same_start(list[i], list[j]);
			hits += same_start(a, b) && !span_eq(a, b);
			pairs++;
		}
	c->similar = (double)hits / (double)pairs;
}

static int
run_sorted_recipients(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct cache *c = probe_cache(&p, sizeof(struct cache));

	(void)call;
	if (c != NULL && !c->has_recipients)
		recipients(&p, c);
	return probe_end(&p, r, c != NULL && c->sorted);
}

static int
run_similar_recipients(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct cache *c = probe_cache(&p, sizeof(struct cache));

	if (c != NULL && !c->has_recipients)
		recipients(&p, c);
	return probe_end(&p, r, c != NULL && in_range(call, 0, c->similar, 1));
}

static int
run_missing_to(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);

	(void)call;
	return probe_end(&p, r, probe_get(&p, "To").len == 0 &&
		probe_get(&p, "Apparently-To").len == 0);
}

static int
run_matching_from(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);

	(void)call;
	return probe_end(&p, r, span_ieq(probe_get(&p, "EnvelopeFrom:addr"),
		probe_get(&p, "From:addr")));
}

static int
run_all_caps(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span s = span_trim(probe_get(&p, "Subject")), g[1];
	bool space = false, letters = false, lower = false;

	(void)call;
	if (probe_groups(&p, CAPS_PREFIX, s, g, 1))
		s = span_from(s, g[0].len);
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		space |= span_is_wsp(c);
		letters |= (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
		lower |= c >= 'a' && c <= 'z';
	}
	return probe_end(&p, r, space && s.len >= 10 && letters && !lower &&
		!probe_hit(&p, CAPS_CHARSET, probe_get(&p, "Subject:raw")));
}

static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') || c == '_';
}

/* /\b\Q$needle\E\b/i */
static bool
has_whole(struct span s, struct span needle)
{
	if (needle.len == 0)
		return false;
	for (size_t i = 0; i + needle.len <= s.len; i++) {
		size_t end = i + needle.len;
		bool before = i > 0 && is_word(s.ptr[i - 1]);
		bool after = end < s.len && is_word(s.ptr[end]);

		if (span_ieq(span_of(s.ptr + i, needle.len), needle) &&
		    before != is_word(needle.ptr[0]) &&
		    after != is_word(needle.ptr[needle.len - 1]))
			return true;
	}
	return false;
}

static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* The forms in which a subject addresses the local part: "Re: [word ]user",
 * "user, ...", "user", ", user!" */
static bool
user_in_subject(struct span subject, struct span user)
{
	struct span s = subject, rest;

	while (s.len > 0 && s.ptr[s.len - 1] == '\n')
		s.len--;
	if (user.len == 0)
		return false;
	if (span_istarts(s, "re:") || span_istarts(s, "fw:")) {
		rest = span_trim(span_from(s, 3));
		if (span_ieq(rest, user))
			return true;
		for (size_t i = 0; i < rest.len; i++)
			if (!is_word(rest.ptr[i])) {
				if (i > 0 && span_is_wsp(rest.ptr[i]) &&
				    span_ieq(span_trim(span_from(rest, i)), user))
					return true;
				break;
			}
	}
	if (span_ieq(s, user))
		return true;
	if (s.len > user.len && span_eq(span_of(s.ptr, user.len), user)) {
		size_t i = user.len;

		while (i < s.len && span_is_wsp(s.ptr[i]))
			i++;
		if (i < s.len && is_one_of(s.ptr[i], ",:;!?-") &&
		    (i + 1 == s.len || span_is_wsp(s.ptr[i + 1])))
			return true;
	}
	if (s.len > 1 && s.ptr[0] == ',' && is_one_of(s.ptr[s.len - 1], ",:;!?-")) {
		rest = span_trim(span_of(s.ptr + 1, s.len - 2));
		return span_ieq(rest, user);
	}
	return false;
}

static int
run_to_in_subject(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span to = probe_get(&p, "To:addr"), s = probe_get(&p, "Subject");
	bool hit = false;

	if (to.len > 0 && span_is(call->args[0], "address"))
		hit = has_whole(s, to);
	else if (to.len > 0 && span_is(call->args[0], "user"))
		hit = user_in_subject(s, span_of(to.ptr, span_find(to, '@')));
	return probe_end(&p, r, hit);
}

/* Outlook's Message-ID holds the high half of the FILETIME of sending */
static bool
outlook_time_is(int64_t unixtime, double token)
{
	double expected = trunc((double)unixtime * 0.0023283064365387 +
	    27111902.8329849);

	return fabs(token - expected) < 250;
}

static int
run_outlook_id(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span g[2];
	int64_t t = 0;
	double token = 0;
	bool hit = false;

	(void)call;
	if (probe_groups(&p, OUTLOOK_ID, probe_get(&p, "MESSAGEID"), g, 2)) {
		char hex[9];

		memcpy(hex, g[1].ptr, 8);
		hex[8] = '\0';
		token = (double)strtoul(hex, NULL, 16);
		if (!date_parse(probe_get(&p, "Date"), &t))
			t = 0;
		hit = !outlook_time_is(t, token);
		if (hit) {
			if (!date_parse(probe_get(&p, "Received"), &t))
				t = 0;
			hit = !outlook_time_is(t, token);
		}
	}
	return probe_end(&p, r, hit);
}

static int
run_header_count(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	enum { MAX_DISTINCT = 1000 };
	const struct message *m = eval_input(ctx)->message;
	struct span *seen;
	size_t count = message_count(m, call->args[0].ptr), n = 0;
	double min = strtod(call->args[1].ptr, NULL),
	       max = strtod(call->args[2].ptr, NULL);

	if (count > MAX_DISTINCT)
		count = MAX_DISTINCT;
	if (!eval_steps(ctx, count * count)) {
		r->state = EVAL_UNKNOWN;
		r->why = "step budget";
		return 0;
	}
	seen = ARENA_ARRAY(eval_input(ctx)->arena, count, struct span);
	if (seen == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct field *f = message_find(m, call->args[0].ptr, i);
		struct span v = field_decoded(m, f);
		size_t k = 0;

		while (k < n && !span_eq(seen[k], v))
			k++;
		if (k == n)
			seen[n++] = v;
	}
	r->count = (double)n >= min && (double)n <= max;
	return 0;
}

static int
run_template(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span all = probe_get(&p, "ALL");
	bool hit = false;

	(void)call;
	while (all.len > 0 && !hit) {
		struct span line = span_of(all.ptr, span_find(all, '\n'));

		all = span_from(all, line.len + 1);
		hit = memchr(line.ptr, '%', line.len) != NULL &&
		    probe_hit(&p, TEMPLATE, line) &&
		    !probe_hit(&p, TEMPLATE_FIELD, line);
	}
	return probe_end(&p, r, hit);
}

static int
run_ratware_name_id(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span g[2], from = probe_get(&p, "From");
	bool hit = false;

	(void)call;
	if (probe_groups(&p, RATWARE_ID, probe_get(&p, "MESSAGEID"), g, 2)) {
		/* "name" <the id's right part> */
		size_t open = span_find(from, '"'), close;

		close = open + 1 + span_find(span_from(from, open + 1), '"');
		if (open < from.len && close < from.len && close > open + 1) {
			struct span rest = span_trim(span_from(from, close + 1));

			hit = rest.len >= g[1].len + 2 && rest.ptr[0] == '<' &&
			    span_eq(span_of(rest.ptr + 1, g[1].len), g[1]) &&
			    rest.ptr[1 + g[1].len] == '>';
		}
	}
	return probe_end(&p, r, hit);
}

static int
run_ratware_envelope(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span to = probe_get(&p, "To:addr"),
		    from = probe_get(&p, "EnvelopeFrom:addr"), user, domain;
	size_t at = span_find(to, '@');
	bool hit = false;

	(void)call;
	if (at > 0 && at + 1 < to.len && from.len > 5 &&
	    !(span_istarts(from, "SRS") && from.ptr[3] >= '0' &&
		from.ptr[3] <= '9' && is_one_of(from.ptr[4], "=+-"))) {
		user = span_of(to.ptr, at);
		domain = eval_valid_domain(ctx, span_from(to, at + 1));
		for (size_t i = 0; domain.len > 0 && !hit &&
		     i + domain.len + 1 + user.len < from.len; i++)
			hit = span_ieq(span_of(from.ptr + i, domain.len), domain) &&
			    (i == 0 || !is_word(from.ptr[i - 1])) &&
			    span_ieq(span_of(from.ptr + i + domain.len + 1, user.len), user) &&
			    from.ptr[i + domain.len + 1 + user.len] == '@';
	}
	return probe_end(&p, r, hit);
}

/* The last two labels, as SpamAssassin takes them here */
static struct span
two_labels(struct span address)
{
	size_t dots = 0;

	for (size_t i = address.len; i > 0; i--) {
		if (address.ptr[i - 1] == '@')
			return span_from(address, i);
		if (address.ptr[i - 1] == '.' && ++dots == 2 && i < address.len)
			return span_from(address, i);
	}
	return span_of("", 0);
}

static int
run_equal_domains(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span from = two_labels(probe_get(&p, "From:addr")),
		    env = two_labels(probe_get(&p, "EnvelopeFrom:addr"));

	(void)call;
	return probe_end(&p, r,
	    from.len > 0 && env.len > 0 && !span_ieq(from, env));
}

static const struct eval_function functions[] = {
	{ "check_for_shifted_date", EVAL_HEADER, "ss", run_shifted_date, NULL, NULL },
	{ "received_within_months", EVAL_HEADER, "ss", run_within_months, NULL, NULL },
	{ "check_illegal_chars", EVAL_HEADER, "sss", run_illegal_chars, NULL, NULL },
	{ "sorted_recipients", EVAL_HEADER, "", run_sorted_recipients, NULL, NULL },
	{ "similar_recipients", EVAL_HEADER, "ss", run_similar_recipients, NULL, NULL },
	{ "check_for_missing_to_header", EVAL_HEADER, "", run_missing_to, NULL, NULL },
	{ "check_for_matching_env_and_hdr_from", EVAL_HEADER, "", run_matching_from, NULL, NULL },
	{ "subject_is_all_caps", EVAL_HEADER, "", run_all_caps, NULL, NULL },
	{ "check_for_to_in_subject", EVAL_HEADER, "s", run_to_in_subject, NULL, NULL },
	{ "check_outlook_message_id", EVAL_HEADER, "", run_outlook_id, NULL, NULL },
	{ "check_header_count_range", EVAL_HEADER, "sss", run_header_count, NULL, NULL },
	{ "check_unresolved_template", EVAL_HEADER, "", run_template, NULL, NULL },
	{ "check_ratware_name_id", EVAL_HEADER, "", run_ratware_name_id, NULL, NULL },
	{ "check_ratware_envelope_from", EVAL_HEADER, "", run_ratware_envelope, NULL, NULL },
	{ "check_equal_from_domains", EVAL_HEADER, "", run_equal_domains, NULL, NULL },
	{ "check_for_unique_subject_id", EVAL_HEADER, "", probe_never, NULL, NULL },
	{ 0 },
};

const struct eval_family eval_header = {
	"Mail::SpamAssassin::Plugin::HeaderEval", functions, NULL, NULL, load,
};
