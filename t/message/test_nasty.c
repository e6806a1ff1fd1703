/*
 * Odd and malformed messages of other parsers' test suites, each with every
 * view made: nothing may crash, and nothing may hang.
 */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scoring/message/body.h"
#include "scoring/message/received.h"
#include "t/message/util.h"

static unsigned files, messages;

static void
views_make(struct message *m)
{
	const struct texts *t;
	const struct html *h;
	const struct uris *u;
	struct relays *r;
	struct part *p;

	for (size_t i = 0; i < m->field_count; i++) {
		field_decoded(m, &m->fields[i]);
		address_first_name(m->arena, field_raw(m, &m->fields[i]));
	}
	relays_parse(m, NULL, NULL, NULL, &r);
	body_rendered(m, &t);
	body_visible(m, &t);
	body_invisible(m, &t);
	body_raw(m, &t);
	body_html(m, &h);
	body_uris(m, NULL, &u);
	if (body_parts(m, &p) == 0)
		for (; p != NULL; p = p->in_order)
			for (size_t i = 0; i < p->field_count; i++)
				field_decoded(p->message, &p->fields[i]);
}

static void
run_file(const char *path, size_t size)
{
	struct arena *a = arena_new(256 << 20);
	FILE *f = fopen(path, "rb");
	/* exactly as large as the file, so that ASan sees one byte too many */
	char *raw = malloc(size != 0 ? size : 1);
	struct message *m;

	if (a == NULL || f == NULL || raw == NULL)
		abort();
	size = fread(raw, 1, size, f);
	fclose(f);
	files++;
	m = test_parse(a, span_of(raw, size));
	if (m != NULL) {
		messages++;
		views_make(m);
	}
	arena_free(a);
	free(raw);
}

static void
walk(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		char path[4096];
		struct stat st;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (lstat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode))
			walk(path);
		else if (S_ISREG(st.st_mode))
			run_file(path, (size_t)st.st_size);
	}
	closedir(d);
}

static int
unpack(const char *archive, const char *to)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("tar", "tar", "-xJf", archive, "-C", to, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int
main(void)
{
	const char *shared = getenv("SPAMSCORE_SHARED");
	const char *build = getenv("SPAMSCORE_BUILD");
	char archive[4096], dir[4096];

	if (shared == NULL || build == NULL)
		return tap_skip_all("SPAMSCORE_SHARED is not set");
	snprintf(archive, sizeof(archive), "%s/corpora/nasty.tar.xz", shared);
	if (access(archive, R_OK) != 0)
		return tap_skip_all("no nasty.tar.xz");
	snprintf(dir, sizeof(dir), "%s/t/message/nasty", build);
	mkdir(dir, 0755);
	if (unpack(archive, dir) != 0)
		return tap_skip_all("tar cannot unpack nasty.tar.xz");
	walk(dir);
	tap_ok(files > 1000, "%u files", files);
	tap_ok(messages > 1000, "%u of them are messages", messages);
	return tap_done();
}
