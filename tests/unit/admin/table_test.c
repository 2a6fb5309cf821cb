/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The table of methods, row by row: what each refuses, over every way in, before its body runs. */
#include "peer.h"
#include "qtest.h"

#include "admin/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The exception's name behind "2\0", or "" for anything else. */
static const char *exception(const struct answer *a)
{
	if (a->len < 3 || a->bytes[0] != '2' || a->bytes[1])
		return "";
	return (const char *)a->bytes + 2;
}

static void full_name(char *out, size_t cap, const struct qube__method *m)
{
	size_t n = strlen(m->name);

	snprintf(out, cap, "%s%s", m->name, m->name[n - 1] == '.' ? "AppVM" : "");
}

static const char *good_dest(const struct qube__method *m)
{
	return m->dest & QUBE__DEST_DOM0 ? "dom0" : "work";
}

QTEST(table, is_sorted_and_every_row_is_found)
{
	const char *suffix = NULL;
	const char *last = "";
	const struct qube__method *m;

	for (size_t i = 0; (m = qube__method_at(i)); i++) {
		char name[128];

		full_name(name, sizeof(name), m);
		QT_TRUE(qube__method_find(name, &suffix) == m);
		QT_TRUE(m->fn && m->dest && m->dest <= QUBE__DEST_ANY);
		if (strcmp(name, m->name))
			continue; /* the families are behind the sorted rows */
		QT_TRUE(strcmp(last, m->name) < 0);
		last = m->name;
	}
	QT_TRUE(qube__method_find("admin.vm.Create.", &suffix) == NULL);
	QT_TRUE(qube__method_find("admin.vm.Li", &suffix) == NULL);
	QT_TRUE(qube__method_find("", &suffix) == NULL);
}

QTEST(table, threat_28_each_row_refuses_what_its_columns_forbid)
{
	CTX ctx = rig_open();
	const struct qube__method *m;

	for (size_t i = 0; (m = qube__method_at(i)); i++) {
		const char *arg = m->arg == QUBE__TAKES_SOME ? "x" : "";
		const char *payload = m->payload == QUBE__TAKES_SOME ? "x" : NULL;
		char name[128];
		ANSWER dest = { 0 };
		ANSWER args = { 0 };
		ANSWER pay = { 0 };

		full_name(name, sizeof(name), m);
		if (m->dest != QUBE__DEST_ANY) {
			dest = peer_call(ctx, "dom0", name, arg,
					 m->dest == QUBE__DEST_DOM0 ? "work" : "dom0", payload);
			QT_STR(exception(&dest), "ProtocolError");
		}
		if (m->arg != QUBE__TAKES_MAYBE) {
			args = peer_call(ctx, "dom0", name, *arg ? "" : "x", good_dest(m), payload);
			QT_STR(exception(&args), "ProtocolError");
		}
		if (m->payload != QUBE__TAKES_MAYBE) {
			pay = peer_call(ctx, "dom0", name, arg, good_dest(m), payload ? NULL : "x");
			QT_STR(exception(&pay), "ProtocolError");
		}
	}
}

/* A host service's reply goes to the broker; here its packets are read back. */
struct guest {
	qube_ctx *ctx;
	int sock;
	uint8_t packet[QUBE__RPC_MSG_MAX];
};

static int guest_call(struct guest *g, const char *service, const char *target, const char *payload,
		      char *out, size_t cap)
{
	struct qube__host_service s = {
		.request = 1,
		.service = service,
		.source = "work",
		.target = target,
		.data = (const uint8_t *)payload,
		.len = strlen(payload),
	};
	struct qube__rpc_msg m;
	int fds[QUBE__RPC_FDS_MAX];

	qube__admin_from_guest(qube__host_of(g->ctx), &s);
	out[0] = '\0';
	if (qube__rpc_recv(g->sock, &m, g->packet, sizeof(g->packet), fds) < 0)
		return -1;
	if (m.host_service_reply.len > 2)
		snprintf(out, cap, "%c%.*s", m.host_service_reply.data[0],
			 (int)m.host_service_reply.len - 2,
			 (const char *)m.host_service_reply.data + 2);
	return m.host_service_reply.exit_code;
}

static struct guest *guest_open(qube_ctx *ctx)
{
	struct guest *g = calloc(1, sizeof(*g));
	int pair[2];

	if (!g || qube__rpc_pair(pair) < 0)
		return NULL;
	g->ctx = ctx;
	g->sock = pair[1];
	qube__host_of(ctx)->sock = pair[0];
	return g;
}

