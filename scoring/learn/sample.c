/*
 * The views of one message. Everything that a filter, the local delivery or
 * a mail store may have added is dropped here, by name, before anything can
 * look at it.
 */
#include <ctype.h>
#include <errno.h>

#include "base/buf.h"
#include "scoring/learn/sample.h"
#include "scoring/learn/views.h"

/* Fields that tell what somebody's filter or mailbox made of the message.
 * Lower case; a name that begins with one of these is out. */
static const char *const leak_prefixes[] = {
	"authentication-results", "x-authentication-results",
	"arc-authentication-results", "x-original-authentication-results",
	"received-spf", "x-received-spf", "dkim-filter", "dmarc-filter",
	"x-bogosity", "x-crm114", "x-rspamd", "x-amavis", "x-ironport",
	"ironport-", "x-barracuda", "x-proofpoint", "x-scanned", "x-greylist",
	"x-milter", "x-razor", "x-pyzor", "x-dcc-", "x-cloudmark",
	"x-brightmail", "x-symantec", "x-sophos", "x-clamav", "x-cfilter",
	"x-amp-", "x-pmx-", "x-perlmx", "x-tm-as", "x-policyd", "x-asg-",
	"x-habeas", "x-filter", "x-content-filter", "x-mailfilter",
	"x-ham", "x-suspect", "x-forefront", "x-microsoft-antispam",
	"x-ms-exchange-organization-", "x-ms-exchange-antispam",
	"x-yahoofilteredbulk", "x-ymail", "x-evolution", "x-mozilla",
	"x-uid", "x-imap", "x-keywords", "keywords-store", "x-status",
	"x-folder", "x-sieve", "x-getmail", "x-fetchmail", "x-gmail-labels",
	"x-label", "x-rcpt", "x-envelope", "envelope-", "delivered-to",
	"x-delivered", "x-original-to", "x-apparently-to", "x-resolved-to",
	"delivery-date", "x-delivery", "return-path", "x-account-key",
	"x-mda", "x-lmtp", "x-source", "x-mailscanner", "x-gm-spam",
	"x-gm-phishy", "x-cmae", "x-ui-filterresults", "x-ui-out-filter",
	"x-me-proxy", "x-vr-", "x-vade",
};

/* ... and these are out as a whole, or wherever they stand in the name */
static const char *const leak_names[] = {
	"status", "lines", "content-length", "xref", "replied", "forwarded",
	"path", "x-loop", "received-at", "x-received-at",
};
static const char *const leak_parts[] = {
	"spam", "virus", "junk", "bogo", "bayes", "phish", "malware",
	"quarantine", "antispam", "-scl", "-scan", "spf-result",
	"dkim-result", "dmarc-result",
};

/* Signatures: kilobytes of base64 that never come again */
static const char *const signature_prefixes[] = {
	"dkim-", "domainkey", "arc-", "x-google-", "x-gm-", "x-received",
	"x-me-sender", "x-ms-exchange-", "x-sg-", "x-forefront-", "feedback-id",
	"autocrypt", "openpgp", "x-face", "face",
};

/* Fields that say how it came here and through which list: not the author's
 * choice of words, and much alike in all mail of one path */
static const char *const path_prefixes[] = {
	"received", "list-", "x-mailing-list", "mailing-list", "precedence",
	"x-beenthere", "x-google-group", "x-original-", "errors-to",
	"x-mailman", "x-list", "x-mc-", "resent-", "x-srs",
	"x-originalarrival", "x-authentication-warning", "x-mime-auto",
	"x-uuid", "x-extloop", "x-egroups", "x-yahoo-profile", "x-thread",
};

enum field_class {
	FIELD_AUTHOR,
	FIELD_PATH,
	FIELD_SIGNATURE,
	FIELD_LEAK,
};

/* A field's name in lower case, cut where no list looks any more */
struct name {
	char text[64];
	size_t len;
};

static void
name_make(struct span s, struct name *n)
{
	n->len = s.len < sizeof(n->text) ? s.len : sizeof(n->text);
	for (size_t i = 0; i < n->len; i++)
		n->text[i] = (char)tolower((unsigned char)s.ptr[i]);
}

/* Lists are short but names are many: the first and the third letter settle
 * nearly all (most entries begin with "x-"). */
static bool
starts_with_any(const struct name *n, const char *const *list, size_t count)
{
	if (n->len < 3)
		return false;
	for (size_t i = 0; i < count; i++) {
		const char *entry = list[i];
		size_t len;

		if (entry[0] != n->text[0] || entry[2] != n->text[2])
			continue;
		len = strlen(entry);
		if (n->len >= len && memcmp(n->text, entry, len) == 0)
			return true;
	}
	return false;
}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static bool
name_leaks(const struct name *n)
{
	if (starts_with_any(n, leak_prefixes, COUNT(leak_prefixes)))
		return true;
	for (size_t i = 0; i < COUNT(leak_names); i++)
		if (n->len == strlen(leak_names[i]) &&
		    memcmp(n->text, leak_names[i], n->len) == 0)
			return true;
	for (size_t i = 0; i < COUNT(leak_parts); i++) {
		const char *part = leak_parts[i];
		size_t len = strlen(part);

		for (size_t k = 0; k + len <= n->len; k++)
			if (n->text[k] == part[0] && n->text[k + 1] == part[1] &&
			    memcmp(n->text + k, part, len) == 0)
				return true;
	}
	return false;
}

