#include <errno.h>
#include <unistd.h>

#include "base/conf.h"
#include "scoring/auth/auth_internal.h"

/* As libunbound reads it: an address, with a scope ("%eth0") and a port */
static bool
is_resolver(const char *text)
{
	struct span s = span_cstr(text);
	size_t at = span_find(s, '@');
	struct span address = span_of(text, at);
	struct netaddr ip;
	int64_t port;

	address.len = span_find(address, '%');
	return netaddr_parse(address, &ip) && (at == s.len ||
	    (conf_parse_int(span_from(s, at + 1), &port) && port >= 1 &&
		port <= 65535));
}

static void
check_file(const char *name, const char *path, enum diag_level level,
    const char *file, struct diags *diags)
{
	if (path != NULL && access(path, R_OK) != 0)
		diag_add(diags, level, file, 0, "%s: cannot read \"%s\": %s", name,
		    path, strerror(errno));
}

void
auth_settings_check(const struct scoring_settings *s, const char *file,
    bool strict, struct diags *diags)
{
	enum diag_level level = strict ? DIAG_ERROR : DIAG_WARNING;
	char domain[DNS_NAME_TEXT];

	for (size_t i = 0; i < s->resolver.count; i++)
		if (!is_resolver(s->resolver.items[i]))
			diag_add(diags, DIAG_ERROR, file, 0, "resolver: not an "
			    "address or address@port: \"%s\"",
			    s->resolver.items[i]);
	for (size_t i = 0; i < s->arc_trusted_sealers.count; i++)
		if (!auth_domain_ascii(span_cstr(s->arc_trusted_sealers.items[i]),
		    domain) || strchr(domain, '.') == NULL)
			diag_add(diags, level, file, 0, "arc_trusted_sealers: "
			    "not a domain: \"%s\"",
			    s->arc_trusted_sealers.items[i]);
	/* where the daemon runs they must be there; here, with --offline, they
	 * may not */
	check_file("trust_anchor", s->trust_anchor, level, file, diags);
	check_file("public_suffix_list", s->public_suffix_list, level, file,
	    diags);
}
