#include "milter/session.h"
#include "t/tap.h"

static void
test_paths(void)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
		{ "<a@b.example>", "a@b.example" },
		{ "a@b.example", "a@b.example" },
		{ "<>", "" },
		{ "", "" },
		{ " < a@b.example > ", "a@b.example" },
		{ "<@r.example,@s.example:a@b.example>", "a@b.example" },
		{ "<@r.example>", "@r.example" },
		{ "<", "<" },
		{ "<a@b", "<a@b" },
		{ "<\"a>b\"@c.example>", "\"a>b\"@c.example" },
		{ "<\xC3\xBC@b.example>", "\xC3\xBC@b.example" },
		{ "<Postmaster>", "Postmaster" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tap_is_span(session_path_address(rows[i].in),
		    span_cstr(rows[i].want), rows[i].in);
}

int
main(void)
{
	test_paths();
	return tap_done();
}
