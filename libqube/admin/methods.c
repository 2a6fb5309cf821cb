/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The one table of methods (admin-api.md 4, and our own qube.*): a row is a method. What a row
 * forbids is refused here, before the method's body sees a byte. */
#include "admin/call.h"

#include "base/error.h"
#include "base/text.h"
#include "core/rules.h"

#include <string.h>

#define D  QUBE__DEST_DOM0
#define V  QUBE__DEST_VM
#define A  QUBE__DEST_ANY
#define NO QUBE__TAKES_NONE
#define R  QUBE__TAKES_SOME
#define O  QUBE__TAKES_MAYBE

/* Sorted by name: found by binary search, checked by a test. */
static const struct qube__method methods[] = {
	{ "admin.Events", A, NO, NO, QUBE__METHOD_STREAM, qube__m_events },
	{ "admin.label.Create", D, R, R, 0, qube__m_label_create },
	{ "admin.label.Get", D, R, NO, 0, qube__m_label_get },
	{ "admin.label.Index", D, R, NO, 0, qube__m_label_index },
	{ "admin.label.List", D, NO, NO, 0, qube__m_label_list },
	{ "admin.label.Remove", D, R, NO, 0, qube__m_label_remove },
	{ "admin.pool.Info", D, R, NO, 0, qube__m_pool_info },
	{ "admin.pool.List", D, NO, NO, 0, qube__m_pool_list },
	{ "admin.pool.ListDrivers", D, NO, NO, 0, qube__m_pool_drivers },
	{ "admin.property.Get", D, R, NO, 0, qube__m_property_get },
	{ "admin.property.GetAll", D, NO, NO, 0, qube__m_property_get_all },
	{ "admin.property.GetDefault", D, R, NO, 0, qube__m_property_get_default },
	{ "admin.property.Help", D, R, NO, 0, qube__m_property_help },
	{ "admin.property.List", D, NO, NO, 0, qube__m_property_list },
	{ "admin.property.Reset", D, R, NO, 0, qube__m_property_reset },
	{ "admin.property.Set", D, R, O, 0, qube__m_property_set },
	{ "admin.vm.CreateDisposable", A, O, O, 0, qube__m_vm_create_disposable },
	{ "admin.vm.CurrentState", A, NO, NO, 0, qube__m_vm_current_state },
	{ "admin.vm.Kill", A, NO, NO, QUBE__METHOD_WAITS, qube__m_vm_kill },
	{ "admin.vm.List", A, NO, NO, 0, qube__m_vm_list },
	{ "admin.vm.Pause", A, NO, NO, 0, qube__m_vm_pause },
	{ "admin.vm.Remove", A, NO, NO, 0, qube__m_vm_remove },
	{ "admin.vm.Shutdown", A, O, NO, QUBE__METHOD_WAITS, qube__m_vm_shutdown },
	{ "admin.vm.Start", A, NO, NO, QUBE__METHOD_WAITS, qube__m_vm_start },
	{ "admin.vm.Stats", A, NO, NO, QUBE__METHOD_STREAM, qube__m_vm_stats },
	{ "admin.vm.Unpause", A, NO, NO, 0, qube__m_vm_unpause },
	{ "admin.vm.feature.CheckWithAdminVM", A, R, NO, 0, qube__m_feature_check_admin },
	{ "admin.vm.feature.CheckWithNetvm", A, R, NO, 0, qube__m_feature_check_netvm },
	{ "admin.vm.feature.CheckWithTemplate", A, R, NO, 0, qube__m_feature_check_template },
	{ "admin.vm.feature.CheckWithTemplateAndAdminVM", A, R, NO, 0,
	  qube__m_feature_check_template_admin },
	{ "admin.vm.feature.Get", A, R, NO, 0, qube__m_feature_get },
	{ "admin.vm.feature.List", A, NO, NO, 0, qube__m_feature_list },
	{ "admin.vm.feature.Remove", A, R, NO, 0, qube__m_feature_remove },
	{ "admin.vm.feature.Set", A, R, O, 0, qube__m_feature_set },
	{ "admin.vm.notes.Get", V, NO, NO, 0, qube__m_notes_get },
	{ "admin.vm.notes.Set", V, NO, O, 0, qube__m_notes_set },
	{ "admin.vm.property.Get", A, R, NO, 0, qube__m_property_get },
	{ "admin.vm.property.GetAll", A, NO, NO, 0, qube__m_property_get_all },
	{ "admin.vm.property.GetDefault", A, R, NO, 0, qube__m_property_get_default },
	{ "admin.vm.property.Help", A, R, NO, 0, qube__m_property_help },
	{ "admin.vm.property.List", A, NO, NO, 0, qube__m_property_list },
	{ "admin.vm.property.Reset", A, R, NO, 0, qube__m_property_reset },
	{ "admin.vm.property.Set", A, R, O, 0, qube__m_property_set },
	{ "admin.vm.tag.Get", A, R, NO, 0, qube__m_tag_get },
	{ "admin.vm.tag.List", A, NO, NO, 0, qube__m_tag_list },
	{ "admin.vm.tag.Remove", A, R, NO, 0, qube__m_tag_remove },
	{ "admin.vm.tag.Set", A, R, NO, 0, qube__m_tag_set },
	{ "admin.vm.volume.Clear", A, R, NO, 0, qube__m_volume_clear },
	{ "admin.vm.volume.Info", A, R, NO, QUBE__METHOD_WAITS, qube__m_volume_info },
	{ "admin.vm.volume.List", A, NO, NO, 0, qube__m_volume_list },
	{ "admin.vm.volume.ListSnapshots", A, R, NO, 0, qube__m_volume_snapshots },
	{ "admin.vm.volume.Resize", A, R, R, 0, qube__m_volume_resize },
	{ "admin.vm.volume.Revert", A, R, R, 0, qube__m_volume_revert },
	{ "admin.vm.volume.Set.ephemeral", A, R, R, 0, qube__m_volume_set_ephemeral },
	{ "admin.vm.volume.Set.revisions_to_keep", A, R, R, 0, qube__m_volume_set_revisions },
	{ "admin.vm.volume.Set.rw", A, R, R, 0, qube__m_volume_set_rw },
	{ "admin.vmclass.List", D, NO, NO, 0, qube__m_vmclass_list },
	{ "internal.GetSystemInfo", D, NO, NO, QUBE__METHOD_HOST_ONLY, qube__m_system_info },
	{ "qube.Call", V, NO, R, QUBE__METHOD_HOST_ONLY | QUBE__METHOD_OP, qube__m_op_call },
	{ "qube.Clone", V, NO, R, QUBE__METHOD_HOST_ONLY | QUBE__METHOD_OP, qube__m_op_clone },
	{ "qube.CreateHeld", A, NO, NO, QUBE__METHOD_HOST_ONLY | QUBE__METHOD_STREAM,
	  qube__m_vm_create_held },
	{ "qube.Door", D, NO, NO, QUBE__METHOD_HOST_ONLY | QUBE__METHOD_STREAM, qube__m_door },
	{ "qube.GetAll", D, NO, NO, QUBE__METHOD_HOST_ONLY, qube__m_get_all },
	{ "qube.HostCheck", D, NO, NO, QUBE__METHOD_HOST_ONLY, qube__m_host_check },
	{ "qube.HostInfo", D, NO, NO, QUBE__METHOD_HOST_ONLY, qube__m_host_info },
	{ "qube.Kill", A, NO, NO, QUBE__METHOD_HOST_ONLY | QUBE__METHOD_OP, qube__m_op_kill },
	{ "qube.Log", V, NO, NO, QUBE__METHOD_HOST_ONLY, qube__m_log },
	{ "qube.Shutdown", A, O, NO, QUBE__METHOD_HOST_ONLY | QUBE__METHOD_OP,
	  qube__m_op_shutdown },
	{ "qube.Start", A, O, NO, QUBE__METHOD_HOST_ONLY | QUBE__METHOD_OP, qube__m_op_start },
	{ "qube.Stats", V, NO, NO, QUBE__METHOD_HOST_ONLY, qube__m_stats },
	{ "qube.Unenforced", A, NO, NO, QUBE__METHOD_HOST_ONLY, qube__m_unenforced },
	{ "qube.copy.In", V, NO, R, QUBE__METHOD_HOST_ONLY | QUBE__METHOD_OP | QUBE__METHOD_STREAM,
	  qube__m_copy_in },
	{ "qube.copy.Out", V, NO, R, QUBE__METHOD_HOST_ONLY | QUBE__METHOD_OP | QUBE__METHOD_STREAM,
	  qube__m_copy_out },
	{ "qube.template.Import", D, NO, R,
	  QUBE__METHOD_HOST_ONLY | QUBE__METHOD_OP | QUBE__METHOD_STREAM, qube__m_op_import },
	{ "qube.volume.Export", V, R, NO,
	  QUBE__METHOD_HOST_ONLY | QUBE__METHOD_OP | QUBE__METHOD_STREAM, qube__m_volume_export },
	{ "qube.volume.Import", V, R, NO,
	  QUBE__METHOD_HOST_ONLY | QUBE__METHOD_OP | QUBE__METHOD_STREAM, qube__m_volume_import },
	{ "qube.volume.Info", A, R, NO, QUBE__METHOD_HOST_ONLY, qube__m_volume_info_now },
};

