#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/mail.h"
#include "config.h"
#include "milter/settings.h"

int
judge_options_init(struct judge_options *o, int argc)
{
	*o = (struct judge_options){ .now = -1, .color = "auto" };
	o->rules = calloc((size_t)argc + 1, sizeof(*o->rules));
	o->rcpt_to = calloc((size_t)argc + 1, sizeof(*o->rcpt_to));
	if (o->rules != NULL && o->rcpt_to != NULL)
		return EX_OK;
	judge_options_done(o);
	return cli_fail(EX_OSERR, "out of memory");
}

void
judge_options_done(struct judge_options *o)
{
	free(o->rules);
	free(o->rcpt_to);
	o->rules = o->rcpt_to = NULL;
}

int
judge_options_take(struct judge_options *o, int option, const char *arg)
{
	struct netaddr addr;

	switch (option) {
	case 1000:
		o->json = true;
		return EX_OK;
	case 1001:
		o->config = arg;
		return EX_OK;
	case 1002:
		o->rules[o->rules_count++] = arg;
		return EX_OK;
	case 1003:
		o->db = arg;
		return EX_OK;
	case 1004:
		o->offline = true;
		return EX_OK;
	case 1005:
		o->dns_data = arg;
		return EX_OK;
	case 1006:
		if (!netaddr_parse(span_cstr(arg), &addr))
			return cli_fail(EX_USAGE, "--ip: not an address: \"%s\"", arg);
		o->ip = arg;
		break;
	case 1007:
		o->helo = arg;
		break;
	case 1008:
		o->mail_from = arg;
		break;
	case 1009:
		o->rcpt_to[o->rcpt_count++] = arg;
		break;
	case 1010:
		o->client_name = arg;
		break;
	case 1011:
		if (!conf_parse_int(span_cstr(arg), &o->now) || o->now < 0)
			return cli_fail(EX_USAGE,
			    "--now: not a unix time: \"%s\"", arg);
		return EX_OK;
	case 1012:
		o->exit_status = true;
		return EX_OK;
	case 1013:
		if (strcmp(arg, "auto") != 0 && strcmp(arg, "always") != 0 &&
		    strcmp(arg, "never") != 0)
			return cli_fail(EX_USAGE,
			    "--color: not auto, always or never: \"%s\"", arg);
		o->color = arg;
		return EX_OK;
	case 1014:
		o->model = arg;
		return EX_OK;
	default:
		return -1;
	}
	o->has_envelope = true;
	return EX_OK;
}

const char *
cli_config_path(const struct judge_options *o)
{
	if (o->config != NULL)
		return o->config;
	return access(CONFIG_FILE, F_OK) == 0 ? CONFIG_FILE : NULL;
}

static int
engine_load_with(const struct judge_options *o, bool keep_going,
    const char *tuned, struct diags *diags, struct engine **ret_engine,
    struct error *err)
{
	struct milter_settings daemon;
	struct settings_room room = { milter_settings_table, &daemon };
	struct engine_options eo = {
		.config = cli_config_path(o),
		.rules = o->rules,
		.rules_count = o->rules_count,
		.rules_dir = engine_default_rules_dir(),
		.no_databases = o->no_databases,
		.model = o->model != NULL && strcmp(o->model, "none") != 0 ?
		    o->model : NULL,
		.rooms = &room,
		.room_count = 1,
		.foreign_prefix = "ban_",
		.keep_going = keep_going,
		.tuned = tuned,
		.tuned_may_be_hidden = true,
	};
	int r;

	milter_settings_init(&daemon);
	r = engine_load(&eo, diags, ret_engine, err);
	if (r == 0 && eo.config != NULL)
		milter_settings_check(&daemon, eo.config, diags);
	milter_settings_done(&daemon);
	return r;
}

int
cli_engine_load(const struct judge_options *o, bool keep_going,
    struct diags *diags, struct engine **ret_engine, struct error *err)
{
	return engine_load_with(o, keep_going, NULL, diags, ret_engine, err);
}

int
cli_engine_load_tuned(const struct judge_options *o, const char *tuned,
    struct diags *diags, struct engine **ret_engine, struct error *err)
{
	return engine_load_with(o, false, tuned, diags, ret_engine, err);
}

