/*
 * Words that are neither rules nor plain settings: directives of eval
 * families, and SpamAssassin's own that change nothing here. Each of the
 * latter is accepted with the reason why it has no effect
 * (`spamscore lint --verbose` lists them); only an unknown word is an error.
 */
#include <stdio.h>

#include "scoring/rules/internal.h"

enum reason {
	R_REPORT, R_BAYES, R_DNS, R_DELIVERY, R_STORE, R_PROCESS, R_NETWORK_TEST,
	R_PLUGIN, R_GEO, R_TRUST, R_LEARN, R_TEXT, R_AUTH, R_REPUTATION, R_ONE,
	R_PATTERN, R_OPTIONAL,
};

static const char *const reasons[] = {
	[R_REPORT] = "spamscore writes its own report; see --explain",
	[R_BAYES] = "the learned model is another one, with its own settings",
	[R_DNS] = "spamscore resolves by itself; see resolver",
	[R_DELIVERY] = "header fields are those of spamscore.conf",
	[R_STORE] = "state is kept in spamscore's own database",
	[R_PROCESS] = "work is limited in steps, not in time",
	[R_NETWORK_TEST] = "this service is not asked",
	[R_PLUGIN] = "Perl plugins cannot be loaded",
	[R_GEO] = "no country database is used",
	[R_TRUST] = "networks are told with trusted_networks and "
		    "internal_networks in spamscore.conf",
	[R_LEARN] = "see auto_learn in spamscore.conf",
	[R_TEXT] = "texts are always treated so, or never",
	[R_AUTH] = "SPF, DKIM and DMARC are checked once for all rules",
	[R_REPUTATION] = "reputation is kept by authenticated identity",
	[R_ONE] = "there is one configuration, for all users",
	[R_PATTERN] = "patterns are taken as they are written",
	[R_OPTIONAL] = "of a plugin that Debian does not load; ifplugin is "
		       "false for it",
};

