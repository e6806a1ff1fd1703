/* A whole rule file, loaded as lint does and run over a small message */
#include <stdint.h>

#include "t/rules/rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ruleset_options o = { .text_name = "fuzz", .keep_going = true };
	struct rig g;

	rig_load(&g, "", false);
	ruleset_free(g.rs);
	g.rs = NULL;
	o.text = span_of((const char *)data, size);
	if (o.text.ptr != NULL &&
	    ruleset_load(&o, &g.diags, &g.rs, &g.err) != 0)
		g.rs = NULL;
	g.settings.message_steps = 100000;
	rig_run(&g, "From: A <a@b.example>\nTo: c@d.example\n"
		    "Subject: =?utf-8?q?one_two?=\nReceived: from x (y [192.0.2.1])\n"
		    "\tby z with ESMTP id 1; Mon, 23 Nov 2020 10:00:00 +0000\n\n"
		    "body http://www.example.com/\n");
	rig_diags(&g, DIAG_NOTE);
	rig_done(&g);
	return 0;
}
