#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include <libmilter/mfapi.h>

#include "base/clock.h"
#include "config.h"
#include "db/log.h"
#include "milter/callbacks.h"
#include "milter/control.h"
#include "milter/daemon.h"
#include "milter/listener.h"
#include "milter/log.h"
#include "milter/notify.h"
#include "milter/report.h"
#include "milter/sandbox.h"
#include "milter/shadow_work.h"

enum {
	EARLY_ARENA_BYTES = 64 << 20,
	SANDBOX_RULES_MAX = 64, /* paths of rules that are let in */
	DRAIN_POLL_MS = 20,
	/* libmilter writes the last reply after our callback has returned */
	DRAIN_GRACE_MS = 250,
	MALLOC_ARENAS = 4,
};

struct life {
	const struct daemon_options *options;
	struct arena *arena;	 /* of what is read before the privileges go */
	struct server server;
	struct milter_settings early; /* as read before privileges went */
	struct privilege_user user;
	pthread_mutex_t reloading; /* by signal, or by the control socket */
	int control_fd;		 /* made while it was allowed; -1: none */
	char model_path[4096];
	struct control *control;
	const char *socket_path; /* to be removed at the end; NULL: TCP */
	int ready_fd;		 /* of the parent that waits; -1 */
	int milter_ended;	 /* eventfd: smfi_main() came back */
	atomic_int milter_result;
};

/*
 * libmilter starts a thread that takes SIGHUP, SIGTERM and SIGINT out of the
 * process with sigwait(3) and stops the filter upon each of them. Signals
 * are ours: its call resolves to this function, which never takes any.
 */
int
sigwait(const sigset_t *set, int *sig)
{
	(void)set;
	(void)sig;
	for (;;)
		pause();
}

static int
complain(int code, const char *text)
{
	log_write(LOG_ERR, "%s", text);
	return code;
}

/* The daemon's own settings, before anything is loaded with fewer rights.
 * Faults of rules and scoring come later, with all others. */
static int
read_early(struct life *l)
{
	struct arena *a = l->arena;
	struct settings_room room = { milter_settings_table, &l->early };
	struct conf_lines lines = { 0 };
	struct error err;
	struct diags diags;

	milter_settings_init(&l->early);
	diags_init(&diags, a);
	if (l->options->load.config != NULL) {
		if (conf_read(a, l->options->load.config, CONF_MAX_FILE_BYTES,
			&lines, &diags, &err) != 0)
			return complain(EX_CONFIG, err.text);
		for (size_t i = 0; i < lines.count; i++)
			conf_apply(&lines.lines[i], &room, 1, a, &diags);
		milter_settings_check(&l->early, l->options->load.config, &diags);
	}
	if (diags.errors != 0) {
		report_errors(&diags);
		return EX_CONFIG;
	}
	return EX_OK;
}

static int
load_first(struct life *l)
{
	struct snapshot *snapshot;
	struct error err;
	struct diags diags;
	int r;

	diags_init(&diags, l->arena);
	r = snapshot_load(&l->options->load, NULL, &diags, &snapshot, &err);
	report_errors(&diags);
	if (r != 0)
		return complain(r == -EINVAL ? EX_CONFIG : EX_UNAVAILABLE,
		    err.text);
	l->server.current = snapshot;
	report_loaded(snapshot, &diags);
	return EX_OK;
}

static void
store_fault(void *context, const char *text)
{
	(void)context;
	report_fault("store", text);
}

/* The database is a help, never a condition: mail goes on without it. */
static void
open_store(struct server *s, const char *state_dir)
{
	char path[4096];
	struct store_options so = {
		.path = path,
		.mode = STORE_WRITE,
		.max_queue = 10000,
		.busy_ms = 200,
		.fault = store_fault,
	};
	struct error err;

	snprintf(path, sizeof(path), "%s/spamscore.db", state_dir);
	if (store_open(&so, &s->store, &err) != 0) {
		s->store = NULL;
		s->store_why = "database not available";
		log_fault("store", "fault=store error=\"%s\"", err.text);
	}
}

/* Another process or thread wrote the model's file. */
static void
model_changed(void *context)
{
	struct life *l = context;
	struct snapshot *current = server_snapshot(&l->server);
	struct error err;

	if (engine_reload_model(current->engine, &err) != 0)
		log_fault("model", "fault=model error=\"%s\"", err.text);
	snapshot_unref(current);
}

