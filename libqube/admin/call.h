/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One request of the Admin API under way, and the table of methods that answer it. */
#ifndef QUBE_ADMIN_CALL_H
#define QUBE_ADMIN_CALL_H

#include "admin/admin.h"
#include "base/buf.h"
#include "wire/admin.h"

enum {
	QUBE__CALL_FDS = 3,
	QUBE__CALL_REPLY_MAX = 64 << 20,
};

/* What a method may be called on, and what it takes (admin-api.md 4: D, V, *; -, R, o). */
enum { QUBE__DEST_DOM0 = 1, QUBE__DEST_VM = 2, QUBE__DEST_ANY = 3 };
enum { QUBE__TAKES_NONE = 0, QUBE__TAKES_SOME = 1, QUBE__TAKES_MAYBE = 2 };
enum {
	QUBE__METHOD_STREAM = 1,    /* answers with events, or a descriptor: sockets only */
	QUBE__METHOD_HOST_ONLY = 2, /* never for a qube, whatever the policy says */
	QUBE__METHOD_OP = 4,	    /* needs the application's dispatch to finish */
	QUBE__METHOD_WAITS = 8,	    /* may be answered later */
};

struct qube__admin_call;

struct qube__method {
	const char *name;
	uint8_t dest;
	uint8_t arg;
	uint8_t payload;
	uint8_t flags;
	/* 0: answered, the content is in c->reply; 1: qube__admin_done() follows; < 0: the
	 * thread's record is the answer. */
	int (*fn)(struct qube__admin_call *c);
};

struct qube__admin_call {
	struct qube__host *host;
	const struct qube__method *method;
	const char *suffix; /* of a method whose name ends in a parameter: the class */
	struct qube__wire_admin_request req; /* payload: valid while fn runs */
	struct qube__vm *dest;		     /* valid while fn runs */
	bool from_host;
	struct qube__buf reply;
	int fds[QUBE__CALL_FDS]; /* -1 or owned */
	int give_fd;		 /* sockets: sent with the answer's first byte; -1 or owned */
	uid_t uid;		 /* sockets: of who is at the other end */
	gid_t gid;
	struct qube__waiter waiter;
	qube_op *op;					      /* for methods that are operations */
	void (*finish)(struct qube__admin_call *c, int code); /* the transport's */
	/* Sockets: sends a frame now. NULL elsewhere. */
	void (*stream)(struct qube__admin_call *c);
	struct qube__listener listener; /* admin.Events */
	struct qube__timer tick;	/* progress of an import */
	char held[QUBE__NAME_MAX + 1];	/* a disposable that ends with this, "": none */
	char held_uuid[37];
};

/* The row, or NULL; suffix is set for "admin.vm.Create." + class. */
const struct qube__method *qube__method_find(const char *name, const char **suffix);
/* Rows, for the test of access rules and the documentation. */
const struct qube__method *qube__method_at(size_t i); /* NULL behind the last */
/* Checks destination, argument and payload, then runs the method. c->req is filled. */
int qube__admin_run(struct qube__admin_call *c);
/* Ends a call whose fn returned 1. code < 0: the thread's record. */
void qube__admin_done(struct qube__admin_call *c, int code);
/* extra.c: an operation's exit code and stages, into the reply. */
int qube__admin_put_trace(struct qube__admin_call *c, const qube_op *op);
/* Makes the call's op. Its worker is then begun, and what that returned is r of one of these: the
 * first answers when the op is over (done: instead of the trace), the second with its progress. */
int qube__admin_make_op(struct qube__admin_call *c);
int qube__admin_run_op(struct qube__admin_call *c, int r, void (*done)(void *user, qube_op *op));
int qube__admin_stream_op(struct qube__admin_call *c, int r);
void qube__admin_call_init(struct qube__admin_call *c, struct qube__host *h);
void qube__admin_call_fini(struct qube__admin_call *c);

