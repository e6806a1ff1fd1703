/*
 * The short ways around the patterns of addresses must say what the patterns
 * say. They are private to their file, so that file is part of this one.
 */
#include "scoring/message/address.c"
#include "t/tap.h"

/* Pieces that the patterns tell apart, put together at random */
static const char *const pieces[] = {
	"a", "joe", "@", "b.example", "a-b_c+d=e@f.example", "<", ">",
	"<u@e.example>", "\"", "\"x, y\"", "\\", ",", ";", ":", " ", "\t", "(c)",
	"[1.2.3.4]", "\xE4", "Joe Doe ", "'",
};

static bool
same(struct span a, struct span b)
{
	return a.ptr == b.ptr && a.len == b.len;
}

static void
test_same(void)
{
	unsigned long long seed = 1;
	size_t taken = 0, wrong = 0;

	for (size_t n = 0; n < 300000; n++) {
		char text[256];
		struct span s = { text, 0 }, fast[6], slow[6];

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		for (size_t k = 0; k <= n % 5; k++) {
			const char *p = pieces[(seed >> (8 + 9 * k)) %
			    (sizeof(pieces) / sizeof(pieces[0]))];

			memcpy(text + s.len, p, strlen(p));
			s.len += strlen(p);
		}
		if (mailbox_is_plain(s) && !regex_match(&mailbox, s, 0, NULL, 0))
			wrong++;
		if (!item_is_plain(s, fast))
			continue;
		taken++;
		if (!regex_match(&item, s, 0, slow, 6)) {
			wrong++;
			continue;
		}
		for (size_t i = 0; i < 6; i++)
			wrong += !same(fast[i], slow[i]);
	}
	tap_ok(taken > 1000, "plain addresses are among them");
	tap_is_int((long long)wrong, 0, "the short way is the pattern's");
}

int
main(void)
{
	test_same();
	return tap_done();
}
