#include <ctype.h>
#include <stdio.h>

#include "scoring/auth/dns_internal.h"

/* Appends one byte of a label in canonical escape; false: no room. */
static bool
put_byte(char *out, size_t *n, unsigned char c)
{
	char text[5];
	size_t len;

	if (c >= 'A' && c <= 'Z')
		c = (unsigned char)(c - 'A' + 'a');
	if (c == '.' || c == '\\') {
		text[0] = '\\';
		text[1] = (char)c;
		len = 2;
	} else if (c > 0x20 && c < 0x7F) {
		text[0] = (char)c;
		len = 1;
	} else {
		len = (size_t)snprintf(text, sizeof(text), "\\%03u", c);
	}
	if (*n + len >= DNS_NAME_TEXT)
		return false;
	memcpy(out + *n, text, len);
	*n += len;
	return true;
}

/* One byte of a label from text with escapes; moves *i. False: bad escape. */
static bool
next_escaped(struct span text, size_t *i, unsigned char *ret_byte)
{
	unsigned char c = (unsigned char)text.ptr[*i];

	if (c != '\\') {
		*ret_byte = c;
		(*i)++;
		return true;
	}
	if (*i + 1 >= text.len)
		return false;
	c = (unsigned char)text.ptr[*i + 1];
	if (!isdigit(c)) {
		*ret_byte = c;
		*i += 2;
		return true;
	}
	if (*i + 3 >= text.len ||
	    !isdigit((unsigned char)text.ptr[*i + 2]) ||
	    !isdigit((unsigned char)text.ptr[*i + 3]))
		return false;
	unsigned v = (unsigned)(c - '0') * 100 +
	    (unsigned)(text.ptr[*i + 2] - '0') * 10 +
	    (unsigned)(text.ptr[*i + 3] - '0');
	if (v > 255)
		return false;
	*ret_byte = (unsigned char)v;
	*i += 4;
	return true;
}

static bool
name_canonical(struct span text, bool escapes, char *out)
{
	size_t i = 0, n = 0, label = 0, wire = 1;

	out[0] = '\0';
	if (text.len == 0 || (text.len == 1 && text.ptr[0] == '.'))
		return true;
	while (i < text.len) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '.') {
			if (label == 0)
				goto bad;
			label = 0;
			i++;
			if (i == text.len)
				break; /* the final dot */
			if (n + 1 >= DNS_NAME_TEXT)
				goto bad;
			out[n++] = '.';
			continue;
		}
		if (escapes) {
			if (!next_escaped(text, &i, &c))
				goto bad;
		} else {
			i++;
		}
		wire += label == 0 ? 2 : 1;
		if (++label > 63 || wire > 255 || !put_byte(out, &n, c))
			goto bad;
	}
	out[n] = '\0';
	return true;
bad:
	out[0] = '\0';
	return false;
}

bool
dns_name_canonical(struct span text, char out[DNS_NAME_TEXT])
{
	return name_canonical(text, true, out);
}

bool
dns_name_from_bytes(struct span text, char out[DNS_NAME_TEXT])
{
	return name_canonical(text, false, out);
}

bool
dns_wire_name(struct span rdata, size_t *pos, char out[DNS_NAME_TEXT])
{
	size_t i = *pos, n = 0, wire = 0;

	for (;;) {
		if (i >= rdata.len)
			return false;
		size_t len = (unsigned char)rdata.ptr[i++];

		wire += len + 1;
		/* compression pointers do not belong here: libunbound expands */
		if (len > 63 || wire > 255 || len > rdata.len - i)
			return false;
		if (len == 0)
			break;
		if (n != 0) {
			if (n + 1 >= DNS_NAME_TEXT)
				return false;
			out[n++] = '.';
		}
		for (size_t k = 0; k < len; k++)
			if (!put_byte(out, &n, (unsigned char)rdata.ptr[i + k]))
				return false;
		i += len;
	}
	out[n] = '\0';
	*pos = i;
	return true;
}

static enum dns_wire
text_record(struct arena *a, struct span rdata, struct dns_record *ret_record)
{
	char *out = arena_bytes(a, rdata.len + 1);
	size_t n = 0;

	if (out == NULL)
		return DNS_WIRE_NO_MEMORY;
	for (size_t i = 0; i < rdata.len;) {
		size_t len = (unsigned char)rdata.ptr[i++];

		if (len > rdata.len - i)
			return DNS_WIRE_BAD;
		memcpy(out + n, rdata.ptr + i, len);
		n += len;
		i += len;
	}
	out[n] = '\0';
	ret_record->data = span_of(out, n);
	return DNS_WIRE_OK;
}

enum dns_wire
dns_wire_record(struct arena *a, uint16_t type, struct span rdata,
    struct dns_record *ret_record)
{
	char name[DNS_NAME_TEXT];
	size_t pos = 0;

	*ret_record = (struct dns_record){ .preference = 0 };
	if (rdata.len > DNS_MAX_RECORD_BYTES)
		return DNS_WIRE_BAD;
	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		if (rdata.len != (type == DNS_A ? 4 : 16))
			return DNS_WIRE_BAD;
		ret_record->data = arena_span(a, rdata);
		return ret_record->data.ptr != NULL ? DNS_WIRE_OK :
						      DNS_WIRE_NO_MEMORY;
	case DNS_TXT:
		return text_record(a, rdata, ret_record);
	case DNS_MX:
		if (rdata.len < 3)
			return DNS_WIRE_BAD;
		ret_record->preference = (uint16_t)(
		    (unsigned char)rdata.ptr[0] << 8 |
		    (unsigned char)rdata.ptr[1]);
		pos = 2;
		break;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		break;
	default: /* kept as it is: nobody here looks into it */
		ret_record->data = arena_span(a, rdata);
		return ret_record->data.ptr != NULL ? DNS_WIRE_OK :
						      DNS_WIRE_NO_MEMORY;
	}
	if (!dns_wire_name(rdata, &pos, name) || pos != rdata.len)
		return DNS_WIRE_BAD;
	ret_record->data = arena_span(a, span_cstr(name));
	return ret_record->data.ptr != NULL ? DNS_WIRE_OK : DNS_WIRE_NO_MEMORY;
}
