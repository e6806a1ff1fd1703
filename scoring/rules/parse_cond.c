/*
 * `if` and `ifplugin`: which plugins count as loaded, and what
 * Mail::SpamAssassin 4.0.1 says it can do.
 */
#include <errno.h>

#include "scoring/rules/internal.h"

static const char prefix[] = "Mail::SpamAssassin::Plugin::";

/* What Debian's init.pre and v3*.pre load, and ours */
static const char *const loaded[] = { "ASN", "AskDNS", "AutoLearnThreshold",
	"Bayes", "BodyEval", "Check", "DKIM", "DMARC", "DNSEval", "FreeMail",
	"HTMLEval", "HTTPSMismatch", "HashBL", "HeaderEval", "ImageInfo",
	"MIMEEval", "MIMEHeader", "Pyzor", "Razor2", "RelayEval", "ReplaceTags",
	"SPF", "Spamscore", "SpamCop", "URIDNSBL", "URIDetail", "URIEval",
	"VBounce", "WLBLEval", "WelcomeListSubject", "RaciallyCharged", NULL };

/* Functions that answer true, "Conf::" and "Plugin::NAME::" */
static const char *const features[] = {
	"Conf::compat_welcomelist_blocklist",
	"Conf::feature_bayes_auto_learn_on_error",
	"Conf::feature_bayes_stopwords", "Conf::feature_blocklist_welcomelist",
	"Conf::feature_bug6558_free", "Conf::feature_capture_rules",
	"Conf::feature_compile_regexp", "Conf::feature_dns_block_rule",
	"Conf::feature_dns_local_ports_permit_avoid",
	"Conf::feature_dns_query_restriction", "Conf::feature_edns",
	"Conf::feature_geodb", "Conf::feature_get_host",
	"Conf::feature_header_address_parser",
	"Conf::feature_header_first_last", "Conf::feature_header_match_many",
	"Conf::feature_local_tests_only", "Conf::feature_meta_rules_matching",
	"Conf::feature_originating_ip_headers",
	"Conf::feature_registryboundaries", "Conf::feature_subjprefix",
	"Conf::feature_uri_host_listed", "Conf::feature_welcomelist_blocklist",
	"Conf::feature_yesno_takes_args", "Conf::has_tflags_nolog",
	"Conf::has_tflags_nosubject", "Conf::perl_min_version_5010000",
	"Plugin::ASN::has_asn_geodb", "Plugin::ASN::has_asn_lookup_ipv6",
	"Plugin::ASN::has_check_asn", "Plugin::ASN::has_check_asn_tag",
	"Plugin::AskDNS::has_tag_header",
	"Plugin::BodyEval::has_check_body_length",
	"Plugin::BodyEval::has_plaintext_body_sig_ratio",
	"Plugin::DKIM::has_arc", "Plugin::DNSEval::has_tflags_domains_only",
	"Plugin::DNSEval::has_tflags_ips_only",
	"Plugin::HashBL::has_hashbl_attachments",
	"Plugin::HashBL::has_hashbl_bodyre",
	"Plugin::HashBL::has_hashbl_bodyre_num",
	"Plugin::HashBL::has_hashbl_email_domain",
	"Plugin::HashBL::has_hashbl_email_domain_alias",
	"Plugin::HashBL::has_hashbl_email_regex",
	"Plugin::HashBL::has_hashbl_email_welcomelist",
	"Plugin::HashBL::has_hashbl_email_whitelist",
	"Plugin::HashBL::has_hashbl_emails",
	"Plugin::HashBL::has_hashbl_ignore",
	"Plugin::HashBL::has_hashbl_sha256", "Plugin::HashBL::has_hashbl_tag",
	"Plugin::HashBL::has_hashbl_uris",
	"Plugin::MIMEEval::has_check_abundant_unicode_ratio",
	"Plugin::MIMEEval::has_check_for_ascii_text_illegal",
	"Plugin::MIMEEval::has_check_qp_ratio",
	"Plugin::MIMEHeader::has_all_header",
	"Plugin::MIMEHeader::has_capture_rules",
	"Plugin::MIMEHeader::has_tflags_concat",
	"Plugin::MIMEHeader::has_tflags_multiple",
	"Plugin::MIMEHeader::has_tflags_range", "Plugin::Pyzor::has_fork",
	"Plugin::Pyzor::has_perl", "Plugin::Razor2::has_fork",
	"Plugin::SPF::has_check_for_spf_errors",
	"Plugin::SPF::has_check_spf_skipped_noenvfrom",
	"Plugin::URIDNSBL::has_subtest_for_ranges",
	"Plugin::URIDNSBL::has_tflags_domains_only",
	"Plugin::URIDNSBL::has_tflags_notrim",
	"Plugin::URIDNSBL::has_uridnsbl_a_ns",
	"Plugin::URIDNSBL::has_uridnsbl_for_a",
	"Plugin::URIDNSBL::has_uridnsbl_skip_mailto",
	"Plugin::URIDetail::has_host_key", NULL
};

