#include <stdint.h>

#include "base/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target {
		bool b;
		int64_t i, size, duration;
		double points;
		const char *s;
		struct strings words;
		struct netset nets;
		struct conf_hosts hosts;
		int choice;
	} target = { 0 };
	static const struct setting_choice choices[] = { { "a", 1 }, { "b", 2 },
		{ NULL, 0 } };
	static const struct setting table[] = {
		{ "bool", SETTING_BOOL, offsetof(struct target, b), 0, 0, NULL, "" },
		{ "int", SETTING_INT, offsetof(struct target, i), -5, 100, NULL, "" },
		{ "size", SETTING_SIZE, offsetof(struct target, size), 0, 1 << 30, NULL, "" },
		{ "dur", SETTING_DURATION, offsetof(struct target, duration), 0, 1 << 30, NULL, "" },
		{ "points", SETTING_POINTS, offsetof(struct target, points), 0, 0, NULL, "" },
		{ "str", SETTING_STRING, offsetof(struct target, s), 0, 0, NULL, "" },
		{ "words", SETTING_STRINGS, offsetof(struct target, words), 0, 0, NULL, "" },
		{ "nets", SETTING_NETS, offsetof(struct target, nets), 0, 0, NULL, "" },
		{ "hosts", SETTING_HOSTS, offsetof(struct target, hosts), 0, 0, NULL, "" },
		{ "enum", SETTING_ENUM, offsetof(struct target, choice), 0, 0, choices, "" },
		{ 0 },
	};
	struct settings_room room = { table, &target };
	struct arena *a = arena_new(8 << 20);
	struct conf_lines lines = { 0 };
	struct diags diags;

	if (a == NULL)
		return 0;
	diags_init(&diags, a);
	if (conf_parse(a, "fuzz", span_of((const char *)data, size), &lines,
		&diags, NULL) == 0) {
		struct buf out;

		for (size_t i = 0; i < lines.count; i++)
			conf_apply(&lines.lines[i], &room, 1, a, &diags);
		buf_init(&out, 1 << 20);
		diags_format(&diags, DIAG_NOTE, &out);
		buf_done(&out);
	}
	netset_done(&target.nets);
	netset_done(&target.hosts.nets);
	arena_free(a);
	return 0;
}
