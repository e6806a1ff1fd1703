#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/scratch.h"

int
scratch_open(struct scratch *s, const char *name)
{
	struct store_options so = { .mode = STORE_WRITE, .max_queue = 100000,
		.busy_ms = 1000 };
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX + 16];
	struct error err;

	*s = (struct scratch){ 0 };
	snprintf(s->dir, sizeof(s->dir), "%s/spamscore-%s.XXXXXX",
	    tmp != NULL && *tmp != '\0' ? tmp : "/tmp", name);
	if (mkdtemp(s->dir) == NULL) {
		cli_fail(EX_CANTCREAT, "cannot make \"%s\": %s", s->dir,
		    strerror(errno));
		s->dir[0] = '\0';
		return EX_CANTCREAT;
	}
	snprintf(path, sizeof(path), "%s/db", s->dir);
	so.path = path;
	if (store_open(&so, &s->store, &err) == 0)
		return EX_OK;
	scratch_close(s);
	return cli_fail(EX_CANTCREAT, "%s", err.text);
}

void
scratch_close(struct scratch *s)
{
	struct dirent *e;
	DIR *d;

	store_close(s->store);
	d = s->dir[0] != '\0' ? opendir(s->dir) : NULL;
	if (d != NULL) {
		/* ours alone, made by mkdtemp: whatever the store left goes */
		while ((e = readdir(d)) != NULL)
			if (strcmp(e->d_name, ".") != 0 &&
			    strcmp(e->d_name, "..") != 0)
				unlinkat(dirfd(d), e->d_name, 0);
		closedir(d);
		rmdir(s->dir);
	}
	*s = (struct scratch){ 0 };
}
