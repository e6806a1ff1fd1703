/*
 * Real signatures against real keys: every row of verified.tsv, with the
 * clock of the signature's own t=. Unpacks the shared archives into the
 * build directory; nothing of them is in this tree.
 */
#include <sys/stat.h>

#include "t/auth/auth_fixture.h"

static char dir[4096];

static char *
read_file(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rb");
	char *text = NULL;
	long n;

	if (f == NULL)
		return NULL;
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	text = malloc((size_t)n + 1);
	*ret_len = fread(text, 1, (size_t)n, f);
	text[*ret_len] = '\0';
	fclose(f);
	return text;
}

static bool
unpack(const char *archive, const char *into)
{
	const char *shared = getenv("SPAMSCORE_SHARED");
	char command[24000], path[4200], done[4300];
	struct stat st;

	if (shared == NULL)
		shared = "../shared";
	snprintf(path, sizeof(path), "%s/%s", shared, archive);
	if (stat(path, &st) != 0)
		return false;
	snprintf(done, sizeof(done), "%s/%s.done", dir, into);
	if (stat(done, &st) == 0)
		return true;
	snprintf(command, sizeof(command),
	    "mkdir -p '%s/%s' && tar xJf '%s' -C '%s/%s' && touch '%s'", dir,
	    into, path, dir, into, done);
	return system(command) == 0;
}

/* keys.txt (name TAB text) in the form of --dns-data */
static char *
zone_of(const char *keys)
{
	size_t cap = strlen(keys) * 2 + 1024, n = 0;
	char *zone = malloc(cap);

	for (const char *line = keys; *line != '\0';) {
		size_t len = strcspn(line, "\n");
		const char *tab = memchr(line, '\t', len);

		if (line[0] != '#' && tab != NULL)
			n += (size_t)snprintf(zone + n, cap - n,
			    "%.*s TXT \"%.*s\"\n", (int)(tab - line), line,
			    (int)(line + len - tab - 1), tab + 1);
		line += len + (line[len] == '\n');
	}
	zone[n] = '\0';
	return zone;
}

/* t= of the signature that uses this key */
static int64_t
clock_of(struct fixture *f, struct span raw, const char *key)
{
	struct evidence *e = fixture_gather(f, raw, NULL, 1);

	for (size_t i = 0; e != NULL && i < e->dkim_count; i++) {
		char name[600];

		if (e->dkim[i].domain == NULL)
			continue;
		snprintf(name, sizeof(name), "%s._domainkey.%s",
		    e->dkim[i].selector, e->dkim[i].domain);
		if (strcasecmp(name, key) != 0)
			continue;
		return e->dkim[i].signed_at != 0 ?
		    e->dkim[i].signed_at + 60 : 1;
	}
	return -1;
}

static bool
check_row(struct fixture *f, const char *path, const char *key,
    const char *want)
{
	size_t len;
	char *text = read_file(path, &len);
	struct evidence *e;
	const char *got = "no such signature", *why = "";
	int64_t now;

	if (text == NULL)
		return false;
	now = clock_of(f, span_of(text, len), key);
	e = fixture_gather(f, span_of(text, len), NULL, now);
	for (size_t i = 0; e != NULL && i < e->dkim_count; i++) {
		char name[600];

		if (e->dkim[i].domain == NULL)
			continue;
		snprintf(name, sizeof(name), "%s._domainkey.%s",
		    e->dkim[i].selector, e->dkim[i].domain);
		if (strcasecmp(name, key) != 0)
			continue;
		got = auth_result_name(e->dkim[i].result);
		why = e->dkim[i].reason != NULL ? e->dkim[i].reason : "";
		if (strcmp(got, want) == 0)
			break;
	}
	free(text);
	if (strcmp(got, want) == 0)
		return true;
	printf("# %s %s: ", path, key);
	fputs(got, stdout);
	printf(" (%s), want %s\n", why, want);
	return false;
}

int
main(void)
{
	const char *build = getenv("SPAMSCORE_BUILD");
	unsigned rows = 0, right = 0;
	struct fixture f;
	char path[5000], *keys, *table, *zone;
	size_t len;

	snprintf(dir, sizeof(dir), "%s/t/auth/corpora",
	    build != NULL ? build : ".");
	if (!unpack("conformance/dkim_keys.tar.xz", "keys") ||
	    !unpack("corpora/lore.tar.xz", "lore"))
		return tap_skip_all("no dkim_keys or lore archive");
	snprintf(path, sizeof(path), "%s/keys/dkim_keys/keys.txt", dir);
	keys = read_file(path, &len);
	snprintf(path, sizeof(path), "%s/keys/dkim_keys/verified.tsv", dir);
	table = read_file(path, &len);
	if (keys == NULL || table == NULL)
		return tap_skip_all("archives are laid out differently");
	zone = zone_of(keys);
	fixture_init(&f, zone);
	for (char *line = strtok(table, "\n"); line != NULL;
	     line = strtok(NULL, "\n")) {
		char mail[300], key[300], want[20];

		if (sscanf(line, "%299[^\t]\t%299[^\t]\t%19s", mail, key,
		    want) != 3)
			continue;
		rows++;
		snprintf(path, sizeof(path), "%s/lore/%s", dir, mail);
		right += check_row(&f, path, key, want);
	}
	printf("# verified.tsv: %u of %u\n", right, rows);
	tap_ok(rows > 0 && right == rows, "every row of verified.tsv");
	fixture_done(&f);
	free(zone);
	free(keys);
	free(table);
	return tap_done();
}
