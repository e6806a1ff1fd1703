#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/mail.h"
#include "scoring/message/date.h"

enum { MAX_DEPTH = 64 };

static bool
paths_add(struct paths *p, const char *path)
{
	if (p->count == p->alloc) {
		size_t alloc = p->alloc == 0 ? 256 : p->alloc * 2;
		char **items = reallocarray(p->items, alloc, sizeof(*items));

		if (items == NULL)
			return false;
		p->items = items;
		p->alloc = alloc;
	}
	p->items[p->count] = strdup(path);
	return p->items[p->count] != NULL && ++p->count > 0;
}

static bool
walk(struct paths *p, const char *path, unsigned depth)
{
	struct dirent **names = NULL;
	struct stat st;
	bool ok = true;
	int n;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode) || depth > MAX_DEPTH)
		return paths_add(p, path);
	n = scandir(path, &names, NULL, alphasort);
	if (n < 0)
		return errno == ENOMEM ? false : paths_add(p, path);
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		char *child;

		if (ok && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			if (asprintf(&child, "%s/%s", path, name) == -1)
				ok = false;
			else {
				if (lstat(child, &st) == 0 && S_ISLNK(st.st_mode) &&
				    stat(child, &st) == 0 && S_ISDIR(st.st_mode))
					; /* could lead back up */
				else
					ok = walk(p, child, depth + 1);
				free(child);
			}
		}
		free(names[i]);
	}
	free(names);
	return ok;
}

bool
paths_walk(struct paths *p, const char *path)
{
	return walk(p, path, 0);
}

void
paths_done(struct paths *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->items[i]);
	free(p->items);
	*p = (struct paths){ 0 };
}

/* "From somebody Mon Jan  1 12:34:56 2024": the time tells the line from a
 * sentence that begins so (RFC 4155). */
static bool
is_from_line(struct span line)
{
	if (line.len < 5 || memcmp(line.ptr, "From ", 5) != 0)
		return false;
	for (size_t i = 5; i + 5 <= line.len; i++)
		if (isdigit((unsigned char)line.ptr[i]) &&
		    isdigit((unsigned char)line.ptr[i + 1]) &&
		    line.ptr[i + 2] == ':' &&
		    isdigit((unsigned char)line.ptr[i + 3]) &&
		    isdigit((unsigned char)line.ptr[i + 4]))
			return true;
	return false;
}

struct mail_part *
mail_parts(struct span text, size_t *ret_count)
{
	struct mail_part *list = malloc(sizeof(*list)), *more;
	size_t count = 1, alloc = 1, at = 0;
	bool mbox = false, empty = true; /* the line before */

	if (list == NULL)
		return NULL;
	list[0] = (struct mail_part){ 0, text.len };
	while (at < text.len) {
		struct span line = span_from(text, at);

		line.len = span_find(line, '\n');
		if (at == 0)
			mbox = is_from_line(line);
		else if (mbox && empty && is_from_line(line)) {
			if (count == alloc) {
				alloc *= 2;
				more = reallocarray(list, alloc, sizeof(*list));
				if (more == NULL) {
					free(list);
					return NULL;
				}
				list = more;
			}
			list[count - 1].length = at - list[count - 1].offset;
			list[count++] = (struct mail_part){ at, text.len - at };
		}
		empty = span_trim(line).len == 0;
		at += line.len + 1;
	}
	*ret_count = count;
	return list;
}

int64_t
mail_time(struct message *m)
{
	struct field *f = message_find(m, "Received", 0);
	int64_t t;

	if (f != NULL && date_parse(field_unfolded(m, f), &t))
		return t;
	f = message_find(m, "Date", 0);
	return f != NULL && date_parse(field_unfolded(m, f), &t) ? t : 0;
}
