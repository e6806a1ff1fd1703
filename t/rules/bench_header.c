/*
 * How many messages of 10 kB a second the engine judges by header rules: one
 * core (CPU time), parsing and the path of trust included, the rules over
 * bodies not. The rules are those of the
 * directory given, the messages are made here, 500 different ones.
 */
#include <stdlib.h>
#include <time.h>

#include "t/rules/rig.h"

enum { MESSAGES = 500, BODY = 9000, ROUNDS = 6 };

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct span
make_message(struct arena *a, unsigned i)
{
	struct span s;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_printf(&b,
	    "Return-Path: <bounce-%u@list%u.example>\n"
	    "Received: from mx%u.list%u.example (mx%u.list%u.example [192.0.2.%u])\n"
	    "\tby mail.ours.example (Postfix) with ESMTPS id 4F1A%u\n"
	    "\tfor <user%u@ours.example>; Mon, 23 Nov 2020 10:%02u:00 +0000 (UTC)\n"
	    "Received: from localhost (unknown [198.51.100.%u])\n"
	    "\tby mx%u.list%u.example with SMTP id %u; Mon, 23 Nov 2020 09:%02u:00 +0000\n"
	    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=list%u.example;\n"
	    "\ts=s%u; h=From:To:Subject:Date; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\n"
	    "\tb=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZVoG4ZHRNiYzR\n"
	    "From: \"Person %u\" <person%u@list%u.example>\n"
	    "To: User <user%u@ours.example>\n"
	    "Subject: =?UTF-8?Q?News_of_the_day_no=2E_%u?=\n"
	    "Date: Mon, 23 Nov 2020 09:%02u:00 +0000\n"
	    "Message-ID: <%u.%u@list%u.example>\n"
	    "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n",
	    i, i, i, i, i, i, i % 250, i, i, i % 60, i % 250, i, i, i, i % 60, i,
	    i, i, i, i, i, i, i % 60, i, i * 7, i);
	while (b.len < BODY)
		buf_printf(&b, "Line %zu of message %u, with some words.\n",
		    b.len, i);
	s = arena_span(a, buf_span(&b));
	buf_done(&b);
	return s;
}

int
main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : ".";
	struct message_limits limits = { 1 << 20, 1000, 20, 100, 200 };
	struct ruleset_options o = { .paths = &path, .path_count = 1,
		.keep_going = true };
	struct span messages[MESSAGES];
	double best = 0;
	uint64_t steps = 0;
	struct rig g;

	rig_load(&g, "", false);
	ruleset_free(g.rs);
	g.rs = NULL;
	if (ruleset_load(&o, &g.diags, &g.rs, &g.err) != 0)
		return printf("cannot load %s\n", path), 1;
	for (unsigned i = 0; i < MESSAGES; i++)
		messages[i] = make_message(g.arena, i);
	for (int round = 0; round < ROUNDS; round++) {
		struct arena *a = arena_new(64 << 20);
		uint64_t phases[RULE_PHASES] = { 0 };
		double start = now();

		for (unsigned i = 0; i < MESSAGES; i++) {
			struct rule_input in = { .settings = &g.settings,
				.envelope = &g.envelope,
				.evidence = &g.evidence, .arena = a,
				.learned = -1, .phases = phases };
			struct relays *relays;
			struct rule_run run;

			arena_reset(a);
			if (message_parse(a, messages[i], messages[i].len,
				&limits, &in.message, NULL) != 0 ||
			    relays_parse(in.message,
				&g.settings.trusted_networks,
				&g.settings.internal_networks, NULL,
				&relays) != 0)
				return 1;
			in.relays = relays;
			if (ruleset_run(g.rs, &in, &run) != 0)
				return 1;
			steps += run.steps;
		}
		start = now() - start;
		/* what stands below the header is another benchmark's */
		for (int i = PHASE_BODY; i <= PHASE_MIMEHEADER; i++)
			start -= (double)phases[i] / 1e9;
		if (MESSAGES / start > best)
			best = MESSAGES / start;
		arena_free(a);
	}
	printf("%zu rules: %.0f messages a second, %.0f steps a message "
	       "(bar: 3000)\n", ruleset_count(g.rs), best,
	    (double)steps / (ROUNDS * MESSAGES));
	rig_done(&g);
	return best < 3000;
}
