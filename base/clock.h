/*
 * clock - the monotonic clock, for deadlines and for measuring.
 *
 * Never for a verdict: what decides anything takes the time from its caller
 * or counts steps.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t
clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static inline int64_t
clock_ms(void)
{
	return clock_us() / 1000;
}

/* ms from now, for pthread_cond_timedwait() on a CLOCK_MONOTONIC condition */
static inline struct timespec
clock_deadline(int64_t ms)
{
	int64_t us = clock_us() + ms * 1000;

	return (struct timespec){ us / 1000000, us % 1000000 * 1000 };
}

#endif