bool
sample_field_leaks(struct span name)
{
	struct name n;

	name_make(name, &n);
	return name_leaks(&n);
}

static enum field_class
classify(struct span field_name)
{
	struct name n;

	name_make(field_name, &n);
	if (name_leaks(&n))
		return FIELD_LEAK;
	if (starts_with_any(&n, signature_prefixes, COUNT(signature_prefixes)))
		return FIELD_SIGNATURE;
	if (starts_with_any(&n, path_prefixes, COUNT(path_prefixes)) ||
	    span_iis(field_name, "sender"))
		return FIELD_PATH;
	return FIELD_AUTHOR;
}

static bool
has_word(struct span v, const char *word)
{
	return v.len != 0 && memmem(v.ptr, v.len, word, strlen(word)) != NULL;
}

/* A hand-over inside this host or to its mailbox; the hop below it is still
 * a local one */
static bool
received_is_inside(struct span v)
{
	static const char *const marks[] = { "127.0.0.1", "[::1]", "localhost",
		"LMTP", "lmtp", "with local", "fetchmail", "by uid", "userid ",
		"(Postfix, from" };

	for (size_t i = 0; i < COUNT(marks); i++)
		if (has_word(v, marks[i]))
			return true;
	return !has_word(v, "from ");
}

/* How many of the topmost Received fields the local host wrote */
static size_t
local_hops(const struct message *m)
{
	size_t n = 0;

	for (const struct field *f = message_find(m, "Received", 0); f != NULL;
	    f = message_next(m, f)) {
		n++;
		if (!received_is_inside(f->raw))
			break;
	}
	return n;
}

static const struct span none = { "", 0 };

static void
token(struct view *v, const char *text)
{
	view_token(v, text, none, "", none);
}

static struct span
domain_of(struct span v)
{
	const char *at = v.len != 0 ? memrchr(v.ptr, '@', v.len) : NULL;
	size_t n = 0;

	if (at == NULL)
		return none;
	v = span_from(v, (size_t)(at - v.ptr) + 1);
	while (n < v.len && v.ptr[n] != '>' && !span_is_wsp(v.ptr[n]))
		n++;
	return span_of(v.ptr, n);
}

static void
subject_tokens(struct view *v, struct span s, bool thread)
{
	size_t upper = 0, lower = 0;
	const char *open;

	if (span_istarts(s, "re:") && !thread)
		token(v, "p:re-without-thread");
	open = s.len != 0 ? memchr(s.ptr, '[', s.len) : NULL;
	if (open != NULL && memchr(open, ']', s.len - (size_t)(open - s.ptr)))
		token(v, "p:tagged-subject");
	for (size_t i = 0; i < s.len; i++) {
		upper += s.ptr[i] >= 'A' && s.ptr[i] <= 'Z';
		lower += s.ptr[i] >= 'a' && s.ptr[i] <= 'z';
	}
	if ((upper >= 4 && lower == 0) ||
	    (s.len != 0 && (memchr(s.ptr, '!', s.len) || memchr(s.ptr, '$', s.len))))
		token(v, "p:subject-shouts");
}

/* Words of ours about the shape of the header; prior.c knows some */
static void
header_tokens(const struct message *m, struct view *v)
{
	struct field *from = message_find(m, "From", 0);
	struct field *to = message_find(m, "To", 0);
	struct field *reply_to = message_find(m, "Reply-To", 0);
	struct field *subject = message_find(m, "Subject", 0);
	struct field *type = message_find(m, "Content-Type", 0);
	struct span author = from != NULL ? field_unfolded(m, from) : none;
	bool thread = message_find(m, "In-Reply-To", 0) != NULL ||
	    message_find(m, "References", 0) != NULL;
	struct span t = type != NULL ? span_trim(type->raw) : none;
	size_t n = 0, digits = 0;

	if (thread)
		token(v, "p:thread");
	if (subject != NULL)
		subject_tokens(v, field_unfolded(m, subject), thread);
	if (message_find(m, "Message-ID", 0) == NULL)
		token(v, "p:no-message-id");
	if (to == NULL || memchr(to->raw.ptr, '@', to->raw.len) == NULL)
		token(v, "p:no-recipient");
	if (reply_to != NULL &&
	    !span_ieq(domain_of(field_unfolded(m, reply_to)), domain_of(author)))
		token(v, "p:reply-to-elsewhere");
	for (size_t i = 0; i < author.len; i++) {
		if (author.ptr[i] == '@' && digits >= 3)
			token(v, "p:digits-in-author");
		digits = author.ptr[i] >= '0' && author.ptr[i] <= '9' ?
		    digits + 1 : 0;
	}
	while (n < t.len && t.ptr[n] != ';' && !span_is_wsp(t.ptr[n]) && n < 60)
		n++;
	view_token(v, "ct=", n != 0 ? span_of(t.ptr, n) : SPAN_LIT("text/plain"),
	    "", none);
}