/* in alphabetical order within each group */
static const struct {
	const char *word;
	enum reason reason;
} inert[] = {
	{ "add_header", R_DELIVERY }, { "clear_headers", R_DELIVERY },
	{ "clear_report_template", R_REPORT },
	{ "clear_unsafe_report_template", R_REPORT },
	{ "fold_headers", R_DELIVERY }, { "remove_header", R_DELIVERY },
	{ "report", R_REPORT }, { "report_charset", R_REPORT },
	{ "report_contact", R_REPORT }, { "report_hostname", R_REPORT },
	{ "report_safe", R_REPORT }, { "report_safe_copy_headers", R_REPORT },
	{ "report_wrap_width", R_REPORT }, { "rewrite_header", R_DELIVERY },
	{ "subjprefix", R_DELIVERY }, { "unsafe_report", R_REPORT },

	{ "bayes_auto_expire", R_BAYES }, { "bayes_auto_learn", R_BAYES },
	{ "bayes_auto_learn_on_error", R_LEARN },
	{ "bayes_auto_learn_threshold_nonspam", R_LEARN },
	{ "bayes_auto_learn_threshold_spam", R_LEARN },
	{ "bayes_expiry_max_db_size", R_BAYES }, { "bayes_file_mode", R_BAYES },
	{ "bayes_ignore_from", R_BAYES }, { "bayes_ignore_header", R_BAYES },
	{ "bayes_ignore_to", R_BAYES }, { "bayes_journal_max_size", R_BAYES },
	{ "bayes_learn_during_report", R_BAYES },
	{ "bayes_learn_to_journal", R_BAYES },
	{ "bayes_max_token_length", R_BAYES }, { "bayes_min_ham_num", R_BAYES },
	{ "bayes_min_spam_num", R_BAYES }, { "bayes_path", R_BAYES },
	{ "bayes_seen_ttl", R_BAYES }, { "bayes_sql_dsn", R_BAYES },
	{ "bayes_sql_override_username", R_BAYES },
	{ "bayes_sql_password", R_BAYES }, { "bayes_sql_username", R_BAYES },
	{ "bayes_sql_username_authorized", R_BAYES },
	{ "bayes_stopword_languages", R_BAYES },
	{ "bayes_store_module", R_BAYES }, { "bayes_token_sources", R_BAYES },
	{ "bayes_token_ttl", R_BAYES }, { "bayes_use_hapaxes", R_BAYES },
	{ "use_bayes", R_BAYES }, { "use_bayes_rules", R_BAYES },
	{ "use_learner", R_BAYES },

	{ "clear_dns_servers", R_DNS }, { "dns_available", R_DNS },
	{ "dns_local_ports_avoid", R_DNS }, { "dns_local_ports_none", R_DNS },
	{ "dns_local_ports_permit", R_DNS }, { "dns_options", R_DNS },
	{ "dns_server", R_DNS }, { "dns_test_interval", R_DNS },
	{ "rbl_timeout", R_DNS }, { "uridnsbl_timeout", R_DNS },

	{ "always_trust_envelope_sender", R_TRUST },
	{ "clear_internal_networks", R_TRUST }, { "clear_msa_networks", R_TRUST },
	{ "clear_trusted_networks", R_TRUST }, { "internal_networks", R_TRUST },
	{ "msa_networks", R_TRUST },
	{ "trusted_networks", R_TRUST },

	{ "allow_user_rules", R_ONE }, { "user_scores_dsn", R_ONE },
	{ "user_scores_fallback_to_global", R_ONE },
	{ "user_scores_ldap_password", R_ONE },
	{ "user_scores_ldap_username", R_ONE },
	{ "user_scores_sql_custom_query", R_ONE },
	{ "user_scores_sql_password", R_ONE },
	{ "user_scores_sql_username", R_ONE },

	{ "body_part_scan_size", R_PROCESS }, { "lock_method", R_STORE },
	{ "rawbody_part_scan_size", R_PROCESS }, { "time_limit", R_PROCESS },
	{ "mbox_format_from_regex", R_TEXT }, { "normalize_charset", R_TEXT },
	{ "reuse", R_TEXT },
	{ "required_hits", R_DELIVERY }, { "required_score", R_DELIVERY },
	{ "enable_compat", R_TEXT }, { "version_tag", R_REPORT },

	{ "country_db_path", R_GEO }, { "country_db_type", R_GEO },
	{ "geodb_module", R_GEO }, { "geodb_options", R_GEO },
	{ "geodb_search_path", R_GEO }, { "uri_country_db_isp_path", R_GEO },
	{ "uri_country_db_path", R_GEO }, { "asn_lookup", R_GEO },
	{ "asn_lookup_ipv6", R_GEO }, { "asn_prefer_geodb", R_GEO },
	{ "asn_prefix", R_GEO }, { "asn_use_dns", R_GEO },
	{ "asn_use_geodb", R_GEO }, { "clear_asn_lookups", R_GEO },

	{ "loadplugin", R_PLUGIN }, { "tryplugin", R_PLUGIN },

	{ "dkim_minimum_key_bits", R_AUTH }, { "dkim_timeout", R_AUTH },
	{ "dmarc_save_reports", R_AUTH },
	{ "do_not_use_mail_spf", R_AUTH },
	{ "do_not_use_mail_spf_query", R_AUTH },
	{ "ignore_received_spf_header", R_AUTH }, { "spf_timeout", R_AUTH },
	{ "use_newest_received_spf_header", R_AUTH },

	{ "pyzor_count_min", R_NETWORK_TEST }, { "pyzor_fork", R_NETWORK_TEST },
	{ "pyzor_max", R_NETWORK_TEST }, { "pyzor_options", R_NETWORK_TEST },
	{ "pyzor_path", R_NETWORK_TEST }, { "pyzor_perl", R_NETWORK_TEST },
	{ "pyzor_server_file", R_NETWORK_TEST },
	{ "pyzor_timeout", R_NETWORK_TEST },
	{ "pyzor_welcomelist_factor", R_NETWORK_TEST },
	{ "pyzor_welcomelist_min", R_NETWORK_TEST },
	{ "razor_config", R_NETWORK_TEST }, { "razor_fork", R_NETWORK_TEST },
	{ "razor_timeout", R_NETWORK_TEST },
	{ "spamcop_from_address", R_NETWORK_TEST },
	{ "spamcop_max_report_size", R_NETWORK_TEST },
	{ "spamcop_relayhost", R_NETWORK_TEST },
	{ "spamcop_to_address", R_NETWORK_TEST }, { "use_pyzor", R_NETWORK_TEST },
	{ "use_razor2", R_NETWORK_TEST }, { "dcc_home", R_NETWORK_TEST },
	{ "use_dcc", R_NETWORK_TEST },
	{ "auto_welcomelist_path", R_REPUTATION },
	{ "use_auto_welcomelist", R_REPUTATION },
	{ "ignore_always_matching_regexps", R_PATTERN },
};

