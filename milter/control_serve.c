/* The daemon's end: a thread that accepts, one for each client (few, they
 * are programs of this host), and one that trains the model. */
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "milter/control_wire.h"
#include "scoring/feedback.h"

enum {
	TRAIN_DELAY_MS = 2000, /* labels come in bursts */
	AUTO_TRAIN_SEC = 600, /* nobody waits for what was not said by people */
	BUFFER_BYTES = CONTROL_MAX_LINE + CONTROL_MAX_MESSAGE + 65536,
};

struct control {
	struct control_context context;
	char *path;
	int listener, stop_event;
	pthread_t acceptor, trainer;
	pthread_mutex_t lock;
	pthread_cond_t train, idle;
	unsigned clients;
	int fds[CONTROL_MAX_CLIENTS]; /* of the clients; -1 */
	bool wants_training, stop;
};

struct client {
	struct control *control;
	int slot;
};

static void
answer_fault(int fd, int code, const char *text)
{
	json_t *answer = json_pack("{s:s, s:i}", "error", text, "code", code);

	if (answer != NULL)
		wire_write_json(fd, answer);
	json_decref(answer);
}

/* One request. false: the connection ends. */
static bool
serve_request(struct control *c, struct wire *w)
{
	struct span line, message = { NULL, 0 };
	struct error err = { "" };
	json_t *request, *answer;
	bool learned = false, ok;
	size_t size;
	int rc = wire_read_line(w, CONTROL_MAX_LINE, &line);

	if (rc != 0) {
		if (rc == -EMSGSIZE)
			answer_fault(w->fd, EX_PROTOCOL, "the line is too long");
		return false;
	}
	request = control_parse(line.ptr, line.len, &size, &err);
	if (request == NULL) {
		answer_fault(w->fd, EX_PROTOCOL, err.text);
		return false;
	}
	if (json_object_get(request, "size") != NULL &&
	    wire_read_bytes(w, size, &message) != 0) {
		json_decref(request);
		return false;
	}
	answer = control_run(&c->context, request, message, &learned);
	json_decref(request);
	ok = answer != NULL && wire_write_json(w->fd, answer) == 0;
	json_decref(answer);
	if (learned) {
		pthread_mutex_lock(&c->lock);
		c->wants_training = true;
		pthread_cond_signal(&c->train);
		pthread_mutex_unlock(&c->lock);
	}
	return ok;
}

static void *
client_main(void *arg)
{
	struct client *client = arg;
	struct control *c = client->control;
	int fd = c->fds[client->slot];
	struct wire w;

	wire_init(&w, fd, BUFFER_BYTES);
	while (serve_request(c, &w))
		;
	wire_done(&w);
	pthread_mutex_lock(&c->lock);
	c->fds[client->slot] = -1;
	close(fd);
	c->clients--;
	pthread_cond_signal(&c->idle);
	pthread_mutex_unlock(&c->lock);
	free(client);
	return NULL;
}

static bool
client_start(struct control *c, int fd)
{
	struct client *client = malloc(sizeof(*client));
	pthread_attr_t attr;
	pthread_t thread;
	int slot = 0, rc = -1;

	if (client == NULL)
		return false;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&c->lock);
	while (slot < CONTROL_MAX_CLIENTS && c->fds[slot] != -1)
		slot++;
	if (slot < CONTROL_MAX_CLIENTS && !c->stop) {
		*client = (struct client){ c, slot };
		c->fds[slot] = fd;
		rc = pthread_create(&thread, &attr, client_main, client);
		if (rc == 0)
			c->clients++;
		else
			c->fds[slot] = -1;
	}
	pthread_mutex_unlock(&c->lock);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		free(client);
	return rc == 0;
}

static void *
acceptor_main(void *arg)
{
	struct control *c = arg;
	struct pollfd fds[2] = { { c->listener, POLLIN, 0 },
		{ c->stop_event, POLLIN, 0 } };

	for (;;) {
		int fd;

		if (poll(fds, 2, -1) == -1 && errno != EINTR)
			return NULL;
		if (fds[1].revents != 0)
			return NULL;
		fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd == -1) {
			/* no descriptors left: not as fast as it can */
			struct timespec pause = { 0, 100000000 };

			if (errno == EMFILE || errno == ENFILE)
				nanosleep(&pause, NULL);
			continue;
		}
		if (wire_timeout(fd, CONTROL_TIMEOUT_SEC) != 0 ||
		    !client_start(c, fd)) {
			answer_fault(fd, EX_TEMPFAIL, "too many clients");
			close(fd);
		}
	}
}

static void
train_now(struct control *c)
{
	struct error err = { "" };
	bool changed = false;

	if (c->context.model.path == NULL || c->context.store == NULL)
		return;
	if (feedback_train(c->context.store, &c->context.model,
		(int64_t)time(NULL), &changed, &err) != 0) {
		store_learning_failed(c->context.store, "model", err.text,
		    (int64_t)time(NULL));
		return;
	}
	if (changed && c->context.model_changed != NULL)
		c->context.model_changed(c->context.changed_context);
}

