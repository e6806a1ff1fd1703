#include "scoring/message/date.h"
#include "t/tap.h"

int
main(void)
{
	static const struct {
		const char *text;
		long long want; /* -1: no date */
	} rows[] = {
		{ "Mon, 1 Jan 2024 00:00:00 +0000", 1704067200 },
		{ "Mon, 01 Jan 2024 01:30:00 +0130", 1704067200 },
		{ "Sun, 31 Dec 2023 16:00:00 -0800 (PST)", 1704067200 },
		{ "Sun, 31 Dec 2023 16:00 PST", 1704067200 },
		{ "Mon Jan  1 00:00:00 2024", 1704067200 },
		{ "1 jan 24 00:00:00 GMT", 1704067200 },
		{ "31 Dec 2023 16:00:00 (PST)", 1704067200 },
		{ "31 DEC 2023 16:00:00 PST", 1704067200 },
		{ "1 Jan 2024 00:00:00 XYZ PST", 1704067200 },
		{ "MON, 1 Jan 2024 00:00:00 PST", 1704067200 },
		{ "1 Jan 2024 00:00:00 UTC_PST", 1704067200 },
		{ "1 Jan 2024 00:00:00 PST-DST", 1704067200 },
		{ "1 Jan 99 00:00:00 GMT", 915148800 },
		{ "1 Jan 124 00:00:00 GMT", 1704067200 },
		{ "Mon,1 Jan 2024 25:61:61 +0000", 1704067200 + 86399 },
		{ "30 Feb 2024 00:00:00 +0000", 1709251200 },
		{ "29 Feb 2024 00:00:00 +0000", 1709164800 },
		{ "1 Jan 2999 00:00:00 +0000", 2114380800 },
		{ "1 Jan 1900 00:00:00 +0000", 0 },
		{ "from x by y; Mon, 1 Jan 2024 00:00:00 +0000", 1704067200 },
		{ "1 Jan 2024", 1704067200 },
		{ "yesterday", -1 },
		{ "", -1 },
		{ "1 Foo 2024 00:00:00", -1 },
		{ "99999999999999 Jan 2024", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t t = -1;

		if (!date_parse(span_cstr(rows[i].text), &t))
			t = -1;
		tap_is_int(t, rows[i].want, rows[i].text);
	}
	return tap_done();
}
