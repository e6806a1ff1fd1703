#include "ban/kernel.h"

#include <errno.h>
#include <libipset/ipset.h>
#include <libipset/session.h>
#include <libipset/types.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SET_TYPE "hash:net"
#define SPARE_SET "spamscore-spare"
/* The receive buffer of a dump: a whole kernel message fits. */
#define DUMP_BUFFER 65536

struct ban_kernel {
	struct ipset_session *session;
	uint32_t max_entries;
	uint32_t line; /* of additions that wait; 0 none */
	unsigned line_set;
	struct mnl_socket *dump;
	uint32_t dump_seq;
	unsigned dump_set;
	bool dumping;
	unsigned char buffer[DUMP_BUFFER];
};

static int
no_output(struct ipset_session *session, void *p, const char *fmt, ...)
{
	(void)session;
	(void)p;
	(void)fmt;
	return 0;
}

static int
failed(struct ban_kernel *k, const char *what, const char *set,
    struct error *err)
{
	const char *text = ipset_session_report_msg(k->session);
	size_t n = text != NULL ? strcspn(text, "\n") : 0;
	int code = errno == EPERM ? -EPERM : -EIO;

	error_set(err, code, "ipset %s \"%s\": %.*s", what, set, (int)n,
	    text != NULL ? text : "");
	ipset_session_report_reset(k->session);
	return code;
}

static int
open_session(struct ban_kernel *k, struct error *err)
{
	k->session = ipset_session_init(no_output, NULL);
	if (k->session == NULL)
		return error_set(err, -ENOMEM, "ipset: cannot open a session");
	ipset_envopt_set(k->session, IPSET_ENV_EXIST);
	return 0;
}

int
ban_kernel_open(uint32_t max_entries, struct ban_kernel **ret_kernel,
    struct error *err)
{
	struct ban_kernel *k = calloc(1, sizeof(*k));
	int code;

	if (k == NULL)
		return error_set(err, -ENOMEM, "ipset: out of memory");
	ipset_load_types();
	k->max_entries = max_entries;
	code = open_session(k, err);
	if (code < 0) {
		free(k);
		return code;
	}
	k->dump = mnl_socket_open2(NETLINK_NETFILTER,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (k->dump == NULL ||
	    mnl_socket_bind(k->dump, 0, MNL_SOCKET_AUTOPID) < 0) {
		code = error_set(err, -errno, "netlink: %m");
		ban_kernel_close(k);
		return code;
	}
	*ret_kernel = k;
	return 0;
}

void
ban_kernel_close(struct ban_kernel *k)
{
	if (k == NULL)
		return;
	if (k->session != NULL)
		ipset_session_fini(k->session);
	if (k->dump != NULL)
		mnl_socket_close(k->dump);
	free(k);
}

/* libipset remembers the type of each set that it met; after somebody
 * destroyed or exchanged one, a new session must look again. */
static int
forget_session(struct ban_kernel *k, struct error *err)
{
	ipset_session_fini(k->session);
	k->session = NULL;
	k->line = 0;
	return open_session(k, err);
}

static int
create_named(struct ban_kernel *k, const char *name, unsigned set,
    size_t expected, struct error *err)
{
	/* the kernel doubles a small table again and again, which costs more
	 * than the filling; buckets hold up to 12 */
	uint32_t hash = 1024;
	uint8_t family = set & 1 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	uint32_t timeout = 3600, max = k->max_entries;
	struct ipset_session *s = k->session;

	while (hash < expected / 4 && hash < 1u << 22)
		hash *= 2;
	errno = 0;
	if (ipset_session_data_set(s, IPSET_SETNAME, name) < 0 ||
	    ipset_session_data_set(s, IPSET_OPT_TYPENAME, SET_TYPE) < 0 ||
	    ipset_type_get(s, IPSET_CMD_CREATE) == NULL ||
	    ipset_session_data_set(s, IPSET_OPT_FAMILY, &family) < 0 ||
	    ipset_session_data_set(s, IPSET_OPT_TIMEOUT, &timeout) < 0 ||
	    ipset_session_data_set(s, IPSET_OPT_MAXELEM, &max) < 0 ||
	    ipset_session_data_set(s, IPSET_OPT_HASHSIZE, &hash) < 0 ||
	    ipset_session_data_set(s, IPSET_OPT_COUNTERS, &timeout) < 0 ||
	    ipset_cmd(s, IPSET_CMD_CREATE, 0) != 0)
		return failed(k, "create", name, err);
	return 0;
}

int
ban_kernel_create(struct ban_kernel *k, unsigned set, size_t expected,
    struct error *err)
{
	int code = forget_session(k, err);