#define COUNT (sizeof(methods) / sizeof(methods[0]))

/* Their names end in a class. */
static const struct qube__method create = { "admin.vm.Create.", D, O, R, 0, qube__m_vm_create };
static const struct qube__method create_in_pool = { "admin.vm.CreateInPool.", D, O, R, 0,
						    qube__m_vm_create };

const struct qube__method *qube__method_at(size_t i)
{
	if (i < COUNT)
		return &methods[i];
	if (i == COUNT)
		return &create;
	return i == COUNT + 1 ? &create_in_pool : NULL;
}

const struct qube__method *qube__method_find(const char *name, const char **suffix)
{
	size_t low = 0;
	size_t high = COUNT;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int d = strcmp(name, methods[mid].name);

		if (!d)
			return &methods[mid];
		if (d < 0)
			high = mid;
		else
			low = mid + 1;
	}
	for (size_t i = COUNT; i < COUNT + 2; i++) {
		const struct qube__method *m = qube__method_at(i);
		size_t n = strlen(m->name);

		if (!strncmp(name, m->name, n) && name[n]) {
			*suffix = name + n;
			return m;
		}
	}
	return NULL;
}

static int check_shape(const struct qube__admin_call *c)
{
	const struct qube__method *m = c->method;
	bool has_arg = c->req.arg[0] != '\0';
	bool has_payload = c->req.payload_len != 0;
	bool dom0 = !strcmp(c->req.dest, "dom0") || !strcmp(c->req.dest, "@adminvm") ||
		    !strcmp(c->req.dest, "uuid:00000000-0000-0000-0000-000000000000");
	const char *what = NULL;

	if (!c->from_host && (m->flags & QUBE__METHOD_HOST_ONLY))
		return qube__fail_detail(QUBE_E_DENIED, QUBE_D_PERMISSION, "%s is for the host",
					 m->name);
	if (has_arg && m->arg == QUBE__TAKES_NONE)
		what = "unexpected argument";
	else if (!has_arg && m->arg == QUBE__TAKES_SOME)
		what = "expected argument";
	else if (has_payload && m->payload == QUBE__TAKES_NONE)
		what = "unexpected payload";
	else if (!has_payload && m->payload == QUBE__TAKES_SOME)
		what = "expected payload";
	else if (!dom0 && m->dest == QUBE__DEST_DOM0)
		what = "expected destination to be AdminVM";
	else if (dom0 && m->dest == QUBE__DEST_VM)
		what = "expected destination to not be AdminVM";
	if (what)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL, "%s: %s", m->name, what);
	if (!c->stream && (m->flags & QUBE__METHOD_STREAM))
		return qube__fail_detail(QUBE_E_NOTSUP, QUBE_D_GENERIC,
					 "%s is answered by a stream, which is not offered here",
					 m->name);
	return 0;
}