/* Settings of plugins that come with SpamAssassin and that Debian's .pre
 * files do not load */
static const char *const optional[] = {
	"authres_ignored_authserv", "authres_networks",
	"authres_trusted_authserv", "auto_welcomelist_db_modules",
	"auto_welcomelist_distinguish_signed", "auto_welcomelist_factor",
	"auto_welcomelist_factory", "auto_welcomelist_file_mode",
	"auto_welcomelist_ipv4_mask_len", "auto_welcomelist_ipv6_mask_len",
	"clear_url_shortener", "dcc_body_max", "dcc_dccifd_path",
	"dcc_fuz1_max", "dcc_fuz2_max", "dcc_learn_score", "dcc_options",
	"dcc_path", "dcc_rep_percent", "dcc_timeout", "dccifd_options",
	"extracttext_external", "extracttext_maxparts", "extracttext_timeout",
	"extracttext_use", "inactive_languages", "max_short_url_redirections",
	"max_short_urls", "ok_languages", "olemacro_download_marker",
	"olemacro_extended_scan", "olemacro_exts", "olemacro_macro_exts",
	"olemacro_max_file", "olemacro_num_mime", "olemacro_num_zip",
	"olemacro_prefer_contentdisposition", "olemacro_skip_ctypes",
	"olemacro_skip_exts", "olemacro_zip_depth", "olemacro_zips",
	"phishing_openphish_feed", "phishing_phishstats_feed",
	"phishing_phishstats_minscore", "phishing_phishtank_feed",
	"phishing_uri_noparam", "resource_limit_cpu", "resource_limit_mem",
	"run_reuse_tests_only", "shortcircuit", "shortcircuit_ham_score",
	"shortcircuit_max_spam_score", "shortcircuit_min_ham_score",
	"shortcircuit_spam_score", "textcat_acceptable_score",
	"textcat_max_languages", "textcat_max_ngrams", "textcat_optimal_ngrams",
	"trigger_config", "trigger_ratio", "trigger_target", "txrep_autolearn",
	"txrep_dilution_factor", "txrep_expiry_days", "txrep_factor",
	"txrep_factory", "txrep_ipv4_mask_len", "txrep_ipv6_mask_len",
	"txrep_learn_bonus", "txrep_learn_penalty", "txrep_report_details",
	"txrep_spf", "txrep_track_messages", "txrep_user2global_ratio",
	"txrep_weight_domain", "txrep_weight_email", "txrep_weight_email_ip",
	"txrep_weight_helo", "txrep_weight_ip", "txrep_welcomelist_out",
	"uri_block_cc", "uri_block_cidr", "uri_block_cont", "uri_block_exclude",
	"uri_block_isp", "url_shortener", "url_shortener_cache_autoclean",
	"url_shortener_cache_dsn", "url_shortener_cache_password",
	"url_shortener_cache_ttl", "url_shortener_cache_type",
	"url_shortener_cache_username", "url_shortener_get",
	"url_shortener_loginfo", "url_shortener_timeout",
	"url_shortener_user_agent", "use_dcc_rep", "use_txrep", "user_awl_dsn",
	"user_awl_sql_override_username", "user_awl_sql_password",
	"user_awl_sql_table", "user_awl_sql_username",
};