/* For handlers: appends to the reply; a failure sets the record. */
int qube__reply(struct qube__admin_call *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The payload as a C string of at most cap - 1 bytes without NUL inside. */
int qube__payload_text(char *out, size_t cap, const struct qube__admin_call *c);
/* "True" "False" as the Admin API writes them. */
static inline const char *qube__truth(bool b)
{
	return b ? "True" : "False";
}

/* vm.c */
int qube__m_vmclass_list(struct qube__admin_call *c);
int qube__m_vm_list(struct qube__admin_call *c);
int qube__m_vm_create(struct qube__admin_call *c);
int qube__m_vm_create_disposable(struct qube__admin_call *c);
int qube__m_vm_create_held(struct qube__admin_call *c);
int qube__m_vm_remove(struct qube__admin_call *c);
int qube__m_vm_start(struct qube__admin_call *c);
int qube__m_vm_shutdown(struct qube__admin_call *c);
int qube__m_vm_kill(struct qube__admin_call *c);
int qube__m_vm_pause(struct qube__admin_call *c);
int qube__m_vm_unpause(struct qube__admin_call *c);
int qube__m_vm_current_state(struct qube__admin_call *c);
int qube__m_events(struct qube__admin_call *c);
int qube__m_door(struct qube__admin_call *c);
int qube__m_volume_list(struct qube__admin_call *c);
int qube__m_volume_info_now(struct qube__admin_call *c);
int qube__m_volume_snapshots(struct qube__admin_call *c);
int qube__m_volume_revert(struct qube__admin_call *c);
int qube__m_volume_clear(struct qube__admin_call *c);
int qube__m_volume_resize(struct qube__admin_call *c);
int qube__m_volume_set_revisions(struct qube__admin_call *c);
int qube__m_volume_set_rw(struct qube__admin_call *c);
int qube__m_volume_set_ephemeral(struct qube__admin_call *c);
int qube__m_volume_export(struct qube__admin_call *c);
int qube__m_volume_import(struct qube__admin_call *c);
int qube__m_volume_info(struct qube__admin_call *c);
int qube__m_pool_list(struct qube__admin_call *c);
int qube__m_pool_drivers(struct qube__admin_call *c);
int qube__m_pool_info(struct qube__admin_call *c);
/* settings.c */
int qube__m_property_list(struct qube__admin_call *c);
int qube__m_property_get(struct qube__admin_call *c);
int qube__m_property_get_all(struct qube__admin_call *c);
int qube__m_property_get_default(struct qube__admin_call *c);
int qube__m_property_help(struct qube__admin_call *c);
int qube__m_property_set(struct qube__admin_call *c);
int qube__m_property_reset(struct qube__admin_call *c);
int qube__m_tag_list(struct qube__admin_call *c);
int qube__m_tag_get(struct qube__admin_call *c);
int qube__m_tag_set(struct qube__admin_call *c);
int qube__m_tag_remove(struct qube__admin_call *c);
int qube__m_feature_list(struct qube__admin_call *c);
int qube__m_feature_get(struct qube__admin_call *c);
int qube__m_feature_check_template(struct qube__admin_call *c);
int qube__m_feature_check_netvm(struct qube__admin_call *c);
int qube__m_feature_check_admin(struct qube__admin_call *c);
int qube__m_feature_check_template_admin(struct qube__admin_call *c);
int qube__m_feature_set(struct qube__admin_call *c);
int qube__m_feature_remove(struct qube__admin_call *c);
int qube__m_notes_get(struct qube__admin_call *c);
int qube__m_notes_set(struct qube__admin_call *c);
int qube__m_label_list(struct qube__admin_call *c);
int qube__m_label_get(struct qube__admin_call *c);
int qube__m_label_index(struct qube__admin_call *c);
int qube__m_label_create(struct qube__admin_call *c);
int qube__m_label_remove(struct qube__admin_call *c);
/* extra.c: qube.* and internal.* */
int qube__m_system_info(struct qube__admin_call *c);
int qube__m_get_all(struct qube__admin_call *c);
int qube__m_host_info(struct qube__admin_call *c);
int qube__m_op_start(struct qube__admin_call *c);
int qube__m_op_shutdown(struct qube__admin_call *c);
int qube__m_op_kill(struct qube__admin_call *c);
int qube__m_op_clone(struct qube__admin_call *c);
int qube__m_op_import(struct qube__admin_call *c);
int qube__m_op_call(struct qube__admin_call *c);
int qube__m_log(struct qube__admin_call *c);
int qube__m_unenforced(struct qube__admin_call *c);
/* copy.c */
int qube__m_copy_in(struct qube__admin_call *c);
int qube__m_copy_out(struct qube__admin_call *c);
/* stats.c */
int qube__m_stats(struct qube__admin_call *c);
int qube__m_vm_stats(struct qube__admin_call *c);
int qube__m_host_check(struct qube__admin_call *c);

#endif