int
sample_make(const struct sample_source *source, struct arena *a,
    struct sample *ret_sample)
{
	struct message *m = source->message;
	size_t local = source->delivered ? local_hops(m) : 0, hops = 0;
	struct view raw, head, text, tokens;
	struct span before = none;
	int r;

	if (!view_init(&raw, a, SAMPLE_RAW_BYTES) ||
	    !view_init(&head, a, SAMPLE_HEAD_BYTES) ||
	    !view_init(&text, a, SAMPLE_TEXT_BYTES) ||
	    !view_init(&tokens, a, SAMPLE_TOKENS_BYTES))
		return -ENOMEM;
	header_tokens(m, &tokens);
	for (size_t i = 0; i < m->field_count; i++) {
		struct field *f = &m->fields[i];
		enum field_class class;
		bool received;

		/* enough of everything: the rest could not be kept */
		if (raw.len == raw.cap && head.len == head.cap &&
		    tokens.len + 64 > tokens.cap)
			break;
		class = classify(f->name);
		if (class == FIELD_LEAK)
			continue;
		received = span_iis(f->name, "Received");
		if (received && hops++ < local)
			continue;
		if (f->name.len <= 40) {
			/* the first of its name, local hops not counted */
			if (received ? hops == local + 1 :
			    message_find_span(m, f->name, 0) == f)
				view_token(&tokens, "h=", f->name, "", none);
			if (before.len != 0)
				view_token(&tokens, "", before, ">", f->name);
			before = f->name;
		}
		if (class == FIELD_SIGNATURE)
			continue;
		view_add(&raw, f->name);
		view_add(&raw, SPAN_LIT(":"));
		view_add_lines(&raw, f->raw);
		view_add(&raw, SPAN_LIT("\n"));
		if (class == FIELD_AUTHOR && head.len < head.cap) {
			struct span value = field_decoded(m, f);

			if (value.ptr == NULL)
				return -ENOMEM;
			view_add(&head, f->name);
			view_add(&head, SPAN_LIT(": "));
			view_add_text(&head, value);
			view_add(&head, SPAN_LIT("\n"));
		}
	}
	view_add(&raw, SPAN_LIT("\n"));
	view_add_lines(&raw, span_from(m->raw, m->body_offset));
	r = views_body(m, &text, &tokens);
	if (r != 0)
		return r;
	*ret_sample = (struct sample){ .view = {
		[SAMPLE_RAW] = { raw.ptr, raw.len },
		[SAMPLE_HEAD] = { head.ptr, head.len },
		[SAMPLE_TEXT] = { text.ptr, text.len },
		[SAMPLE_TOKENS] = { tokens.ptr, tokens.len },
	} };
	return 0;
}

/* Packed: a version byte, then each view as 16 bits of length, big-endian,
 * and its bytes. */
enum { PACK_VERSION = 1 };

static const size_t view_cap[SAMPLE_VIEWS] = { SAMPLE_RAW_BYTES,
	SAMPLE_HEAD_BYTES, SAMPLE_TEXT_BYTES, SAMPLE_TOKENS_BYTES };

int
sample_pack(const struct sample *s, struct arena *a, struct span *ret_packed)
{
	size_t n = 1;
	char *p, *out;

	for (int i = 0; i < SAMPLE_VIEWS; i++)
		n += 2 + s->view[i].len;
	out = p = arena_bytes(a, n);
	if (p == NULL)
		return -ENOMEM;
	*p++ = PACK_VERSION;
	for (int i = 0; i < SAMPLE_VIEWS; i++) {
		*p++ = (char)(s->view[i].len >> 8);
		*p++ = (char)(s->view[i].len & 0xFF);
		if (s->view[i].len != 0)
			memcpy(p, s->view[i].ptr, s->view[i].len);
		p += s->view[i].len;
	}
	*ret_packed = span_of(out, n);
	return 0;
}

int
sample_unpack(struct span packed, struct sample *ret_sample)
{
	struct sample s;
	size_t at = 1;

	if (packed.len < 1 || packed.ptr[0] != PACK_VERSION)
		return -EBADMSG;
	for (int i = 0; i < SAMPLE_VIEWS; i++) {
		size_t n;

		if (packed.len - at < 2)
			return -EBADMSG;
		n = (size_t)(uint8_t)packed.ptr[at] << 8 |
		    (uint8_t)packed.ptr[at + 1];
		at += 2;
		if (n > packed.len - at || n > view_cap[i])
			return -EBADMSG;
		s.view[i] = span_of(packed.ptr + at, n);
		at += n;
	}
	if (at != packed.len)
		return -EBADMSG;
	*ret_sample = s;
	return 0;
}