	return code < 0 ? code : create_named(k, ban_set_name(set), set, expected,
	    err);
}

static int
simple(struct ban_kernel *k, enum ipset_cmd cmd, const char *what,
    const char *name, const char *other, struct error *err)
{
	errno = 0;
	if (ipset_session_data_set(k->session, IPSET_SETNAME, name) < 0 ||
	    (other != NULL && ipset_session_data_set(k->session,
	    IPSET_OPT_SETNAME2, other) < 0) ||
	    ipset_cmd(k->session, cmd, 0) != 0)
		return failed(k, what, name, err);
	return 0;
}

int
ban_kernel_replace(struct ban_kernel *k, unsigned set, bool same_type,
    size_t expected, struct error *err)
{
	const char *name = ban_set_name(set);
	int code = forget_session(k, err);

	if (code < 0)
		return code;
	if (!same_type) {
		/* works only while no firewall rule holds it */
		code = simple(k, IPSET_CMD_DESTROY, "destroy", name, NULL, err);
		if (code < 0)
			return code == -EPERM ? code : -EBUSY;
		return ban_kernel_create(k, set, expected, err);
	}
	simple(k, IPSET_CMD_DESTROY, "destroy", SPARE_SET, NULL, NULL);
	code = create_named(k, SPARE_SET, set, expected, err);
	if (code == 0)
		code = simple(k, IPSET_CMD_SWAP, "swap", SPARE_SET, name, err);
	simple(k, IPSET_CMD_DESTROY, "destroy", SPARE_SET, NULL, NULL);
	if (code == 0)
		code = forget_session(k, err);
	return code;
}

static int
change(struct ban_kernel *k, enum ipset_cmd cmd, unsigned set,
    const struct network *net, uint32_t timeout_sec, uint32_t line,
    struct error *err)
{
	const char *name = ban_set_name(set);
	union nf_inet_addr ip;
	uint8_t prefix = net->prefix_len;
	uint8_t family = set & 1 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	struct ipset_session *s = k->session;