/* The control socket is for people; mail does not need it. */
static void
make_control(struct life *l)
{
	const char *path = l->early.control_socket;
	const char *slash = strrchr(path, '/');
	char dir[4096];
	struct error err = { "" };
	uid_t uid = geteuid() == 0 ? l->user.uid : (uid_t)-1;

	l->control_fd = -1;
	if (strcmp(path, SETTINGS_NONE) == 0 || slash == NULL)
		return;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	if (dir[0] == '\0' || listener_make_dir(dir, l->user.uid, l->user.gid,
		0755, &err) == 0)
		l->control_fd = control_listen(path, uid, l->early.control_group,
		    &err);
	if (l->control_fd < 0)
		log_fault("control", "fault=control error=\"%s\"", err.text);
}

static void
limit_store(struct server *s, const struct milter_settings *ms)
{
	struct error err;

	if (s->store == NULL)
		return;
	store_log_limit(s->store, ms->log_keep / 1000, ms->log_size);
	store_sample_limit(s->store, ms->log_samples / 1000);
	if (store_key_addresses(s->store,
		ms->log_addresses == LOG_ADDRESSES_KEYED, &err) != 0)
		log_fault("store", "fault=store error=\"%s\"", err.text);
}

static int
open_server(struct life *l)
{
	struct server *s = &l->server;
	const struct milter_settings *ms = &s->current->settings;
	struct error err;

	if (gethostname(s->host, sizeof(s->host) - 1) == -1)
		snprintf(s->host, sizeof(s->host), "localhost");
	s->strikes = strikes_new();
	if (s->strikes == NULL)
		return complain(EX_OSERR, "out of memory for strikes");
	open_store(s, ms->state_dir);
	limit_store(s, ms);
	if (s->store != NULL &&
	    shadow_work_start(s->store, &s->shadow_work, &err) != 0) {
		s->shadow_work = NULL;
		log_fault("shadow", "fault=shadow error=\"%s\"", err.text);
	}
	if (strcmp(ms->ban_socket, SETTINGS_NONE) != 0 &&
	    banfeed_new(ms->ban_socket, &s->banfeed, &err) != 0) {
		s->banfeed = NULL;
		log_fault("ban-helper", "fault=ban error=\"%s\"", err.text);
	}
	if (strcmp(ms->ban_socket, SETTINGS_NONE) != 0 &&
	    allowfeed_new(ms->ban_socket, s->current, &s->allowfeed, &err) != 0)
		log_fault("ban-helper", "fault=ban error=\"%s\"", err.text);
	return EX_OK;
}

static void *
milter_main(void *arg)
{
	struct life *l = arg;
	uint64_t one = 1;

	atomic_store(&l->milter_result, smfi_main());
	if (write(l->milter_ended, &one, sizeof(one)) != sizeof(one))
		_exit(EX_SOFTWARE); /* an eventfd takes a 1 */
	return NULL;
}

static void
tell_systemd_reloading(void)
{
	char text[80];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)clock_us());
	notify_send(text);
}

static void
apply_log_settings(struct server *server, const struct milter_settings *s)
{
	limit_store(server, s);
	log_facility(s->log_facility);
	log_repeat(s->log_repeat);
}

/* What cannot change while running, since it needs root or open sockets */
static void
note_unchangeable(const struct milter_settings *was,
    const struct milter_settings *is)
{
	if (strcmp(was->listen, is->listen) != 0 ||
	    strcmp(was->user, is->user) != 0 ||
	    strcmp(was->socket_group, is->socket_group) != 0 ||
	    strcmp(was->state_dir, is->state_dir) != 0 ||
	    strcmp(was->control_socket, is->control_socket) != 0 ||
	    strcmp(was->control_group, is->control_group) != 0 ||
	    strcmp(was->ban_socket, is->ban_socket) != 0)
		log_write(LOG_WARNING, "listen, user, socket_group, state_dir, "
		    "control_socket, control_group and ban_socket change with a restart only");
}