static void guest_close(struct guest *g)
{
	close(qube__host_of(g->ctx)->sock);
	qube__host_of(g->ctx)->sock = -1;
	close(g->sock);
	free(g);
}

QTEST(table, threat_28_a_qube_never_reaches_what_is_for_the_host)
{
	CTX ctx = rig_open();
	struct guest *g = guest_open(ctx);
	const struct qube__method *m;
	size_t n = 0;
	char out[512];

	for (size_t i = 0; (m = qube__method_at(i)); i++) {
		const char *payload = m->payload == QUBE__TAKES_SOME ? "{}" : "";
		char service[128];
		ANSWER a = { 0 };

		if (!(m->flags & QUBE__METHOD_HOST_ONLY))
			continue;
		n++;
		snprintf(service, sizeof(service), "%s+", m->name);
		QT_INT(guest_call(g, service, good_dest(m), payload, out, sizeof(out)), 0);
		QT_STR(out, "2PermissionDenied");
		/* Nor does a client of the socket that speaks for a qube. */
		a = peer_call(ctx, "work", m->name, "", good_dest(m), *payload ? payload : NULL);
		QT_STR(exception(&a), "PermissionDenied");
	}
	QT_TRUE(n > 5);
	guest_close(g);
}

QTEST(table, threat_24_a_qube_gets_disposables_of_its_own_default_and_no_other)
{
	CTX ctx = rig_open();
	struct guest *g = guest_open(ctx);
	struct qube__model *m = qube__host_of(ctx)->model;
	struct qube__vm *work = qube__model_vm(m, "work");
	struct qube__vm *vm;
	char out[512];

	QT_INT(qube__global_set(m, "default_dispvm", "dvm"), 0);
	QT_INT(qube__vm_prop_set(work, "default_dispvm", ""), 0);
	QT_INT(guest_call(g, "admin.vm.CreateDisposable+", "dom0", "", out, sizeof(out)), 0);
	QT_TRUE(out[0] == '2');
	QT_INT(qube__vm_prop_reset(work, "default_dispvm"), 0);
	QT_INT(guest_call(g, "admin.vm.CreateDisposable+", "dom0", "", out, sizeof(out)), 0);
	QT_TRUE(out[0] == '0');
	vm = qube__model_vm(m, out + 1);
	QT_TRUE(vm != NULL);
	QT_STR(vm->prop[QUBE__PROP_TEMPLATE], "dvm");
	QT_TRUE(qube__vm_tag_has(vm, "created-by-work"));
	/* A qube that no disposables may be made of. */
	QT_INT(guest_call(g, "admin.vm.CreateDisposable+", "work", "", out, sizeof(out)), 0);
	QT_TRUE(out[0] == '2');
	guest_close(g);
}

QTEST(table, threat_28_a_qube_gets_no_stream_and_no_unknown_service)
{
	CTX ctx = rig_open();
	struct guest *g = guest_open(ctx);
	char out[512];

	QT_INT(guest_call(g, "admin.Events+", "dom0", "", out, sizeof(out)), 0);
	QT_TRUE(out[0] == '2');
	QT_INT(guest_call(g, "qubes.Filecopy+", "dom0", "", out, sizeof(out)), 127);
	QT_INT(guest_call(g, "admin.vm.List+", "no name", "", out, sizeof(out)), 125);
	QT_INT(guest_call(g, "admin.vm.tag.Set+created-by-x", "dvm", "", out, sizeof(out)), 0);
	QT_STR(out, "2PermissionDenied");
	/* Without a policy nothing is listed to a qube. */
	QT_INT(guest_call(g, "admin.vm.List+", "dom0", "", out, sizeof(out)), 0);
	QT_STR(out, "");
	QT_INT(guest_call(g, "admin.vm.property.Get+label", "dvm", "", out, sizeof(out)), 0);
	QT_STR(out, "0default=False type=label red");
	QT_INT(guest_call(g, "admin.vm.Create.AppVM+deb", "@adminvm", "name=made label=blue", out,
			  sizeof(out)),
	       0);
	QT_STR(out, "");
	{
		DOMAIN d = rig_domain(ctx, "made");
		char **tags = NULL;

		QT_INT(qube_domain_tag_list(&tags, d), 0);
		QT_STR(tags[1], "created-by-work");
		qube_strings_free(tags);
	}
	guest_close(g);
}