static bool
plugin_loaded(struct span name)
{
	if (!span_istarts(name, prefix))
		return false;
	name = span_from(name, sizeof(prefix) - 1);
	/* old spellings that SpamAssassin still accepts */
	if (span_is(name, "Dmarc"))
		name = SPAN_LIT("DMARC");
	else if (span_is(name, "WhiteListSubject"))
		name = SPAN_LIT("WelcomeListSubject");
	for (size_t i = 0; loaded[i] != NULL; i++)
		if (span_is(name, loaded[i]))
			return true;
	return false;
}

/* can() and has(): a feature, or an eval function of a loaded plugin */
static bool
can(struct loader *l, struct span name)
{
	static const char top[] = "Mail::SpamAssassin::";
	struct span rest = span_from(name, sizeof(top) - 1), method;
	size_t *index, cut = 0;

	if (!span_istarts(name, top))
		return false;
	for (size_t i = 0; features[i] != NULL; i++)
		if (span_is(rest, features[i]))
			return true;
	for (size_t i = 0; i + 1 < name.len; i++)
		if (name.ptr[i] == ':' && name.ptr[i + 1] == ':')
			cut = i;
	method = span_from(name, cut + 2);
	name.len = cut;
	index = strmap_find(&l->functions, method);
	if (index != NULL &&
	    span_is(name, l->function_list[*index].family->plugin))
		return true;
	for (size_t i = 0; eval_families[i] != NULL; i++) {
		const char *const *f = eval_families[i]->features;

		if (!span_is(name, eval_families[i]->plugin))
			continue;
		for (; f != NULL && *f != NULL; f++)
			if (span_is(method, *f))
				return true;
	}
	return false;
}

/* "(NAME)" behind a function's name, with or without spaces */
static bool
take_argument(struct span *rest, struct span *ret_name)
{
	size_t n;

	*rest = span_trim(*rest);
	if (rest->len == 0 || rest->ptr[0] != '(')
		return false;
	*rest = span_trim(span_from(*rest, 1));
	n = span_find(*rest, ')');
	if (n == rest->len)
		return false;
	*ret_name = span_trim(span_of(rest->ptr, n));
	*rest = span_from(*rest, n + 1);
	return true;
}

static int
condition_name(void *context, struct span word, struct span *rest,
    uint32_t *ret_index, bool *ret_is_constant, double *ret_constant,
    struct error *err)
{
	struct loader *l = context;
	struct span name;
	bool is_plugin = span_is(word, "plugin");

	*ret_index = 0;
	*ret_is_constant = true;
	if (span_is(word, "version"))
		*ret_constant = 4.000001;
	else if (span_is(word, "perl_version"))
		*ret_constant = 5.036;
	else if (span_is(word, "local_tests_only"))
		*ret_constant = 0;
	else if (is_plugin || span_is(word, "can") || span_is(word, "has")) {
		if (!take_argument(rest, &name))
			return error_set(err, -EINVAL,
			    "%.*s() needs an argument", SPAN_ARG(word));
		*ret_constant = is_plugin ? plugin_loaded(name) : can(l, name);
	} else
		return error_set(err, -EINVAL, "unknown word \"%.*s\"",
		    SPAN_ARG(word));
	return 0;
}

int
parse_condition(struct loader *l, const struct conf_line *line,
    struct span condition, bool is_plugin)
{
	struct expr_value stack[EXPR_MAX_NEST * 4];
	struct error err = { "" };
	struct expr e;
	int r;

	if (is_plugin)
		return plugin_loaded(condition);
	r = expr_parse(l->arena, condition, condition_name, l, &e, &err);
	if (r == 0 && e.depth > sizeof(stack) / sizeof(stack[0]))
		r = error_set(&err, -EINVAL, "nested too deep");
	if (r != 0) {
		loader_error(l, line, "if: %s", r == -ENOMEM ? "out of memory" :
							 err.text);
		return -1;
	}
	return expr_eval(&e, stack, NULL, NULL).may_be_true;
}