static int
reload(struct life *l, struct error *err)
{
	struct arena *a = arena_new(EARLY_ARENA_BYTES);
	struct snapshot *fresh = NULL;
	struct diags diags;
	int r = -ENOMEM;

	error_set(err, 0, "out of memory");
	pthread_mutex_lock(&l->reloading);
	tell_systemd_reloading();
	/* what mail needed for a moment need not lie beside two rulesets */
	malloc_trim(0);
	if (a != NULL) {
		diags_init(&diags, a);
		r = snapshot_load(&l->options->load, l->server.current, &diags,
		    &fresh, err);
		report_errors(&diags);
	}
	if (r != 0)
		log_write(LOG_ERR, "reload failed, the old configuration stays: %s",
		    err->text);
	else {
		note_unchangeable(&l->early, &fresh->settings);
		apply_log_settings(&l->server, &fresh->settings);
		allowfeed_set(l->server.allowfeed, fresh);
		report_loaded(fresh, &diags);
		server_swap(&l->server, fresh);
	}
	arena_free(a);
	malloc_trim(0);
	if (r == 0)
		log_write(LOG_NOTICE, "reloaded");
	notify_send("READY=1");
	pthread_mutex_unlock(&l->reloading);
	return r;
}

static int
reload_asked(void *context, struct error *err)
{
	return reload(context, err);
}

static void
good_client(void *context, const struct netaddr *client, int64_t when)
{
	struct life *l = context;

	if (l->server.banfeed != NULL)
		banfeed_confirm(l->server.banfeed, client, when);
}

static double
label_weight(void *context, const char *user)
{
	struct life *l = context;
	struct snapshot *current = server_snapshot(&l->server);
	double weight = scoring_label_weight(engine_settings(current->engine),
	    user);

	snapshot_unref(current);
	return weight;
}

static void
start_control(struct life *l)
{
	const struct milter_settings *ms = &l->server.current->settings;
	struct control_context context = {
		.store = l->server.store,
		.model = feedback_model_of(
		    engine_settings(l->server.current->engine), l->model_path),
		.label_rate = ms->label_rate,
		.label_weight = label_weight,
		.weight_context = l,
		.auto_learned = &l->server.auto_learned,
		.model_changed = model_changed,
		.changed_context = l,
		.good_client = good_client,
		.good_context = l,
		.reload = reload_asked,
		.reload_context = l,
	};
	struct error err;

	if (l->control_fd < 0)
		return;
	snprintf(l->model_path, sizeof(l->model_path), "%s/" MODEL_FILE,
	    ms->state_dir);
	if (control_start(l->control_fd, l->early.control_socket, &context,
		&l->control, &err) != 0)
		log_fault("control", "fault=control error=\"%s\"", err.text);
}

static void
sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* Messages in flight come to their reply; none begins. */
static void
drain(struct life *l)
{
	int64_t until = clock_ms() + l->server.current->settings.stop_timeout;
	unsigned left;

	atomic_store(&l->server.stopping, true);
	notify_send("STOPPING=1");
	if (l->socket_path != NULL)
		unlink(l->socket_path);
	while ((left = atomic_load(&l->server.in_flight)) != 0 &&
	    clock_ms() < until)
		sleep_ms(DRAIN_POLL_MS);
	if (left != 0)
		log_write(LOG_WARNING, "stop_timeout with %u messages in flight: "
		    "the MTA applies its default action to them", left);
	sleep_ms(DRAIN_GRACE_MS);
}

/* Ends the process: libmilter's threads are still there, so what sessions
 * might touch is not freed, only brought to disk. */
static void __attribute__((noreturn))
finish(struct life *l, int code)
{
	struct error err;

	control_stop(l->control);
	shadow_work_stop(l->server.shadow_work);
	banfeed_stop(l->server.banfeed);
	if (l->server.store != NULL &&
	    store_flush(l->server.store, &err) != 0)
		log_write(LOG_ERR, "fault=store error=\"%s\"", err.text);
	if (atomic_load(&l->server.in_flight) == 0)
		store_close(l->server.store);
#ifdef __SANITIZE_ADDRESS__
	if (__lsan_do_recoverable_leak_check() != 0)
		code = EX_SOFTWARE;
#endif
	log_write(LOG_NOTICE, "stopped");
	fflush(NULL);
	_exit(code);
}