	memset(&ip, 0, sizeof(ip));
	memcpy(&ip, net->addr.bytes, net->addr.family == 4 ? 4 : 16);
	if (timeout_sec == 0)
		timeout_sec = 1; /* 0 would be for ever */
	errno = 0;
	if (ipset_session_data_set(s, IPSET_SETNAME, name) < 0 ||
	    ipset_type_get(s, cmd) == NULL ||
	    ipset_session_data_set(s, IPSET_OPT_FAMILY, &family) < 0 ||
	    ipset_session_data_set(s, IPSET_OPT_IP, &ip) < 0 ||
	    ipset_session_data_set(s, IPSET_OPT_CIDR, &prefix) < 0 ||
	    (cmd == IPSET_CMD_ADD &&
	    ipset_session_data_set(s, IPSET_OPT_TIMEOUT, &timeout_sec) < 0) ||
	    ipset_cmd(s, cmd, line) != 0) {
		ipset_data_reset(ipset_session_data(s));
		return failed(k, cmd == IPSET_CMD_ADD ? "add" : "del", name, err);
	}
	return 0;
}

int
ban_kernel_add(struct ban_kernel *k, unsigned set, const struct network *net,
    uint32_t timeout_sec, struct error *err)
{
	return change(k, IPSET_CMD_ADD, set, net, timeout_sec, 0, err);
}

int
ban_kernel_del(struct ban_kernel *k, unsigned set, const struct network *net,
    struct error *err)
{
	return change(k, IPSET_CMD_DEL, set, net, 0, 0, err);
}

int
ban_kernel_add_later(struct ban_kernel *k, unsigned set,
    const struct network *net, uint32_t timeout_sec, struct error *err)
{
	/* libipset collects commands of one set that carry a line number */
	return change(k, IPSET_CMD_ADD, set, net, timeout_sec, ++k->line, err);
}

int
ban_kernel_flush(struct ban_kernel *k, struct error *err)
{
	int rc;

	if (k->line == 0)
		return 0;
	k->line = 0;
	errno = 0;
	rc = ipset_commit(k->session);
	ipset_session_lineno(k->session, 0);
	return rc != 0 ? failed(k, "add", "(several)", err) : 0;
}

/* Sends a LIST for one set; with header_only no entries come back. */
static int
send_list(struct ban_kernel *k, struct mnl_socket *nl, unsigned set,
    bool header_only, struct error *err)
{
	unsigned char buf[256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;

	h->nlmsg_type = (NFNL_SUBSYS_IPSET << 8) | IPSET_CMD_LIST;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP;
	h->nlmsg_seq = ++k->dump_seq;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = AF_INET;
	g->version = NFNETLINK_V0;
	g->res_id = 0;
	mnl_attr_put_u8(h, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
	mnl_attr_put_strz(h, IPSET_ATTR_SETNAME, ban_set_name(set));
	if (header_only)
		mnl_attr_put_u32(h, IPSET_ATTR_FLAGS,
		    htonl(IPSET_FLAG_LIST_HEADER));
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return error_set(err, -errno, "netlink: %m");
	return 0;
}

struct list_reader {
	unsigned set;
	struct ban_set_info *info; /* header wanted */
	void (*fn)(void *context, const struct ban_kernel_entry *e);
	void *context;
};

static uint32_t
attr_be32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= 4 ?
	    ntohl(mnl_attr_get_u32(a)) : 0;
}

static uint8_t
attr_u8(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= 1 ? mnl_attr_get_u8(a) : 0;
}

static uint64_t
attr_be64(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= 8 ?
	    be64toh(mnl_attr_get_u64(a)) : 0;
}

static void
read_entry(const struct list_reader *r, const struct nlattr *data)
{
	struct ban_kernel_entry e = { 0 };
	const struct nlattr *a, *ip;
	unsigned family = r->set & 1 ? 6 : 4, prefix = r->set & 1 ? 128 : 32;
	unsigned bytes = prefix / 8;

	mnl_attr_for_each_nested(a, data) {
		switch (mnl_attr_get_type(a)) {
		case IPSET_ATTR_IP:
			mnl_attr_for_each_nested(ip, a)
				if (mnl_attr_get_payload_len(ip) == bytes) {
					memcpy(e.net.addr.bytes,
					    mnl_attr_get_payload(ip), bytes);
					e.net.addr.family = (uint8_t)family;
				}
			break;
		case IPSET_ATTR_CIDR:
			prefix = attr_u8(a);
			break;
		case IPSET_ATTR_TIMEOUT:
			e.timeout_sec = attr_be32(a);
			break;
		case IPSET_ATTR_PACKETS:
			e.packets = attr_be64(a);
			break;
		case IPSET_ATTR_BYTES:
			e.bytes = attr_be64(a);
			break;
		}
	}
	if (e.net.addr.family == 0 || prefix == 0 || prefix > bytes * 8)
		return;
	e.net.prefix_len = (uint8_t)prefix;
	r->fn(r->context, &e);
}

static void
read_header(struct ban_set_info *info, unsigned set, const struct nlattr *data)
{
	const struct nlattr *a;
	bool timeout = false, counters = false;

	mnl_attr_for_each_nested(a, data) {
		switch (mnl_attr_get_type(a)) {
		case IPSET_ATTR_MAXELEM:
			info->max_entries = attr_be32(a);
			break;
		case IPSET_ATTR_ELEMENTS:
			info->entries = attr_be32(a);
			break;
		case IPSET_ATTR_REFERENCES:
			info->references = attr_be32(a);
			break;
		case IPSET_ATTR_TIMEOUT:
			timeout = true;
			break;
		case IPSET_ATTR_CADT_FLAGS:
			counters = (attr_be32(a) & IPSET_FLAG_WITH_COUNTERS) != 0;
			break;
		}
	}
	(void)set;
	if (info->state == BAN_SET_FINE && (!timeout || !counters))
		info->state = BAN_SET_OTHER_SHAPE;
}

static int
on_list(const struct nlmsghdr *h, void *context)
{
	const struct list_reader *r = context;
	const struct nlattr *a, *entry, *data = NULL;
	const char *type = NULL;
	unsigned family = 0;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg)) {
		switch (mnl_attr_get_type(a)) {
		case IPSET_ATTR_TYPENAME:
			if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
				type = mnl_attr_get_str(a);
			break;
		case IPSET_ATTR_FAMILY:
			family = attr_u8(a);
			break;
		case IPSET_ATTR_DATA:
			data = a;
			break;
		case IPSET_ATTR_ADT:
			if (r->fn != NULL)
				mnl_attr_for_each_nested(entry, a)
					read_entry(r, entry);
			break;
		}
	}
	if (r->info != NULL && type != NULL && data != NULL) {
		snprintf(r->info->type, sizeof(r->info->type), "%s", type);
		r->info->state = strcmp(type, SET_TYPE) == 0 &&
		    family == (r->set & 1 ? NFPROTO_IPV6 : NFPROTO_IPV4) ?
		    BAN_SET_FINE : BAN_SET_FOREIGN;
		read_header(r->info, r->set, data);
	}
	return MNL_CB_OK;
}

int
ban_kernel_look(struct ban_kernel *k, unsigned set, struct ban_set_info *ret,
    struct error *err)
{
	struct list_reader r = { .set = set, .info = ret };
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct timeval tv = { .tv_sec = 5 };
	unsigned char buf[8192];
	int code, rc = MNL_CB_OK;

