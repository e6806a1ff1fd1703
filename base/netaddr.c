#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/netaddr.h"

static unsigned
bits_of(const struct netaddr *a)
{
	return a->family == 4 ? 32 : a->family == 6 ? 128 : 0;
}

static void
unmap(struct netaddr *a)
{
	static const uint8_t mapped[12] = { [10] = 0xFF, [11] = 0xFF };

	if (a->family == 6 && memcmp(a->bytes, mapped, sizeof(mapped)) == 0) {
		memmove(a->bytes, a->bytes + 12, 4);
		memset(a->bytes + 4, 0, 12);
		a->family = 4;
	}
}

bool
netaddr_parse(struct span text, struct netaddr *ret_addr)
{
	char tmp[INET6_ADDRSTRLEN + 1];
	struct netaddr a = { 0 };

	if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
		text = span_of(text.ptr + 1, text.len - 2);
	if (span_istarts(text, "IPv6:"))
		text = span_from(text, 5);
	if (text.len == 0 || text.len >= sizeof(tmp) ||
	    memchr(text.ptr, '\0', text.len) != NULL)
		return false;
	memcpy(tmp, text.ptr, text.len);
	tmp[text.len] = '\0';
	if (inet_pton(AF_INET, tmp, a.bytes) == 1)
		a.family = 4;
	else if (inet_pton(AF_INET6, tmp, a.bytes) == 1)
		a.family = 6;
	else
		return false;
	unmap(&a);
	*ret_addr = a;
	return true;
}

bool
netaddr_from_sockaddr(const struct sockaddr *sa, struct netaddr *ret_addr)
{
	struct netaddr a = { 0 };

	if (sa == NULL)
		return false;
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		memcpy(a.bytes, &in.sin_addr, 4);
		a.family = 4;
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		memcpy(a.bytes, &in6.sin6_addr, 16);
		a.family = 6;
	} else
		return false;
	unmap(&a);
	*ret_addr = a;
	return true;
}

const char *
netaddr_format(const struct netaddr *a, char out[NETADDR_TEXT])
{
	if (a->family == 0 ||
	    inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, out,
		NETADDR_TEXT) == NULL)
		strcpy(out, "none");
	return out;
}

bool
netaddr_eq(const struct netaddr *a, const struct netaddr *b)
{
	return a->family == b->family &&
	    memcmp(a->bytes, b->bytes, bits_of(a) / 8) == 0;
}

static bool
in_any(const struct netaddr *a, const char *const *nets)
{
	for (; *nets != NULL; nets++) {
		struct network n;

		if (network_parse(span_cstr(*nets), &n) && network_contains(&n, a))
			return true;
	}
	return false;
}

bool
netaddr_is_loopback(const struct netaddr *a)
{
	static const char *const nets[] = { "127.0.0.0/8", "::1/128", NULL };

	return in_any(a, nets);
}

bool
netaddr_is_private(const struct netaddr *a)
{
	static const char *const nets[] = { "127.0.0.0/8", "10.0.0.0/8",
		"172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
		"100.64.0.0/10", "0.0.0.0/8", "::1/128", "::/128", "fc00::/7",
		"fe80::/10", NULL };

	return in_any(a, nets);
}

const char *
netaddr_reverse(const struct netaddr *a, bool with_suffix, char out[80])
{
	size_t n = 0;

	out[0] = '\0';
	if (a->family == 4) {
		snprintf(out, 80, "%u.%u.%u.%u%s", a->bytes[3], a->bytes[2],
		    a->bytes[1], a->bytes[0], with_suffix ? ".in-addr.arpa" : "");
	} else if (a->family == 6) {
		for (int i = 15; i >= 0; i--)
			n += (size_t)snprintf(out + n, 80 - n, "%x.%x%s",
			    a->bytes[i] & 15u, a->bytes[i] >> 4, i > 0 ? "." : "");
		if (with_suffix)
			snprintf(out + n, 80 - n, ".ip6.arpa");
	}
	return out;
}

struct network
network_of(const struct netaddr *a, unsigned prefix_len)
{
	struct network n = { .addr = *a };
	unsigned bits = bits_of(a);

	if (prefix_len > bits)
		prefix_len = bits;
	n.prefix_len = (uint8_t)prefix_len;
	for (unsigned i = prefix_len; i < bits; i++)
		n.addr.bytes[i / 8] &= (uint8_t)~(0x80u >> i % 8);
	return n;
}

