/*
 * addrlist - lists of addresses with file-glob wildcards, as SpamAssassin's
 * welcomelist_from and its kin take them: "*" any text, "?" one character.
 *
 * Built while loading, in the ruleset's arena; read-only afterwards.
 */
#ifndef SCORING_RULES_EVAL_ADDRLIST_H
#define SCORING_RULES_EVAL_ADDRLIST_H

#include "scoring/rules/eval.h"

struct addr_entry {
	struct span glob;  /* lower case */
	size_t tail;	   /* length of the literal end, for a quick no */
	struct span relay; /* second word of *_rcvd lists; else empty */
};

struct addrlist {
	struct span name;
	struct addr_entry *entries;
	size_t count, alloc;
};

/* 0 or -ENOMEM. glob and relay are copied, lower case. */
int addrlist_add(struct arena *a, struct addrlist *l, struct span glob,
    struct span relay);
/* Takes away every entry that was written just so. */
void addrlist_remove(struct addrlist *l, struct span glob, struct span relay);
/* Whole-text match, s in lower case. */
bool addr_entry_matches(const struct addr_entry *e, struct span s);
bool addrlist_has(const struct addrlist *l, struct span s);

/* SpamAssassin's all_from_addrs() and all_to_addrs(), lower case, unique.
 * 0 or -ENOMEM */
int addr_all_from(struct eval_context *ctx, struct span **ret, size_t *ret_n);
/* The same in the case in which they are written */
int addr_all_from_as_written(struct eval_context *ctx, struct span **ret,
    size_t *ret_n);
int addr_all_to(struct eval_context *ctx, struct span **ret, size_t *ret_n);
/* ASCII lower case copy; ptr NULL: no memory */
struct span addr_lower(struct arena *a, struct span s);

#endif
