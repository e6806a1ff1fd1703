#include <string.h>
#include <time.h>

#include <libmilter/mfapi.h>

#include "milter/callbacks.h"
#include "milter/log.h"
#include "milter/session.h"

/*
 * What the MTA must be able to do. Values with their leading space, since
 * DKIM signs it; no replies where we have nothing to say, which saves a round
 * trip a header field. Over a Unix socket three more stages go without a
 * reply; over TCP such a mixture halves the throughput. MAIL keeps its reply:
 * it makes the MTA send what it has, and the first lookups begin then.
 */
#define PROTOCOL_WANTED \
	(SMFIP_HDR_LEADSPC | SMFIP_NR_HDR | SMFIP_NR_EOH | SMFIP_NR_BODY)
#define PROTOCOL_LOCAL (SMFIP_NR_CONN | SMFIP_NR_HELO | SMFIP_NR_RCPT)
#define ACTIONS_WANTED (SMFIF_ADDHDRS | SMFIF_CHGHDRS)

/* libmilter hands no argument to its callbacks; set once before smfi_main() */
static struct server *server;
/* stages of PROTOCOL_LOCAL get no reply, and what their callbacks return */
static unsigned long protocol_local;
static sfsistat local_reply = SMFIS_CONTINUE;

static const char *
macro(SMFICTX *ctx, const char *name)
{
	return smfi_getsymval(ctx, (char *)(uintptr_t)name);
}

/* Postfix says "unknown" and Sendmail "[192.0.2.1]" for a client without a
 * (verified) name. */
static const char *
known_name(const char *name)
{
	return name != NULL && name[0] != '\0' && name[0] != '[' &&
		strcasecmp(name, "unknown") != 0 ? name : NULL;
}

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1,
    unsigned long f2, unsigned long f3, unsigned long *pf0, unsigned long *pf1,
    unsigned long *pf2, unsigned long *pf3)
{
	static const struct {
		int stage;
		const char *macros;
	} lists[] = {
		{ SMFIM_CONNECT, "j {client_ptr}" },
		{ SMFIM_HELO, "{tls_version}" },
		{ SMFIM_ENVFROM, "i {auth_authen}" },
		{ SMFIM_ENVRCPT, "i" },
		{ SMFIM_DATA, "i" },
		{ SMFIM_EOH, "i" },
		{ SMFIM_EOM, "i" },
	};

	(void)f2;
	(void)f3;
	if ((f0 & ACTIONS_WANTED) != ACTIONS_WANTED ||
	    (f1 & PROTOCOL_WANTED) != PROTOCOL_WANTED) {
		log_fault("negotiate", "fault=negotiate actions=%#lx protocol=%#lx "
		    "error=\"the MTA cannot do what this filter needs\"", f0, f1);
		return SMFIS_REJECT;
	}
	*pf0 = ACTIONS_WANTED;
	if ((f0 & SMFIF_SETSYMLIST) != 0) {
		*pf0 |= SMFIF_SETSYMLIST;
		for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
			smfi_setsymlist(ctx, lists[i].stage,
			    (char *)(uintptr_t)lists[i].macros);
	}
	*pf1 = PROTOCOL_WANTED | protocol_local |
	    (f1 & (SMFIP_NODATA | SMFIP_NOUNKNOWN));
	*pf2 = *pf3 = 0;
	return SMFIS_CONTINUE;
}

static sfsistat
on_connect(SMFICTX *ctx, char *host, struct sockaddr *sa)
{
	struct session *s = smfi_getpriv(ctx);
	struct netaddr client = { 0 };

	if (s == NULL) {
		s = session_new(server);
		if (s == NULL || smfi_setpriv(ctx, s) != MI_SUCCESS) {
			session_free(s);
			log_fault("memory", "fault=memory error=\"no memory for a connection\"");
			return local_reply; /* on_eom answers for it */
		}
	}
	if (sa == NULL || !netaddr_from_sockaddr(sa, &client))
		client.family = 0;
	session_connect(s, &client, known_name(host),
	    known_name(macro(ctx, "{client_ptr}")), macro(ctx, "j"));
	return local_reply;
}

static sfsistat
on_helo(SMFICTX *ctx, char *helo)
{
	struct session *s = smfi_getpriv(ctx);

	if (s != NULL)
		session_helo(s, helo, macro(ctx, "{tls_version}") != NULL);
	return local_reply;
}