static void
ready(struct life *l)
{
	char ok = 0;
	int null;

	log_write(LOG_NOTICE, "spamscored " SPAMSCORE_VERSION " serves \"%s\", %zu rules",
	    l->early.listen, ruleset_count(engine_ruleset(l->server.current->engine)));
	notify_send("READY=1");
	if (l->options->syslog)
		log_to_stderr(false);
	if (l->ready_fd == -1)
		return;
	/* from here on the log is all there is */
	log_to_stderr(false);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null != -1) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	if (write(l->ready_fd, &ok, 1) != 1)
		log_write(LOG_WARNING, "the starting process is gone");
	close(l->ready_fd);
	l->ready_fd = -1;
}

static int
serve(struct life *l, const sigset_t *signals)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	struct error err;
	pthread_t thread;

	fds[0].fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	fds[1].fd = l->milter_ended = eventfd(0, EFD_CLOEXEC);
	if (fds[0].fd == -1 || fds[1].fd == -1)
		return complain(EX_OSERR, "cannot make descriptors for signals");
	if (pthread_create(&thread, NULL, milter_main, l) != 0)
		return complain(EX_OSERR, "cannot start the milter's thread");
	ready(l);
	for (;;) {
		struct signalfd_siginfo si;

		if (poll(fds, 2, -1) == -1 && errno != EINTR)
			return complain(EX_OSERR, "poll failed");
		if (fds[1].revents != 0) {
			log_write(LOG_ERR, "libmilter ended by itself (%d)",
			    atomic_load(&l->milter_result));
			finish(l, EX_SOFTWARE);
		}
		if (read(fds[0].fd, &si, sizeof(si)) != sizeof(si))
			continue;
		if (si.ssi_signo == SIGHUP)
			reload(l, &err);
		else {
			drain(l);
			finish(l, EX_OK);
		}
	}
}

/* The child goes on; the parent waits until the child is ready and returns
 * its fate as the exit code. */
static int
detach(struct life *l)
{
	int fds[2];
	pid_t pid;
	char byte;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return complain(EX_OSERR, "pipe failed");
	pid = fork();
	if (pid == -1)
		return complain(EX_OSERR, "fork failed");
	if (pid != 0) {
		int status;

		close(fds[1]);
		if (read(fds[0], &byte, 1) == 1)
			_exit(EX_OK);
		/* no byte: it has ended and said why on the same stderr */
		_exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ?
			WEXITSTATUS(status) : EX_SOFTWARE);
	}
	close(fds[0]);
	l->ready_fd = fds[1];
	if (setsid() == -1 || chdir("/") == -1)
		return complain(EX_OSERR, "cannot leave the terminal");
	return EX_OK;
}

static int
start_privileged(struct life *l)
{
	bool root = geteuid() == 0;
	struct error err;

	if (root && privilege_find_user(l->early.user, &l->user, &err) != 0)
		return complain(EX_CONFIG, err.text);
	if (listener_make_dir(l->early.state_dir, l->user.uid, l->user.gid, 0750,
		&err) != 0 ||
	    listener_lock(l->early.state_dir, root ? &l->user : NULL, &err) != 0)
		return complain(EX_UNAVAILABLE, err.text);
	if (!callbacks_register(&l->server, strncmp(l->early.listen, "inet", 4) != 0))
		return complain(EX_SOFTWARE, "libmilter refused the filter");
	if (listener_open(&l->early, root ? &l->user : NULL, &l->socket_path,
		&err) != 0)
		return complain(EX_UNAVAILABLE, err.text);
	make_control(l);
	if (privilege_drop(&l->user, &err) != 0)
		return complain(EX_NOPERM, err.text);
	return EX_OK;
}

/* A file that is replaced is another one to Landlock, its folder is not. */
static const char *
folder_of(const char *path, struct arena *a)
{
	char *copy = arena_strdup(a, path);
	const char *folder = copy != NULL ? dirname(copy) : path;

	return strcmp(folder, "/") != 0 ? folder : path;
}

/* Reading: configuration, rules, model, what DNS needs. Writing: the state
 * and the sockets' directories. Rules that a later configuration keeps
 * elsewhere cannot be read until the next start, and the log says so. */