/* SpamAssassin's "192.168." or "10.1.2": fewer than four parts */
static bool
short_form_parse(struct span text, struct network *ret_net)
{
	struct netaddr a = { .family = 4 };
	unsigned parts = 0, value = 0, digits = 0;

	for (size_t i = 0; i <= text.len; i++) {
		char c = i < text.len ? text.ptr[i] : '.';

		if (c >= '0' && c <= '9') {
			value = value * 10 + (unsigned)(c - '0');
			if (++digits > 3 || value > 255)
				return false;
		} else if (c == '.') {
			if (digits == 0) {
				if (i == text.len && parts > 0)
					break; /* a final dot */
				return false;
			}
			if (parts == 3)
				return false;
			a.bytes[parts++] = (uint8_t)value;
			value = digits = 0;
		} else
			return false;
	}
	if (parts == 0)
		return false;
	*ret_net = network_of(&a, parts * 8);
	return true;
}

bool
network_parse(struct span text, struct network *ret_net)
{
	size_t slash = span_find(text, '/');
	struct netaddr a;
	unsigned len = 0;

	if (!netaddr_parse(span_of(text.ptr, slash), &a)) {
		if (slash != text.len)
			return false;
		return short_form_parse(text, ret_net);
	}
	if (slash == text.len) {
		*ret_net = network_of(&a, bits_of(&a));
		return true;
	}
	if (text.len - slash < 2 || text.len - slash > 4)
		return false;
	for (size_t i = slash + 1; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		len = len * 10 + (unsigned)(text.ptr[i] - '0');
	}
	if (a.family == 4 && span_find(text, ':') < slash) {
		/* a mapped network: its length counts the 96 bits before */
		if (len < 96 || len > 128)
			return false;
		len -= 96;
	}
	if (len > bits_of(&a))
		return false;
	*ret_net = network_of(&a, len);
	return true;
}

static bool
prefix_eq(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return bits % 8 == 0 ||
	    ((a[bits / 8] ^ b[bits / 8]) & (0xFF00u >> bits % 8) & 0xFF) == 0;
}

bool
network_contains(const struct network *n, const struct netaddr *a)
{
	return n->addr.family != 0 && n->addr.family == a->family &&
	    prefix_eq(n->addr.bytes, a->bytes, n->prefix_len);
}

bool
network_overlaps(const struct network *a, const struct network *b)
{
	unsigned bits = a->prefix_len < b->prefix_len ? a->prefix_len :
							b->prefix_len;

	return a->addr.family != 0 && a->addr.family == b->addr.family &&
	    prefix_eq(a->addr.bytes, b->addr.bytes, bits);
}

const char *
network_format(const struct network *n, char out[NETADDR_TEXT])
{
	size_t len;

	netaddr_format(&n->addr, out);
	if (n->prefix_len != bits_of(&n->addr)) {
		len = strlen(out);
		snprintf(out + len, NETADDR_TEXT - len, "/%u", n->prefix_len);
	}
	return out;
}

int
netset_add(struct netset *set, const struct network *n)
{
	if (set->count == set->alloc) {
		size_t alloc = set->alloc == 0 ? 8 : set->alloc * 2;
		struct network *p = reallocarray(set->nets, alloc, sizeof(*p));

		if (p == NULL)
			return -ENOMEM;
		set->nets = p;
		set->alloc = alloc;
	}
	set->nets[set->count++] = *n;
	return 0;
}

bool
netset_contains(const struct netset *set, const struct netaddr *a)
{
	for (size_t i = 0; i < set->count; i++)
		if (network_contains(&set->nets[i], a))
			return !set->nets[i].excluded;
	return false;
}

bool
netset_overlaps(const struct netset *set, const struct network *n)
{
	for (size_t i = 0; i < set->count; i++)
		if (!set->nets[i].excluded && network_overlaps(&set->nets[i], n))
			return true;
	return false;
}

void
netset_done(struct netset *set)
{
	free(set->nets);
	*set = (struct netset){ 0 };
}
