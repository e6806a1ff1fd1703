/*
 * helper - spamscore-banhelper: sockets, clock, kernel, and the loop.
 *
 * Everything that decides stands in service.c; here is only what touches the
 * world. The privileged process: it reads no mail, resolves no name, starts
 * no program, and takes each client for hostile.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/journald.h"
#include "ban/helper.h"
#include "ban/sandbox.h"
#include "config.h"

/* Runs on while the machine sleeps: a ban's time passes then, too. */
static int64_t
boot_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
helper_log(struct helper *h, enum ban_log level, const char *fmt, ...)
{
	/* the journal adds the name by itself */
	static const char *const prefix[] = { "<6>", "<4>", "<3>" };
	char line[1200];
	va_list ap;
	int n;

	/* a flood of bans must not become a flood of lines */
	if (level == BAN_LOG_INFO &&
	    !ban_rate_take(&h->log_rate, HELPER_LINES_PER_MINUTE, h->mono)) {
		h->lines_lost++;
		return;
	}
	n = snprintf(line, sizeof(line), "%s",
	    h->journald ? prefix[level] : "spamscore-banhelper: ");
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		h->lines_lost++;
}

static void
service_log(void *context, enum ban_log level, const char *text)
{
	helper_log(context, level, "%s", text);
}

static void
tell_time(struct helper *h)
{
	h->mono = boot_ms();
	ban_service_set_time(h->service, (int64_t)time(NULL), h->mono);
	if (h->lines_lost > 0 && ban_rate_take(&h->lost_rate, 6, h->mono)) {
		unsigned long lost = h->lines_lost;

		h->lines_lost = 0;
		helper_log(h, BAN_LOG_WARNING, "%lu lines were not logged", lost);
	}
}

/* Reads configuration; faults go to stderr with file and line. */
static int
read_policy(struct helper *h, struct helper_policy *ret)
{
	struct conf_lines lines = { 0 };
	struct diags diags;
	struct error err = { 0 };
	struct buf text;
	int code = 0;

	memset(ret, 0, sizeof(*ret));
	ret->arena = arena_new(64u << 20);
	if (ret->arena == NULL)
		return -ENOMEM;
	diags_init(&diags, ret->arena);
	if (h->config != NULL)
		code = conf_read(ret->arena, h->config, CONF_MAX_FILE_BYTES, &lines,
		    &diags, &err);
	if (code < 0)
		helper_log(h, BAN_LOG_ERROR, "%s", err.text);
	else
		code = ban_policy_parse(ret->arena, &lines, &ret->policy, &diags);
	buf_init(&text, 1u << 20);
	diags_format(&diags, DIAG_ERROR, &text);
	for (char *line = text.ptr; line != NULL && *line != '\0';) {
		char *end = strchr(line, '\n');

		if (end != NULL)
			*end++ = '\0';
		helper_log(h, BAN_LOG_ERROR, "%s", line);
		line = end;
	}
	buf_done(&text);
	return code < 0 ? code : diags.errors > 0 || diags.lost ? -EINVAL : 0;
}

static void
policy_free(struct helper_policy *p)
{
	ban_policy_done(&p->policy);
	arena_free(p->arena);
}

/* Mode and group from the beginning: the directory is the helper's user's,
 * who could put a link in the socket's place before a chmod or chown by root.
 * root stays the owner of what only root may use. */
static int
bind_socket(int fd, const struct sockaddr_un *addr, mode_t mode, gid_t gid)
{
	bool root = geteuid() == 0;
	gid_t own = getegid();
	mode_t old;
	int rc;

	if (root && gid != (gid_t)-1 && setegid(gid) < 0)
		return -1;
	old = umask(0777 & ~mode);
	rc = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
	umask(old);
	if (root && setegid(own) < 0)
		return -1;
	if (rc == 0 && !root && gid != (gid_t)-1)
		rc = lchown(addr->sun_path, (uid_t)-1, gid);
	return rc;
}

