/* Messages made up for the tests of this room: a small generator that is the
 * same at every run, so that a failure can be repeated. */
#ifndef T_LEARN_MAIL_H
#define T_LEARN_MAIL_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "scoring/learn/model.h"

struct mail_random {
	uint64_t state;
};

static inline uint32_t
mail_random(struct mail_random *r)
{
	r->state = r->state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(r->state >> 33);
}

static const char *const mail_ham_words[] = { "meeting", "patch", "review",
	"thanks", "kernel", "lunch", "tomorrow", "attached", "budget", "draft",
	"question", "train", "garden", "invoice", "family", "photos" };
static const char *const mail_spam_words[] = { "prize", "winner", "casino",
	"pills", "discount", "unlimited", "transfer", "million", "urgent",
	"click", "offer", "exclusive", "refinance", "replica", "miracle",
	"guarantee" };
static const char *const mail_plain_words[] = { "the", "and", "for", "you",
	"with", "this", "from", "have", "your", "will", "are", "not", "can",
	"here", "our", "all" };

/* A message of the class, with some words of the other. top goes before the
 * first field, extra behind the author's fields: whole lines. */
static inline struct span
mail_make(struct arena *a, struct mail_random *r, bool spam, const char *top,
    const char *extra)
{
	struct buf b;
	char *copy;
	struct span s;

	buf_init(&b, 1 << 20);
	buf_printf(&b, "%sFrom: user%u <user%u@%s.example>\n", top,
	    mail_random(r) % 50, mail_random(r) % 50, spam ? "bulk" : "work");
	buf_printf(&b, "To: me@home.example\nSubject: %s %s\n",
	    (spam ? mail_spam_words : mail_ham_words)[mail_random(r) % 16],
	    mail_plain_words[mail_random(r) % 16]);
	buf_printf(&b, "Message-ID: <%u.%u@mx.example>\n%s\n", mail_random(r),
	    mail_random(r), extra);
	for (unsigned i = 0, n = 30 + mail_random(r) % 60; i < n; i++) {
		unsigned kind = mail_random(r) % 10;
		const char *const *list = kind < 6 ? mail_plain_words :
		    kind == 6 ? (spam ? mail_ham_words : mail_spam_words) :
		    (spam ? mail_spam_words : mail_ham_words);

		buf_printf(&b, "%s%c", list[mail_random(r) % 16],
		    i % 9 == 8 ? '\n' : ' ');
	}
	buf_add_char(&b, '\n');
	copy = arena_memdup(a, b.ptr, b.len);
	s = span_of(copy, b.len);
	buf_done(&b);
	return s;
}

/* Aborts the test on failure: nothing can be tested then */
static inline struct sample
mail_sample(struct arena *a, struct span raw, bool delivered)
{
	struct message_limits limits = { 1 << 20, 1000, 20, 100, 100 };
	struct message *m;
	struct sample s;

	if (message_parse(a, raw, raw.len, &limits, &m, NULL) != 0 ||
	    sample_make(&(struct sample_source){ .message = m,
		.delivered = delivered }, a, &s) != 0) {
		printf("Bail out! a test message is not understood\n");
		exit(1);
	}
	return s;
}

#endif
