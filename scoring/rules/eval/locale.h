/*
 * locale - ok_locales: which character sets the administrator's languages
 * use, after SpamAssassin's Locales.pm.
 */
#ifndef SCORING_RULES_EVAL_LOCALE_H
#define SCORING_RULES_EVAL_LOCALE_H

#include "scoring/rules/eval.h"

struct locale {
	bool all;	   /* every charset is fine (the default) */
	struct span words; /* "en ja", borrowed from the rule file */
};

/* From the last ok_locales line. */
void locale_load(struct eval_loader *l, struct locale *ret);
bool locale_charset_ok(const struct locale *locale, struct span charset);

#endif