/* whitelist and blacklist are the old words; Pyzor's count as well */
static const char *
modern_word(struct loader *l, struct span key)
{
	static const char *const old[2] = { "whitelist", "blacklist" };
	static const char *const new[2] = { "welcomelist", "blocklist" };
	const char *p;
	char *copy;

	for (size_t i = 0; i < 2; i++) {
		p = memmem(key.ptr, key.len, old[i], 9);
		if (p == NULL)
			continue;
		copy = arena_printf(l->arena, "%.*s%s%.*s",
		    (int)(p - key.ptr), key.ptr, new[i],
		    (int)(key.ptr + key.len - p - 9), p + 9);
		if (copy == NULL)
			l->oom = true;
		return copy != NULL ? copy : "";
	}
	copy = arena_memdup(l->arena, key.ptr, key.len);
	if (copy == NULL)
		l->oom = true;
	return copy != NULL ? copy : "";
}

static void
add_line(struct loader *l, struct directive_lines *d,
    const struct conf_line *line)
{
	struct eval_line *x;

	if (d->count == d->alloc) {
		size_t alloc = d->alloc == 0 ? 16 : d->alloc * 2;
		struct eval_line *lines = ARENA_ARRAY(l->arena, alloc,
		    struct eval_line);

		if (lines == NULL) {
			l->oom = true;
			return;
		}
		if (d->count != 0)
			memcpy(lines, d->lines, d->count * sizeof(*lines));
		d->lines = lines;
		d->alloc = alloc;
	}
	x = &d->lines[d->count];
	x->key = d->directive->name;
	x->value = arena_span(l->arena, line->value);
	/* lines come file by file: the name is shared */
	x->file = d->count > 0 && strcmp(x[-1].file, line->file) == 0 ?
	    x[-1].file : arena_strdup(l->arena, line->file);
	x->line = line->number;
	x->order = l->line_count++;
	if (x->value.ptr == NULL || x->file == NULL)
		l->oom = true;
	else
		d->count++;
}

static enum conf_result
inert_word(struct loader *l, const struct conf_line *line, const char *word,
    enum reason reason)
{
	loader_note(l, DIAG_NOTE, line, "%s: no effect here: %s", word,
	    reasons[reason]);
	return CONF_DONE;
}

enum conf_result
parse_list_line(struct loader *l, const struct conf_line *line)
{
	const char *word = modern_word(l, line->key);
	size_t *index = strmap_find(&l->directives, span_cstr(word));

	if (index != NULL) {
		struct directive_lines *d = &l->directive_list[*index];

		if (d->directive->kind == DIRECTIVE_RULE)
			parse_directive_rule(l, line, d->directive->function);
		else
			add_line(l, d, line);
		return CONF_DONE;
	}
	/* hashbl_acl_NAME, any name, is "hashbl_acl NAME" */
	if (strncmp(word, "hashbl_acl_", 11) == 0 && word[11] != '\0') {
		struct conf_line renamed = *line;
		const char *value = arena_printf(l->arena, "%s %.*s", word + 11,
		    SPAN_ARG(line->value));

		renamed.key = SPAN_LIT("hashbl_acl");
		renamed.value = span_cstr(value != NULL ? value : "");
		l->oom |= value == NULL;
		return parse_list_line(l, &renamed);
	}
	if (span_is(line->key, "envelope_sender_header")) {
		if (line->value.len == 0)
			loader_error(l, line,
			    "envelope_sender_header: needs a header name");
		else
			l->rs->envelope_sender_header = arena_memdup(l->arena,
			    line->value.ptr, line->value.len);
		return CONF_DONE;
	}
	for (size_t i = 0; i < sizeof(inert) / sizeof(inert[0]); i++)
		if (strcmp(word, inert[i].word) == 0)
			return inert_word(l, line, word, inert[i].reason);
	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		if (strcmp(word, optional[i]) == 0)
			return inert_word(l, line, word, R_OPTIONAL);
	/* one word a language */
	if (strncmp(word, "bayes_stopword_", 15) == 0)
		return inert_word(l, line, word, R_BAYES);
	return CONF_UNKNOWN;
}