static sfsistat
on_envfrom(SMFICTX *ctx, char **argv)
{
	struct session *s = smfi_getpriv(ctx);

	if (s != NULL)
		session_mail(s, argv[0] != NULL ? argv[0] : "",
		    macro(ctx, "{auth_authen}"), macro(ctx, "i"));
	return SMFIS_CONTINUE;
}

static sfsistat
on_envrcpt(SMFICTX *ctx, char **argv)
{
	struct session *s = smfi_getpriv(ctx);

	if (s != NULL && argv[0] != NULL)
		session_rcpt(s, argv[0]);
	return local_reply;
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	struct session *s = smfi_getpriv(ctx);

	if (s != NULL)
		session_header(s, name, value);
	return SMFIS_NOREPLY;
}

static sfsistat
on_eoh(SMFICTX *ctx)
{
	struct session *s = smfi_getpriv(ctx);

	if (s != NULL)
		session_end_of_header(s);
	return SMFIS_NOREPLY;
}

static sfsistat
on_body(SMFICTX *ctx, unsigned char *p, size_t n)
{
	struct session *s = smfi_getpriv(ctx);

	if (s != NULL)
		session_body(s, p, n);
	return SMFIS_NOREPLY;
}

/* Index 0 of no name is the whole header; an empty value deletes. */
static int
edit_remove(void *ctx, const char *name, int index)
{
	return smfi_chgheader(ctx, (char *)(uintptr_t)name, index, NULL);
}

static int
edit_insert(void *ctx, const char *name, const char *value)
{
	return smfi_insheader(ctx, 0, (char *)(uintptr_t)name,
	    (char *)(uintptr_t)value);
}

static sfsistat
reply(SMFICTX *ctx, const struct outcome *o)
{
	if (o->kind == OUTCOME_ACCEPT)
		return SMFIS_CONTINUE; /* later milters still have a say */
	if (smfi_setreply(ctx, (char *)(uintptr_t)o->code,
		(char *)(uintptr_t)o->xcode, (char *)(uintptr_t)o->text) !=
	    MI_SUCCESS)
		log_fault("reply", "fault=reply error=\"libmilter refused a reply text\"");
	return o->kind == OUTCOME_REJECT ? SMFIS_REJECT : SMFIS_TEMPFAIL;
}

static sfsistat
on_eom(SMFICTX *ctx)
{
	struct session *s = smfi_getpriv(ctx);
	struct outcome o;
	sfsistat status;

	if (s == NULL) /* there was no memory for the connection */
		return session_lost(server) == REPLY_ACCEPT ? SMFIS_ACCEPT :
							      SMFIS_TEMPFAIL;
	session_judge(s, macro(ctx, "i"), (int64_t)time(NULL), &o);
	if (o.edits != NULL &&
	    edits_apply(o.edits, edit_remove, edit_insert, ctx) != 0)
		session_edits_failed(s, &o);
	session_log(s);
	status = reply(ctx, &o);
	session_end_message(s);
	return status;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
	struct session *s = smfi_getpriv(ctx);

	if (s != NULL)
		session_end_message(s);
	return SMFIS_CONTINUE;
}

static sfsistat
on_close(SMFICTX *ctx)
{
	struct session *s = smfi_getpriv(ctx);

	if (s != NULL) {
		smfi_setpriv(ctx, NULL);
		session_free(s);
	}
	return SMFIS_CONTINUE;
}

bool
callbacks_register(struct server *shared, bool unix_socket)
{
	static char name[] = "spamscored";
	struct smfiDesc filter = {
		.xxfi_name = name,
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = ACTIONS_WANTED | SMFIF_SETSYMLIST,
		.xxfi_connect = on_connect,
		.xxfi_helo = on_helo,
		.xxfi_envfrom = on_envfrom,
		.xxfi_envrcpt = on_envrcpt,
		.xxfi_header = on_header,
		.xxfi_eoh = on_eoh,
		.xxfi_body = on_body,
		.xxfi_eom = on_eom,
		.xxfi_abort = on_abort,
		.xxfi_close = on_close,
		.xxfi_negotiate = on_negotiate,
	};

	server = shared;
	if (unix_socket) {
		protocol_local = PROTOCOL_LOCAL;
		local_reply = SMFIS_NOREPLY;
	}
	return smfi_register(filter) == MI_SUCCESS;
}
