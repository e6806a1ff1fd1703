/*
 * date - the time that a Date or Received field names (RFC 5322 3.3), read
 * as leniently as SpamAssassin's parse_rfc822_date does: out of range parts
 * are forced into range, an unknown zone is UTC. Pure.
 */
#ifndef SCORING_MESSAGE_DATE_H
#define SCORING_MESSAGE_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* The first date found anywhere in s. false: none. */
bool date_parse(struct span s, int64_t *ret_unixtime);

#endif