static bool
auto_learned(struct control *c)
{
	return c->context.auto_learned != NULL &&
	    atomic_exchange(c->context.auto_learned, false);
}

/* Until there is something to train, or the end */
static void
trainer_wait(struct control *c)
{
	struct timespec until;

	while (!c->wants_training && !c->stop) {
		until = clock_deadline(AUTO_TRAIN_SEC * 1000);
		if (pthread_cond_timedwait(&c->train, &c->lock, &until) != 0)
			c->wants_training |= auto_learned(c);
	}
	if (c->stop)
		c->wants_training |= auto_learned(c);
}

static void *
trainer_main(void *arg)
{
	struct control *c = arg;
	struct timespec until;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		trainer_wait(c);
		if (!c->wants_training)
			break;
		until = clock_deadline(TRAIN_DELAY_MS);
		while (!c->stop && pthread_cond_timedwait(&c->train, &c->lock,
			&until) == 0)
			;
		c->wants_training = false;
		pthread_mutex_unlock(&c->lock);
		train_now(c);
		pthread_mutex_lock(&c->lock);
		if (c->stop && !c->wants_training)
			break;
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int
control_listen(const char *path, uid_t uid, const char *group,
    struct error *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct group *g = NULL;
	int fd, probe, e;

	if (strlen(path) >= sizeof(sun.sun_path))
		return error_set(err, -ENAMETOOLONG,
		    "control_socket \"%s\" is too long", path);
	strcpy(sun.sun_path, path);
	probe = control_connect(path, err);
	if (probe >= 0) {
		close(probe);
		return error_set(err, -EADDRINUSE,
		    "control_socket \"%s\" is in use", path);
	}
	unlink(path); /* nobody listens there any more */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return error_set(err, -errno, "cannot make a socket: %s",
		    strerror(errno));
	/* nobody may connect before group and mode are right */
	if (fchmod(fd, 0600) == -1 ||
	    bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		goto fail;
	if (group != NULL && group[0] != '\0' && (g = getgrnam(group)) == NULL) {
		close(fd);
		unlink(path);
		return error_set(err, -ENOENT, "control_group \"%s\" does not exist",
		    group);
	}
	if ((uid != (uid_t)-1 || g != NULL) &&
	    chown(path, uid, g != NULL ? g->gr_gid : (gid_t)-1) == -1)
		goto fail;
	if (chmod(path, 0660) == -1 || listen(fd, 16) == -1)
		goto fail;
	return fd;
fail:
	e = errno;
	close(fd);
	return error_set(err, -e, "cannot listen at \"%s\": %s", path,
	    strerror(e));
}

static void
control_free(struct control *c)
{
	unlink(c->path);
	close(c->listener);
	close(c->stop_event);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->train);
	pthread_cond_destroy(&c->idle);
	free(c->path);
	free(c);
}

int
control_start(int listener, const char *path,
    const struct control_context *context, struct control **ret_control,
    struct error *err)
{
	struct control *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (c == NULL || (c->path = strdup(path)) == NULL) {
		free(c);
		close(listener);
		return error_set(err, -ENOMEM, "no memory");
	}
	c->context = *context;
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		c->fds[i] = -1;
	c->listener = listener;
	c->stop_event = eventfd(0, EFD_CLOEXEC);
	if (c->stop_event == -1) {
		close(listener);
		free(c->path);
		free(c);
		return error_set(err, -EMFILE, "no descriptor");
	}
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->train, &attr);
	pthread_cond_init(&c->idle, &attr);
	pthread_condattr_destroy(&attr);
	/* lessons that came while no model could be written */
	c->wants_training = true;
	if (pthread_create(&c->trainer, NULL, trainer_main, c) != 0) {
		control_free(c);
		return error_set(err, -EAGAIN, "cannot start a thread");
	}
	if (pthread_create(&c->acceptor, NULL, acceptor_main, c) != 0) {
		pthread_mutex_lock(&c->lock);
		c->stop = true;
		pthread_cond_broadcast(&c->train);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->trainer, NULL);
		control_free(c);
		return error_set(err, -EAGAIN, "cannot start a thread");
	}
	*ret_control = c;
	return 0;
}

void
control_stop(struct control *c)
{
	uint64_t one = 1;

	if (c == NULL)
		return;
	unlink(c->path);
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	/* a reader wakes with an end of file; a request that was read whole
	 * is still answered */
	for (int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (c->fds[i] != -1)
			shutdown(c->fds[i], SHUT_RD);
	pthread_mutex_unlock(&c->lock);
	if (write(c->stop_event, &one, sizeof(one)) == sizeof(one))
		pthread_join(c->acceptor, NULL);
	pthread_mutex_lock(&c->lock);
	while (c->clients > 0)
		pthread_cond_wait(&c->idle, &c->lock);
	pthread_cond_broadcast(&c->train);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->trainer, NULL);
	control_free(c);
}
