/* A whole message under every eval of identities, with a few brands */
#include <stdint.h>

#include "t/rules/rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig g;

	rig_load(&g, "spamscore_brand a \"paypal\" =\"ing\" paypal.com\n"
		     "header A eval:identity_malformed()\n"
		     "header B eval:identity_brand('from_name', 'plain')\n"
		     "header C eval:identity_brand('subject', 'disguised')\n"
		     "header D eval:identity_brand('from_domain', 'plain')\n"
		     "header E eval:identity_brand_author()\n"
		     "header F eval:identity_mixed_script('subject')\n"
		     "header G eval:identity_name_address()\n"
		     "header H eval:identity_name_domain()\n"
		     "header I eval:identity_related('from', 'unsubscribe')\n"
		     "header J eval:identity_unrelated('to', 'message_id')\n"
		     "header K eval:identity_tld_unknown('dkim')\n"
		     "header L eval:identity_random('entry_helo')\n"
		     "header M eval:identity_date_gap(-2, 2)\n"
		     "header N eval:identity_match('list', '/x/')\n"
		     "header O eval:identity_lower_names()\n"
		     "header P eval:identity_same_address('from', 'reply_to')\n", false);
	rig_run_span(&g, span_of((const char *)data, size));
	rig_done(&g);
	return 0;
}