	memset(ret, 0, sizeof(*ret));
	ret->state = BAN_SET_MISSING;
	if (nl == NULL)
		return error_set(err, -errno, "netlink: %m");
	/* the kernel answers at once; if it does not, go on without */
	setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &tv,
	    sizeof(tv));
	code = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ?
	    error_set(err, -errno, "netlink: %m") :
	    send_list(k, nl, set, true, err);
	while (code == 0 && rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		rc = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, k->dump_seq,
		    mnl_socket_get_portid(nl), on_list, &r);
		if (rc < 0 && errno != ENOENT)
			code = error_set(err, -errno, "ipset list \"%s\": %m",
			    ban_set_name(set));
	}
	mnl_socket_close(nl);
	if (code == 0 && ret->state == BAN_SET_FINE &&
	    ret->max_entries < k->max_entries)
		ret->state = BAN_SET_OTHER_SHAPE;
	return code;
}

int
ban_kernel_dump_start(struct ban_kernel *k, unsigned set, struct error *err)
{
	int code;

	if (k->dumping)
		return error_set(err, -EBUSY, "ipset: a reading goes on");
	code = send_list(k, k->dump, set, false, err);
	if (code == 0) {
		k->dumping = true;
		k->dump_set = set;
	}
	return code;
}

int
ban_kernel_dump_fd(const struct ban_kernel *k)
{
	return k->dumping ? mnl_socket_get_fd(k->dump) : -1;
}

int
ban_kernel_dump_read(struct ban_kernel *k,
    void (*fn)(void *context, const struct ban_kernel_entry *e),
    void *context, struct error *err)
{
	struct list_reader r = { .set = k->dump_set, .fn = fn,
		.context = context };
	ssize_t n = mnl_socket_recvfrom(k->dump, k->buffer, sizeof(k->buffer));
	int rc;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	rc = n < 0 ? -1 : mnl_cb_run(k->buffer, (size_t)n, k->dump_seq,
	    mnl_socket_get_portid(k->dump), on_list, &r);
	if (rc > MNL_CB_STOP)
		return 1;
	k->dumping = false;
	if (rc < 0)
		return error_set(err, -errno, "ipset list \"%s\": %m",
		    ban_set_name(k->dump_set));
	return 0;
}

static int
on_address(const struct nlmsghdr *h, void *context)
{
	struct netset *set = context;
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	unsigned family;

	if (h->nlmsg_type != RTM_NEWADDR ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(*m))
		return MNL_CB_OK;
	family = m->ifa_family == AF_INET ? 4 : m->ifa_family == AF_INET6 ? 6 : 0;
	if (family == 0)
		return MNL_CB_OK;
	mnl_attr_for_each(a, h, sizeof(*m)) {
		unsigned type = mnl_attr_get_type(a);
		struct netaddr addr = { .family = (uint8_t)family };
		struct network net;

		/* LOCAL is ours on a point-to-point link, ADDRESS the peer's */
		if (type != IFA_LOCAL && !(type == IFA_ADDRESS && family == 6))
			continue;
		if (mnl_attr_get_payload_len(a) != (family == 4 ? 4 : 16))
			continue;
		memcpy(addr.bytes, mnl_attr_get_payload(a), family == 4 ? 4 : 16);
		net = network_of(&addr, family == 4 ? 32 : 128);
		if (netset_add(set, &net) < 0)
			return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

int
ban_kernel_own_addresses(struct netset *ret, struct error *err)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct timeval tv = { .tv_sec = 5 };
	unsigned char buf[32768];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *m;
	int rc = MNL_CB_OK, code = 0;

	if (nl == NULL)
		return error_set(err, -errno, "netlink: %m");
	setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &tv,
	    sizeof(tv));
	h->nlmsg_type = RTM_GETADDR;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = 1;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifa_family = AF_UNSPEC;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		code = error_set(err, -errno, "own addresses: %m");
	while (code == 0 && rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		rc = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, 1,
		    mnl_socket_get_portid(nl), on_address, ret);
		if (rc < 0)
			code = error_set(err, -errno, "own addresses: %m");
	}
	mnl_socket_close(nl);
	return code;
}

int
ban_kernel_watch_addresses(struct error *err)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    NETLINK_ROUTE), code;

	if (fd < 0)
		return error_set(err, -errno, "netlink: %m");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		code = error_set(err, -errno, "netlink: %m");
		close(fd);
		return code;
	}
	return fd;
}

bool
ban_kernel_drain_watch(int fd)
{
	unsigned char buf[8192];
	bool any = false;

	/* an overrun (ENOBUFS) is a change too: all are read again anyway */
	for (int i = 0; i < 1000; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0 && errno != ENOBUFS && errno != EINTR)
			break;
		any = true;
	}
	return any;
}