int qube__admin_run(struct qube__admin_call *c)
{
	const char *dest = c->req.dest;
	struct qube__vm *source;
	const char *uuid;
	int r;

	c->method = qube__method_find(c->req.method, &c->suffix);
	if (!c->method)
		return qube__fail_detail(QUBE_E_NOTSUP, QUBE_D_PROTOCOL, "no such method: '%s'",
					 c->req.method);
	/* Who calls: a client of the socket may speak for a qube, and then is no more than it. */
	r = qube__wire_admin_peer(&uuid, c->req.source);
	if (r)
		return qube__fail_detail(QUBE_E_INVALID, r, "bad source '%s'", c->req.source);
	r = qube__host_vm(&source, c->host, c->req.source);
	if (r < 0)
		return r;
	qube__text_copy(c->req.source, sizeof(c->req.source), source->name);
	if (source->vm_class != QUBE__CLASS_ADMIN)
		c->from_host = false;
	r = check_shape(c);
	if (r < 0)
		return r;
	if (!strcmp(dest, "@adminvm"))
		dest = "dom0";
	r = qube__wire_admin_peer(&uuid, dest);
	if (r)
		return qube__fail_detail(QUBE_E_INVALID, r, "bad destination '%s'", dest);
	r = qube__host_vm(&c->dest, c->host, dest);
	if (r < 0)
		return r;
	return c->method->fn(c);
}

void qube__admin_done(struct qube__admin_call *c, int code)
{
	c->finish(c, code);
}

void qube__admin_call_init(struct qube__admin_call *c, struct qube__host *h)
{
	memset(c, 0, sizeof(*c));
	c->host = h;
	for (int i = 0; i < QUBE__CALL_FDS; i++)
		c->fds[i] = -1;
	c->give_fd = -1;
	qube__buf_init(&c->reply, QUBE__CALL_REPLY_MAX);
	qube__list_init(&c->waiter.link);
	qube__list_init(&c->tick.link);
}
