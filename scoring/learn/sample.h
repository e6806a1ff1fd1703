/*
 * sample - what the model may know of one message: a few short texts
 * ("views") and nothing else. Features are made from samples only, so what
 * never enters a sample can never be learned.
 *
 * Kept out, because it tells what somebody's filter or mailbox thought and
 * not what the author wrote (leak hygiene): the mbox "From " line, fields of
 * filters and virus scanners (X-Spam-*, X-Bogosity, ...), foreign
 * Authentication-Results and Received-SPF, our own fields, what local
 * delivery and mail stores add (Return-Path, Delivered-To, Delivery-Date,
 * Status, Lines, Content-Length, X-Keywords, ...), and the local Received
 * hops: from the top through the hop that took the message from outside.
 *
 * A packed sample is at most SAMPLE_MAX_BYTES and is what a store keeps with
 * a label event, so that a replay needs neither the mail nor the DNS of that
 * day. Spans belong to the arena that the sample was made in. Pure; any
 * number of threads.
 */
#ifndef SCORING_LEARN_SAMPLE_H
#define SCORING_LEARN_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/span.h"
#include "scoring/message/message.h"

enum sample_view {
	SAMPLE_RAW,    /* raw bytes: fields without signatures, then the body */
	SAMPLE_HEAD,   /* the author's fields, decoded, "Name:value\n" */
	SAMPLE_TEXT,   /* decoded visible text */
	SAMPLE_TOKENS, /* words of ours, a space between: structure, order of
			  fields, domains of URIs, charsets, scripts */
	SAMPLE_VIEWS,
};

/* Bytes of each view that are kept; the rest of a message is not learned */
enum {
	SAMPLE_RAW_BYTES = 2000,
	SAMPLE_HEAD_BYTES = 2000,
	SAMPLE_TEXT_BYTES = 2500,
	SAMPLE_TOKENS_BYTES = 2000,
	SAMPLE_MAX_BYTES = 16 + SAMPLE_RAW_BYTES + SAMPLE_HEAD_BYTES +
	    SAMPLE_TEXT_BYTES + SAMPLE_TOKENS_BYTES,
};

struct sample {
	struct span view[SAMPLE_VIEWS];
};

struct sample_source {
	/* Nothing of DNS beside it: verdict and lesson must agree in what they
	 * see, and a lesson from a mailbox has no answers of that day. */
	struct message *message;
	/* false: the bytes came by SMTP just now and the local MTA's Received
	 * is not among them; true: they come from a mailbox or file */
	bool delivered;
};

/* 0 or -ENOMEM */
int sample_make(const struct sample_source *source, struct arena *a,
    struct sample *ret_sample);

/* 0 or -ENOMEM */
int sample_pack(const struct sample *s, struct arena *a,
    struct span *ret_packed);
/* 0, or -EBADMSG; the views borrow from packed. */
int sample_unpack(struct span packed, struct sample *ret_sample);

/* Would a field of that name be kept out of every view? */
bool sample_field_leaks(struct span name);

#endif