int
cli_load_engine(const struct judge_options *o, struct engine **ret_engine)
{
	struct arena *a = arena_new(16 << 20);
	struct error err = { "" };
	struct diags diags;
	struct buf out;
	int r;

	if (a == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	diags_init(&diags, a);
	r = cli_engine_load(o, false, &diags, ret_engine, &err);
	if (diags.errors != 0) {
		buf_init(&out, 16 << 20);
		diags_format(&diags, DIAG_ERROR, &out);
		fwrite(out.ptr, 1, out.len, stderr);
		buf_done(&out);
	}
	/* what is said of tuned.cf as a whole: that it is hidden from us */
	for (const struct diag *d = diags.first; r == 0 && d != NULL; d = d->next)
		if (d->level == DIAG_WARNING && d->line == 0 &&
		    strstr(d->file, "/" TUNED_FILE) != NULL)
			cli_fail(0, "%s: %s", d->file, d->text);
	arena_free(a);
	if (r == -ENOMEM)
		return cli_fail(EX_OSERR, "%s", err.text);
	if (r != 0)
		return cli_fail(EX_CONFIG, "%s", err.text);
	return EX_OK;
}

size_t
cli_arena_bytes(const struct engine *e)
{
	/* decoded and rendered forms are each at most a few times the raw
	 * bytes; the constant is for fields, hits and evidence */
	return (size_t)engine_settings(e)->scan_size * 16 + (64u << 20);
}

static int
dns_open(const struct judge_options *o, struct runtime *rt)
{
	const struct scoring_settings *s = engine_settings(rt->engine);
	struct dns_options dns = { s->resolver, s->trust_anchor };
	struct error err;
	int r = 0;

	if (o->dns_data != NULL)
		r = dns_new_file(o->dns_data, &rt->dns, &err);
	else if (!o->offline)
		r = dns_new(&dns, &rt->dns, &err);
	if (r != 0)
		return cli_fail(o->dns_data != NULL ? EX_NOINPUT : EX_UNAVAILABLE,
		    "%s", err.text);
	if (auth_context_new(s, rt->dns, &rt->auth, &err) != 0)
		return cli_fail(EX_UNAVAILABLE, "%s", err.text);
	return EX_OK;
}

static int
store_open_for(const struct judge_options *o, struct runtime *rt)
{
	char path[PATH_MAX];
	struct store_options so = { .path = o->db, .mode = STORE_READ,
		.busy_ms = 1000 };
	struct error err;
	int r;

	if (o->db != NULL && strcmp(o->db, "none") == 0) {
		rt->sources.store_why = "no database asked for";
		return EX_OK;
	}
	if (o->db == NULL) {
		snprintf(path, sizeof(path), "%s/spamscore.db",
		    engine_settings(rt->engine)->state_dir);
		so.path = path;
	}
	r = store_open(&so, &rt->store, &err);
	if (r == 0) {
		rt->sources.store = rt->store;
		return EX_OK;
	}
	/* the default may be absent or another user's: then there is none;
	 * a file that was named must be there */
	if (o->db == NULL && (r == -ENOENT || r == -EACCES)) {
		rt->sources.store_why = r == -ENOENT ? "no database" :
						       "database not readable";
		return EX_OK;
	}
	return cli_fail(r == -ENOENT ? EX_NOINPUT : EX_UNAVAILABLE, "%s", err.text);
}

static void
envelope_set(const struct judge_options *o, struct runtime *rt)
{
	rt->has_envelope = o->has_envelope;
	rt->envelope = (struct envelope){
		.source = ENVELOPE_OPTIONS,
		.client_name = o->client_name,
		.reverse_name = o->client_name,
		.helo = o->helo,
		.mail_from = o->mail_from,
		.rcpt_to = o->rcpt_to,
		.rcpt_count = o->rcpt_count,
	};
	if (o->ip != NULL)
		netaddr_parse(span_cstr(o->ip), &rt->envelope.client_ip);
	/* "<a@b>" is how protocol traces write it */
	if (o->mail_from != NULL && strcmp(o->mail_from, "<>") == 0)
		rt->envelope.mail_from = "";
}

int
runtime_open(const struct judge_options *o, struct runtime *ret_runtime)
{
	struct runtime *rt = ret_runtime;
	int code;

	*rt = (struct runtime){ .now = o->now };
	code = cli_load_engine(o, &rt->engine);
	if (code == EX_OK)
		code = dns_open(o, rt);
	if (code == EX_OK)
		code = store_open_for(o, rt);
	if (code != EX_OK) {
		runtime_close(rt);
		return code;
	}
	rt->sources.auth = rt->auth;
	envelope_set(o, rt);
	return EX_OK;
}

void
runtime_close(struct runtime *rt)
{
	store_close(rt->store);
	if (rt->auth != NULL)
		auth_context_free(rt->auth);
	dns_free(rt->dns);
	engine_free(rt->engine);
	*rt = (struct runtime){ 0 };
}

/* A message over scan_size: signatures are verified over all of it */
struct rest {
	struct gather *gather;
	const struct buf *head;
	bool begun;
};

static void
rest_take(void *arg, const char *p, size_t n)
{
	struct rest *rest = arg;

	if (!rest->begun)
		gather_begin_overflow(rest->gather, buf_span(rest->head));
	rest->begun = true;
	gather_body(rest->gather, span_of(p, n));
}

int
runtime_judge_mail(struct runtime *rt, const struct mail *m,
    struct arena *a, struct buf *raw, struct engine_run *ret_run,
    struct error *err)
{
	size_t scan = (size_t)engine_settings(rt->engine)->scan_size;
	struct engine_request rq = {
		.envelope = rt->has_envelope ? &rt->envelope : NULL,
		.sources = &rt->sources,
		.now = rt->now >= 0 ? rt->now : (int64_t)time(NULL),
		.arena = a,
	};
	struct rest rest = { .head = raw };
	int r;

	rq.gather = rest.gather = gather_new(&rt->sources,
	    engine_settings(rt->engine), a);
	if (rq.gather == NULL) {
		error_set(err, -ENOMEM, "out of memory");
		return EX_OSERR;
	}
	r = mail_read(m, scan, raw, &rq.full_size_bytes,
	    rt->dns != NULL ? rest_take : NULL, &rest, err);
	if (r != EX_OK) {
		gather_free(rq.gather);
		return r;
	}
	rq.raw = buf_span(raw);
	r = engine_judge(rt->engine, &rq, ret_run, err);
	if (r == 0 && engine_judge_shadow_rules(rt->engine, ret_run, a) != 0)
		r = error_set(err, -ENOMEM, "out of memory for shadows");
	gather_free(rq.gather);
	return r == 0 ? EX_OK : r == -EINVAL ? EX_DATAERR : EX_OSERR;
}
