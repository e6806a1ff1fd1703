#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/conf.h"

struct span
conf_next_word(struct span *rest)
{
	struct span s = span_trim(*rest), word;
	size_t n = 0;

	while (n < s.len && !span_is_wsp(s.ptr[n]))
		n++;
	word = span_of(s.ptr, n);
	*rest = span_trim(span_from(s, n));
	return word;
}

/* Cuts a comment: "#" that no backslash precedes. */
static size_t
comment_start(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '#' && (i == 0 || s.ptr[i - 1] != '\\'))
			return i;
	return s.len;
}

/* "\#" stands for "#" in the value */
static struct span
unescape_hash(struct arena *a, struct span s)
{
	char *out;
	size_t n = 0;

	for (size_t i = 0; i + 1 < s.len; i++)
		if (s.ptr[i] == '\\' && s.ptr[i + 1] == '#')
			goto copy;
	return s;
copy:
	out = arena_memdup(a, s.ptr, s.len);
	if (out == NULL)
		return span_of(NULL, 0);
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\' && i + 1 < s.len && s.ptr[i + 1] == '#')
			continue;
		out[n++] = s.ptr[i];
	}
	return span_of(out, n);
}

int
conf_parse(struct arena *a, const char *file, struct span text,
    struct conf_lines *ret_lines, struct diags *diags, struct error *err)
{
	size_t count = 1, n = 0;
	unsigned number = 0;
	struct conf_line *lines;
	const char *name = arena_strdup(a, file);

	for (size_t i = 0; i < text.len; i++)
		count += text.ptr[i] == '\n';
	lines = ARENA_ARRAY(a, count, struct conf_line);
	if (lines == NULL || name == NULL)
		return error_set(err, -ENOMEM, "out of memory for \"%s\"", file);
	if (span_istarts(text, "\xEF\xBB\xBF"))
		text = span_from(text, 3);
	while (text.len > 0) {
		size_t eol = span_find(text, '\n');
		struct span s = span_of(text.ptr, eol), key;

		text = span_from(text, eol + 1);
		number++;
		s = span_trim(span_of(s.ptr, comment_start(s)));
		if (s.len == 0)
			continue;
		if (memchr(s.ptr, '\0', s.len) != NULL) {
			diag_add(diags, DIAG_ERROR, name, number,
			    "a NUL byte in the line");
			continue;
		}
		s = unescape_hash(a, s);
		if (s.ptr == NULL)
			return error_set(err, -ENOMEM, "out of memory for \"%s\"",
			    file);
		key = conf_next_word(&s);
		lines[n++] = (struct conf_line){ name, number, key, s };
	}
	*ret_lines = (struct conf_lines){ lines, n };
	return 0;
}

int
conf_read(struct arena *a, const char *path, size_t max_bytes,
    struct conf_lines *ret_lines, struct diags *diags, struct error *err)
{
	struct stat st;
	size_t have = 0, size;
	char *text;
	int fd, r;

	/* O_NONBLOCK: a FIFO in a rules directory must not stop the daemon */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1) {
		r = -errno;
		return error_set(err, r, "cannot open \"%s\": %s", path,
		    strerror(-r));
	}
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, -EINVAL, "not a regular file: \"%s\"", path);
	}
	if ((uintmax_t)st.st_size > max_bytes) {
		close(fd);
		return error_set(err, -EFBIG,
		    "larger than the limit of %zu bytes: \"%s\"", max_bytes, path);
	}
	size = (size_t)st.st_size;
	text = arena_bytes(a, size + 1);
	if (text == NULL) {
		close(fd);
		return error_set(err, -ENOMEM, "out of memory for \"%s\"", path);
	}
	while (have < size) {
		ssize_t n = read(fd, text + have, size - have);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			r = -errno;
			close(fd);
			return error_set(err, r, "cannot read \"%s\": %s", path,
			    strerror(-r));
		}
		if (n == 0)
			break; /* it shrank meanwhile */
		have += (size_t)n;
	}
	close(fd);
	return conf_parse(a, path, span_of(text, have), ret_lines, diags, err);
}