static int
confine(struct life *l)
{
	struct arena *a = l->arena;
	const struct snapshot_options *o = &l->options->load;
	struct scoring_settings scoring;
	struct settings_room room = { scoring_settings_table, &scoring };
	struct conf_lines lines = { 0 };
	const char *read[12 + SANDBOX_RULES_MAX + SHADOW_MAX_SETS], *write[3];
	struct sandbox_paths paths = { .read = read, .write = write };
	const char *tuned;
	struct diags ignored; /* engine_load() reports them */
	struct error err;
	size_t n = 0;
	int landlock, r;

	diags_init(&ignored, a);
	if (scoring_settings_init(&scoring, a) != 0)
		return complain(EX_OSERR, "out of memory");
	if (o->config != NULL &&
	    conf_read(a, o->config, CONF_MAX_FILE_BYTES, &lines, &ignored, &err) == 0)
		for (size_t i = 0; i < lines.count; i++)
			conf_apply(&lines.lines[i], &room, 1, a, &ignored);
	if (o->config != NULL)
		read[n++] = dirname(arena_strdup(a, o->config));
	read[n++] = o->rules_dir;
	read[n++] = scoring.rules_dir;
	read[n++] = scoring.compiled_dir;
	read[n++] = scoring.public_suffix_list;
	read[n++] = scoring.trust_anchor;
	read[n++] = o->dns_data;
	for (size_t i = 0; i < o->rules_count && i < SANDBOX_RULES_MAX / 2; i++)
		read[n++] = o->rules[i];
	for (size_t i = 0; i < scoring.rules.count && i < SANDBOX_RULES_MAX / 2; i++)
		read[n++] = scoring.rules.items[i];
	read[n++] = scoring.tuned_dir;
	for (size_t i = 1; i < scoring.shadow.count && i < 2 * SHADOW_MAX_SETS; i += 2)
		read[n++] = folder_of(scoring.shadow.items[i], a);
	paths.read_count = n;
	n = 0;
	write[n++] = l->early.state_dir;
	if (l->socket_path != NULL)
		write[n++] = dirname(arena_strdup(a, l->socket_path));
	if (strcmp(l->early.control_socket, SETTINGS_NONE) != 0)
		write[n++] = dirname(arena_strdup(a, l->early.control_socket));
	paths.write_count = n;
	/* SQLite's scratch files: the only place left */
	setenv("SQLITE_TMPDIR", l->early.state_dir, 1);
	tuned = scoring_tuned_dir(&scoring, a);
	/* a process on the network should not write what it loads */
	if (tuned != NULL && access(tuned, W_OK) == 0)
		log_write(LOG_WARNING, "tuned_dir \"%s\" can be written by this "
		    "process, it should be another user's", tuned);
	r = sandbox_enter(&paths, &landlock, &err);
	scoring_settings_done(&scoring);
	return r == 0 ? EX_OK : complain(EX_NOPERM, err.text);
}

int
daemon_run(const struct daemon_options *options)
{
	struct life *l = calloc(1, sizeof(*l));
	sigset_t signals;
	int code;

	if (l == NULL || (l->arena = arena_new(EARLY_ARENA_BYTES)) == NULL) {
		free(l);
		return EX_OSERR;
	}
	l->options = options;
	l->ready_fd = -1;
	l->control_fd = -1;
	pthread_mutex_init(&l->server.lock, NULL);
	pthread_mutex_init(&l->reloading, NULL);
	log_open();
	log_to_stderr(true);
	/* many threads with an allocator arena each would keep what one large
	 * message needed once for each of them */
	mallopt(M_ARENA_MAX, MALLOC_ARENAS);
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
	/* what a message needs for a moment comes from the heap, not from mmap */
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	notify_init();
	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	code = read_early(l);
	if (code == EX_OK && !options->foreground)
		code = detach(l);
	if (code == EX_OK)
		code = start_privileged(l);
	if (code == EX_OK)
		code = confine(l);
	if (code == EX_OK)
		code = load_first(l);
	if (code == EX_OK) {
		apply_log_settings(&l->server, &l->server.current->settings);
		code = open_server(l);
	}
	if (code == EX_OK) {
		start_control(l);
		code = serve(l, &signals); /* comes back for a failure only */
	}
	if (l->socket_path != NULL)
		unlink(l->socket_path);
	if (l->control_fd >= 0)
		unlink(l->early.control_socket);
	milter_settings_done(&l->early);
	arena_free(l->arena);
	free(l);
	return code;
}
