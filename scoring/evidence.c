#include <assert.h>

#include "scoring/evidence.h"
#include "scoring/verdict.h"

const char *
auth_result_name(enum auth_result r)
{
	static const char *const names[] = {
		[AUTH_NONE] = "none",
		[AUTH_NEUTRAL] = "neutral",
		[AUTH_PASS] = "pass",
		[AUTH_FAIL] = "fail",
		[AUTH_SOFTFAIL] = "softfail",
		[AUTH_POLICY] = "policy",
		[AUTH_TEMPERROR] = "temperror",
		[AUTH_PERMERROR] = "permerror",
	};

	return names[r];
}

const char *
action_name(enum action a)
{
	static const char *const names[] = {
		[ACTION_ACCEPT] = "accept",
		[ACTION_TAG] = "tag",
		[ACTION_TEMPFAIL] = "tempfail",
		[ACTION_REJECT] = "reject",
	};

	return names[a];
}

const struct dns_evidence *
evidence_find_answer(const struct evidence *e, const char *name, uint16_t type)
{
	size_t low = 0, high = e->answer_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(e->answers[mid].name, name);

		if (c == 0)
			c = (e->answers[mid].type > type) -
			    (e->answers[mid].type < type);
		if (c == 0)
			return &e->answers[mid];
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}