bool
conf_parse_bool(struct span s, bool *ret_value)
{
	if (span_iis(s, "yes") || span_iis(s, "on") || span_iis(s, "true") ||
	    span_is(s, "1"))
		*ret_value = true;
	else if (span_iis(s, "no") || span_iis(s, "off") || span_iis(s, "false") ||
	    span_is(s, "0"))
		*ret_value = false;
	else
		return false;
	return true;
}

/* Digits at the head of *s; the rest stays in *s. */
static bool
take_number(struct span *s, int64_t *ret_value)
{
	int64_t v = 0;
	size_t i = 0;

	for (; i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, s->ptr[i] - '0', &v))
			return false;
	if (i == 0)
		return false;
	*s = span_from(*s, i);
	*ret_value = v;
	return true;
}

bool
conf_parse_int(struct span s, int64_t *ret_value)
{
	bool negative = s.len > 0 && s.ptr[0] == '-';
	int64_t v;

	if (negative)
		s = span_from(s, 1);
	if (!take_number(&s, &v) || s.len != 0)
		return false;
	*ret_value = negative ? -v : v;
	return true;
}

struct unit {
	const char *name;
	int64_t factor;
};

static bool
parse_unit(struct span s, const struct unit *units, int64_t *ret_value)
{
	int64_t v;

	if (!take_number(&s, &v))
		return false;
	for (; units->name != NULL; units++)
		if (span_iis(s, units->name))
			return !__builtin_mul_overflow(v, units->factor, ret_value);
	return false;
}

bool
conf_parse_size(struct span s, int64_t *ret_bytes)
{
	static const struct unit units[] = { { "", 1 }, { "k", 1 << 10 },
		{ "m", 1 << 20 }, { "g", 1 << 30 }, { NULL, 0 } };

	return parse_unit(s, units, ret_bytes);
}

