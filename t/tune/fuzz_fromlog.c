/* A verdict's record, as it might stand in a database that somebody wrote */
#include <math.h>
#include <stdlib.h>

#include "t/tune/rig.h"
#include "tune/fromlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ruleset *rs;
	struct fromlog_record r;
	uint32_t hits[2];

	if (rs == NULL)
		rs = rig_rules("header A Subject =~ /a/\nscore A 1\n"
			       "header B Subject =~ /b/\nscore B 1\n");
	if (fromlog_parse(span_of((const char *)data, size), rs, hits, 2, &r)) {
		if (!isfinite(r.fixed) || r.hit_count > 2)
			abort();
		for (size_t i = 0; i < r.hit_count; i++)
			if (hits[i] >= 2)
				abort();
	}
	return 0;
}
