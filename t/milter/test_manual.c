/* The manual pages and the tables that they describe must not drift apart. */
#include <stdlib.h>

#include "milter/failure.h"
#include "milter/settings.h"
#include "scoring/settings.h"
#include "t/tap.h"

static char *
page(const char *name)
{
	const char *source = getenv("SPAMSCORE_SOURCE");
	char path[4096], *text;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", source != NULL ? source : ".",
	    name);
	f = fopen(path, "r");
	if (f == NULL)
		return NULL;
	text = calloc(1, 1 << 20);
	n = text != NULL ? fread(text, 1, (1 << 20) - 1, f) : 0;
	fclose(f);
	if (n == 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void
check_settings(const char *text, const struct setting *table)
{
	for (; table->name != NULL; table++) {
		char item[80];

		snprintf(item, sizeof(item), "\n.It Ic %s ", table->name);
		tap_ok(strstr(text, item) != NULL, "spamscore.conf(5) has %s",
		    table->name);
	}
}

int
main(void)
{
	char *conf = page("man/spamscore.conf.5"), *daemon = page("man/spamscored.8");
	char *readme = page("README.md");

	if (conf == NULL || daemon == NULL || readme == NULL) {
		free(conf);
		free(daemon);
		free(readme);
		return tap_skip_all("no manual pages beside the build");
	}
	check_settings(conf, milter_settings_table);
	check_settings(conf, scoring_settings_table);
	for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++) {
		const struct failure_row *row = failure_row(f);
		char line[400];

		snprintf(line, sizeof(line),
		    "\n.It Li %s Ta %s Ta %s Ta %s%s\n", row->word, row->meaning,
		    row->when_accept == REPLY_ACCEPT ? "250" : "451",
		    row->when_tempfail == REPLY_TEMPFAIL ? "451 " : "250",
		    row->when_tempfail == REPLY_TEMPFAIL ? row->xcode : "");
		tap_ok(strstr(daemon, line) != NULL,
		    "spamscored(8) has the row of \"%s\"", row->word);
		snprintf(line, sizeof(line), "\n| `%s` | %s | %s | %s%s |\n",
		    row->word, row->meaning,
		    row->when_accept == REPLY_ACCEPT ? "250" : "451",
		    row->when_tempfail == REPLY_TEMPFAIL ? "451 " : "250",
		    row->when_tempfail == REPLY_TEMPFAIL ? row->xcode : "");
		tap_ok(strstr(readme, line) != NULL,
		    "README.md has the row of \"%s\"", row->word);
	}
	free(conf);
	free(daemon);
	free(readme);
	return tap_done();
}