/* A socket that a dead helper left is replaced; anything else is not. */
static int
open_socket(struct helper *h, const struct ban_source *s, gid_t default_gid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	gid_t gid = default_gid;
	int fd;

	if (strlen(s->socket) >= sizeof(addr.sun_path)) {
		helper_log(h, BAN_LOG_ERROR, "\"%s\": path too long", s->socket);
		return -1;
	}
	strcpy(addr.sun_path, s->socket);
	if (s->group != NULL) {
		const struct group *g = getgrnam(s->group);

		if (g == NULL)
			/* before the daemon is installed: its owner still may */
			helper_log(h, BAN_LOG_WARNING, "source %s: no group "
			    "\"%s\": only user %s can use its socket", s->name,
			    s->group, h->policy.policy.user);
		else
			gid = g->gr_gid;
	}
	if (lstat(s->socket, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(s->socket);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind_socket(fd, &addr, s->mode, gid) < 0 ||
	    listen(fd, 64) < 0) {
		helper_log(h, BAN_LOG_ERROR, "socket \"%s\": %s", s->socket,
		    strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static int
watch(struct helper *h, int fd, uint32_t events, struct helper_watch *w)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	w->fd = fd;
	return epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int
prepare_dir(struct helper *h, const char *path, mode_t mode, uid_t uid,
    gid_t gid)
{
	struct stat st;

	if (mkdir(path, mode) == 0) {
		if (geteuid() == 0 && (chown(path, uid, gid) < 0 ||
		    chmod(path, mode) < 0)) {
			helper_log(h, BAN_LOG_ERROR, "\"%s\": %s", path,
			    strerror(errno));
			return -1;
		}
		return 0;
	}
	if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	helper_log(h, BAN_LOG_ERROR, "directory \"%s\": %s", path,
	    strerror(errno));
	return -1;
}

static void
reload(struct helper *h)
{
	struct helper_policy fresh, *old = &h->policy;
	const struct ban_policy *a = &old->policy, *b = &fresh.policy;
	bool same;

	if (read_policy(h, &fresh) < 0) {
		helper_log(h, BAN_LOG_ERROR, "configuration not reloaded");
		if (fresh.arena != NULL)
			policy_free(&fresh);
		return;
	}
	same = a->n_sources == b->n_sources && a->max_entries == b->max_entries &&
	    a->simulate == b->simulate && strcmp(a->state_dir, b->state_dir) == 0;
	for (size_t i = 0; same && i < a->n_sources; i++)
		same = strcmp(a->sources[i].name, b->sources[i].name) == 0 &&
		    strcmp(a->sources[i].socket, b->sources[i].socket) == 0;
	if (!same) {
		helper_log(h, BAN_LOG_ERROR, "configuration not reloaded: other "
		    "sources, state directory, ban_max_entries or ban_simulate "
		    "need a restart");
		policy_free(&fresh);
		return;
	}
	/* the service keeps a pointer: the struct stays where it is */
	struct helper_policy gone = h->policy;
	h->policy = fresh;
	ban_service_set_policy(h->service, &h->policy.policy);
	policy_free(&gone);
	h->look_ms = h->counters_ms = 0; /* the intervals may be others */
	helper_log(h, BAN_LOG_WARNING, "configuration reloaded");
}

static void
read_signals(struct helper *h)
{
	struct signalfd_siginfo si;

	while (read(h->signals.fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			reload(h);
		else
			h->stop = true;
	}
}

static void
dispatch(struct helper *h, const struct epoll_event *ev)
{
	struct helper_watch *w = ev->data.ptr;

	switch (w->kind) {
	case WATCH_LISTEN:
		helper_accept(h, (unsigned)(w - h->listeners));
		break;
	case WATCH_CONN:
		helper_conn_ready(h, (struct helper_conn *)w, ev->events);
		break;
	case WATCH_SIGNAL:
		read_signals(h);
		break;
	case WATCH_ADDRESSES:
		if (ban_kernel_drain_watch(w->fd))
			helper_read_own(h);
		break;
	case WATCH_DUMP:
		helper_dump_ready(h);
		break;
	}
}

static void
loop(struct helper *h)
{
	struct epoll_event events[HELPER_EVENTS];

	while (!h->stop) {
		int64_t wait = helper_next_ms(h);
		int n = epoll_wait(h->epoll, events, HELPER_EVENTS,
		    wait > 60000 ? 60000 : (int)wait);

		if (n < 0 && errno != EINTR) {
			helper_log(h, BAN_LOG_ERROR, "epoll: %s", strerror(errno));
			return;
		}
		tell_time(h);
		h->ready = n > 0 ? (unsigned)n : 1;
		for (int i = 0; i < n; i++)
			dispatch(h, &events[i]);
		h->due_sec = ban_service_tick(h->service, HELPER_TICK_BUDGET);
		/* first the journal, then the answers */
		ban_service_commit(h->service);
		helper_conns_flush(h);
		helper_upkeep(h, n == 0);
		helper_conns_reap(h);
	}
}

static void
notify_systemd(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (path == NULL || strlen(path) >= sizeof(addr.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	strcpy(addr.sun_path, path);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL,
	    (struct sockaddr *)&addr, (socklen_t)(offsetof(struct sockaddr_un,
	    sun_path) + strlen(path))) < 0)
		(void)0; /* systemd will time out and say so itself */
	close(fd);
}

static int
start(struct helper *h)
{
	const struct ban_policy *p = &h->policy.policy;
	struct ban_sink sink = { .context = h, .add = helper_sink_add,
		.del = helper_sink_del };
	struct error err = { 0 }, note;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char *journal_path = NULL;
	size_t bans = 0, memory;
	sigset_t mask;
	int landlock = 0, fd;

	if (uid == 0) {
		const struct passwd *pw = getpwnam(p->user);

		if (pw == NULL) {
			helper_log(h, BAN_LOG_ERROR, "no user \"%s\"", p->user);
			return EX_NOUSER;
		}
		uid = pw->pw_uid;
		gid = pw->pw_gid;
	}
	if (prepare_dir(h, p->socket_dir, 0755, uid, gid) < 0 ||
	    prepare_dir(h, p->state_dir, 0700, uid, gid) < 0)
		return EX_CANTCREAT;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	h->signals.kind = WATCH_SIGNAL;
	fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (h->epoll < 0 || fd < 0 || watch(h, fd, EPOLLIN, &h->signals) < 0)
		return EX_OSERR;
	for (size_t i = 0; i < p->n_sources; i++) {
		h->listeners[i].kind = WATCH_LISTEN;
		fd = open_socket(h, &p->sources[i],
		    geteuid() == 0 ? gid : (gid_t)-1);
		if (fd < 0 || watch(h, fd, EPOLLIN, &h->listeners[i]) < 0)
			return EX_CANTCREAT;
	}
	if (ban_sandbox_drop(uid, gid, !p->simulate, &err) < 0) {
		helper_log(h, BAN_LOG_ERROR, "%s", err.text);
		return EX_NOPERM;
	}
	if (asprintf(&journal_path, "%s/ban.db", p->state_dir) < 0)
		return EX_OSERR;
	if (ban_journal_open(journal_path, &h->journal, &note, &err) < 0) {
		/* a host without its journal still needs its bans */
		helper_log(h, BAN_LOG_ERROR, "%s: bans will not survive a restart",
		    err.text);
		h->journal = NULL;
	} else if (note.text[0] != '\0')
		helper_log(h, BAN_LOG_ERROR, "%s", note.text);
	free(journal_path);
	h->mono = boot_ms();
	if (ban_service_new(p, h->journal, &sink, service_log, h, &h->service,
	    &err) < 0) {
		helper_log(h, BAN_LOG_ERROR, "%s", err.text);
		return EX_OSERR;
	}
	tell_time(h);
	if (ban_service_restore(h->service, &bans, &err) < 0)
		helper_log(h, BAN_LOG_ERROR, "%s", err.text);
	if (!p->simulate) {
		if (ban_kernel_open((uint32_t)p->max_entries, &h->kernel, &err) < 0) {
			helper_log(h, BAN_LOG_ERROR, "%s", err.text);
			return EX_UNAVAILABLE;
		}
		h->addresses.kind = WATCH_ADDRESSES;
		fd = ban_kernel_watch_addresses(&err);
		if (fd < 0 || watch(h, fd, EPOLLIN, &h->addresses) < 0 ||
		    helper_read_own(h) < 0) {
			helper_log(h, BAN_LOG_ERROR, "%s", err.text);
			return EX_UNAVAILABLE;
		}
		if (helper_restore_sets(h) < 0)
			return EX_UNAVAILABLE;
	}
	ban_service_commit(h->service);
	notify_systemd("READY=1");
	/* four full sets at 200 bytes an entry, SQLite, the libraries */
	memory = (size_t)p->max_entries * BAN_SETS * 200 + (256u << 20);
	if (ban_sandbox_confine_files(p->state_dir, h->config,
	    64 + p->n_sources * ((size_t)p->connections + 1), &landlock,
	    &err) < 0) {
		helper_log(h, BAN_LOG_ERROR, "%s", err.text);
		return EX_OSERR;
	}
	/* a heap of the thread's own would reserve 64 MB of that memory */
	mallopt(M_ARENA_MAX, 1);
	if (h->journal != NULL && ban_journal_start_copier(h->journal, &err) < 0)
		helper_log(h, BAN_LOG_WARNING, "%s: clients wait for the disk",
		    err.text);
	if (ban_sandbox_confine_calls(memory, &err) < 0) {
		helper_log(h, BAN_LOG_ERROR, "%s", err.text);
		return EX_OSERR;
	}
	if (landlock == 0)
		helper_log(h, BAN_LOG_WARNING, "this kernel has no Landlock");
	helper_log(h, BAN_LOG_WARNING, "ready version=%s sources=%zu bans=%zu%s",
	    SPAMSCORE_VERSION, p->n_sources, bans, p->simulate ? " simulate" : "");
	return EX_OK;
}

static void
usage(FILE *out)
{
	fputs("usage: spamscore-banhelper [--config FILE] [--check]\n"
	    "  --config FILE  default " CONFIG_FILE "\n"
	    "  --check        read the configuration and stop\n"
	    "  --version, --help\n", out);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 'k' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	static struct helper h;
	bool check = false;
	int opt, code;

	h.config = access(CONFIG_FILE, F_OK) == 0 ? CONFIG_FILE : NULL;
	h.journald = journald_has_stderr();
	h.mono = boot_ms();
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (opt) {
		case 'c':
			h.config = optarg;
			break;
		case 'k':
			check = true;
			break;
		case 'f':
			break; /* it never goes to the background */
		case 'V':
			puts("spamscore-banhelper " SPAMSCORE_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return EX_USAGE;
		}
	if (optind != argc) {
		usage(stderr);
		return EX_USAGE;
	}
	if (read_policy(&h, &h.policy) < 0)
		return EX_CONFIG;
	if (check)
		return 0;
	code = start(&h);
	if (code == EX_OK) {
		loop(&h);
		helper_log(&h, BAN_LOG_WARNING, "stopped");
	}
	helper_conns_close(&h);
	ban_service_free(h.service);
	ban_kernel_close(h.kernel);
	ban_journal_close(h.journal);
	policy_free(&h.policy);
	return code;
}