bool
conf_parse_duration(struct span s, int64_t *ret_ms)
{
	static const struct unit units[] = { { "", 1000 }, { "ms", 1 },
		{ "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
		{ "d", 86400000 }, { "w", 604800000 }, { NULL, 0 } };

	return parse_unit(s, units, ret_ms);
}

bool
conf_parse_points(struct span s, double *ret_points)
{
	char tmp[64];
	double v;

	/* libc's strtod follows the locale and takes hex, inf and nan: only
	 * plain decimals get to it, and the programs never call setlocale */
	if (s.len == 0 || s.len >= sizeof(tmp))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (strchr("0123456789+-.eE", s.ptr[i]) == NULL || s.ptr[i] == '\0')
			return false;
	memcpy(tmp, s.ptr, s.len);
	tmp[s.len] = '\0';
	char *end;

	v = strtod(tmp, &end);
	if (*end != '\0' || end == tmp || !(fabs(v) <= 1e6))
		return false;
	*ret_points = round(v * 1000.0) / 1000.0;
	return true;
}

int
strings_add(struct strings *list, struct arena *a, struct span text)
{
	char *copy = arena_memdup(a, text.ptr, text.len);

	if (copy == NULL)
		return -ENOMEM;
	if (list->count == list->alloc) {
		size_t alloc = list->alloc == 0 ? 8 : list->alloc * 2;
		const char **items = ARENA_ARRAY(a, alloc, const char *);

		if (items == NULL)
			return -ENOMEM;
		if (list->count != 0)
			memcpy(items, list->items,
			    list->count * sizeof(*items));
		list->items = items;
		list->alloc = alloc;
	}
	list->items[list->count++] = copy;
	return 0;
}

bool
conf_is_host_name(struct span s)
{
	size_t labels = 0;
	bool number = true;

	if (s.len > 0 && s.ptr[s.len - 1] == '.')
		s.len--;
	if (s.len == 0 || s.len > 253)
		return false;
	for (;;) {
		size_t n = span_find(s, '.');

		if (n == 0 || n > 63 || s.ptr[0] == '-' || s.ptr[n - 1] == '-')
			return false;
		number = true;
		for (size_t i = 0; i < n; i++) {
			char c = s.ptr[i];

			if (!ascii_is_alnum(c) && c != '-' && c != '_')
				return false;
			number &= ascii_is_digit(c);
		}
		labels++;
		if (n == s.len)
			return labels > 1 && !number;
		s = span_from(s, n + 1);
	}
}

/* names NULL: none may stand here */
static const char *
nets_add(struct netset *set, struct strings *names, struct arena *a,
    struct span words)
{
	while (words.len > 0) {
		struct span w = conf_next_word(&words);
		struct network n;
		bool excluded = w.ptr[0] == '!';

		if (names != NULL && conf_is_host_name(w) &&
		    !network_parse(w, &n)) {
			if (strings_add(names, a, w) != 0)
				return "out of memory";
			continue;
		}
		if (!network_parse(span_from(w, excluded), &n))
			return names != NULL ? "neither a network nor a host name" :
			    "not a network";
		n.excluded = excluded;
		if (netset_add(set, &n) != 0)
			return "out of memory";
	}
	return NULL;
}

/* NULL, or what is wrong with the value */
static const char *
setting_store(const struct setting *s, void *target, struct span v,
    struct arena *a)
{
	void *field = (char *)target + s->offset;
	int64_t number;

	switch (s->type) {
	case SETTING_BOOL:
		return conf_parse_bool(v, field) ? NULL : "not yes or no";
	case SETTING_INT:
	case SETTING_SIZE:
	case SETTING_DURATION:
		if (!(s->type == SETTING_INT	      ? conf_parse_int(v, &number) :
			s->type == SETTING_SIZE ? conf_parse_size(v, &number) :
						  conf_parse_duration(v, &number)))
			return s->type == SETTING_INT ? "not a number" :
			    s->type == SETTING_SIZE   ? "not a size" :
							"not a duration";
		if (number < s->min || number > s->max)
			return "out of range";
		memcpy(field, &number, sizeof(number));
		return NULL;
	case SETTING_POINTS:
		return conf_parse_points(v, field) ? NULL : "not a number of points";
	case SETTING_STRING: {
		const char *copy = arena_memdup(a, v.ptr, v.len);

		if (copy == NULL)
			return "out of memory";
		memcpy(field, &copy, sizeof(copy));
		return NULL;
	}
	case SETTING_STRINGS:
		while (v.len > 0)
			if (strings_add(field, a, conf_next_word(&v)) != 0)
				return "out of memory";
		return NULL;
	case SETTING_NETS:
		return nets_add(field, NULL, a, v);
	case SETTING_HOSTS: {
		struct conf_hosts *hosts = field;

		return nets_add(&hosts->nets, &hosts->names, a, v);
	}
	case SETTING_ENUM:
		for (const struct setting_choice *c = s->choices; c->name != NULL;
		     c++)
			if (span_iis(v, c->name)) {
				memcpy(field, &c->value, sizeof(c->value));
				return NULL;
			}
		return "not one of the known words";
	}
	return "not a known type";
}

enum conf_result
conf_apply(const struct conf_line *line, const struct settings_room *rooms,
    size_t n_rooms, struct arena *a, struct diags *diags)
{
	enum conf_result result = CONF_UNKNOWN;

	for (size_t r = 0; r < n_rooms; r++) {
		for (const struct setting *s = rooms[r].table; s->name != NULL;
		     s++) {
			const char *wrong;

			if (!span_iis(line->key, s->name))
				continue;
			wrong = line->value.len == 0 ?
			    "needs a value" :
			    setting_store(s, rooms[r].target, line->value, a);
			if (wrong == NULL) {
				if (result == CONF_UNKNOWN)
					result = CONF_DONE;
				continue;
			}
			/* two rooms that share a word share its type: one
			 * message is enough */
			if (result != CONF_BAD)
				diag_add(diags, DIAG_ERROR, line->file,
				    line->number, "%s: %s: \"%.*s\"", s->name,
				    wrong, SPAN_ARG(line->value));
			result = CONF_BAD;
		}
	}
	return result;
}
