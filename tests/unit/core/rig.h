/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A host in memory with a template, an AppVM and a template of disposables; what it told. */
#ifndef TEST_CORE_RIG_H
#define TEST_CORE_RIG_H

#include <qube/admin.h>
#include <qube/qube.h>

#include <stdbool.h>
#include <stddef.h>

/* A growing text; never more than its room. */
struct text {
	char s[65536];
	size_t len;
};
void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "deb" (TemplateVM), "work" (AppVM), "dvm" (AppVM, template of disposables); NULL: it failed. */
qube_ctx *rig_open(void);
qube_ctx *rig_open_empty(void);
/* Dispatches until nothing is left to do. */
void rig_drain(qube_ctx *ctx);
/* Dispatches until *flag or for at most five seconds. */
bool rig_until(qube_ctx *ctx, const bool *flag);
qube_domain *rig_domain(qube_ctx *ctx, const char *name);
/* A line for each event: "SUBJECT NAME k=v k=v\n", "-" for the host. */
qube_subscription *rig_record(qube_ctx *ctx, struct text *t);

/* A host in a thread of its own that serves its Admin API at socket_path. */
struct rig_server {
	char dir[64];
	char socket_path[96];
	void *thread;
};
int rig_serve(struct rig_server *s);
void rig_serve_end(struct rig_server *s);
qube_ctx *rig_connect(const struct rig_server *s);

static inline void rig_unref_ctx(qube_ctx **c)
{
	qube_ctx_unref(*c);
}
static inline void rig_unref_domain(qube_domain **d)
{
	qube_domain_unref(*d);
}
static inline void rig_unref_sub(qube_subscription **s)
{
	qube_subscription_unref(*s);
}
static inline void rig_unref_op(qube_op **o)
{
	qube_op_unref(*o);
}
#define CTX    __attribute__((cleanup(rig_unref_ctx))) qube_ctx *
#define DOMAIN __attribute__((cleanup(rig_unref_domain))) qube_domain *
#define SUB    __attribute__((cleanup(rig_unref_sub))) qube_subscription *
#define OP     __attribute__((cleanup(rig_unref_op))) qube_op *

#endif
