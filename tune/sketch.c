#include "base/random.h"
#include "tune/sketch.h"

enum { FEWEST_WORDS = 8 };

void
sketch_begin(struct sketch_maker *k)
{
	*k = (struct sketch_maker){ 0 };
	for (int i = 0; i < SKETCH_SIZE; i++)
		k->least[i] = UINT64_MAX;
}

static void
word_add(struct sketch_maker *k, uint64_t word)
{
	uint64_t run;

	if (++k->words >= 3) {
		run = random_mix(k->last[0] * RANDOM_STEP +
		    k->last[1] * 0xD1B54A32D192ED03u + word);
		for (uint64_t i = 0; i < SKETCH_SIZE; i++) {
			uint64_t h = random_mix(run + i * RANDOM_STEP);

			if (h < k->least[i])
				k->least[i] = h;
		}
	}
	k->last[0] = k->last[1];
	k->last[1] = word;
}

void
sketch_add(struct sketch_maker *k, struct span text)
{
	uint64_t word = 0;

	for (size_t i = 0; i < text.len && k->words < SKETCH_MAX_WORDS; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		else if (c >= '0' && c <= '9')
			c = '0';
		if ((c >= 'a' && c <= 'z') || c == '0' || c >= 0x80)
			word = (word ^ c) * 0x100000001B3u + 1;
		else if (word != 0) {
			word_add(k, word);
			word = 0;
		}
	}
	if (word != 0 && k->words < SKETCH_MAX_WORDS)
		word_add(k, word);
}

void
sketch_end(const struct sketch_maker *k, struct sketch *ret_sketch)
{
	for (int i = 0; i < SKETCH_SIZE; i++)
		ret_sketch->least[i] = (uint32_t)(k->least[i] >> 32);
	ret_sketch->has_text = k->words >= FEWEST_WORDS;
}

unsigned
sketch_alike(const struct sketch *a, const struct sketch *b)
{
	unsigned same = 0;

	if (!a->has_text || !b->has_text)
		return 0;
	for (int i = 0; i < SKETCH_SIZE; i++)
		same += a->least[i] == b->least[i];
	return same;
}
