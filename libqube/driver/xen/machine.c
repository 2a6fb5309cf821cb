/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A domain from its making to its end. */
#include "driver/xen/xen.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum {
	CREATE_MS = 120000,
	KILL_MS = 60000,
	DISK_ROOT = 0,
	DISK_PRIVATE = 1,
	DISK_VOLATILE = 2,
	DISK_MODULES = 3,
};

void qube__xen_uuid_text(char out[QUBE__XEN_UUID_TEXT], const uint8_t u[QUBE__XL_UUID])
{
	snprintf(out, QUBE__XEN_UUID_TEXT,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
		 u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
		 u[15]);
}

int qube__xen_uuid_parse(uint8_t out[QUBE__XL_UUID], const char *text)
{
	char again[QUBE__XEN_UUID_TEXT];
	int at = 0;

	for (int i = 0; i < QUBE__XL_UUID; i++) {
		unsigned int byte = 0;

		at += text[at] == '-';
		if (sscanf(text + at, "%2x", &byte) != 1)
			return QUBE_E_INVALID;
		out[i] = (uint8_t)byte;
		at += 2;
	}
	qube__xen_uuid_text(again, out);
	return strcmp(again, text) == 0 ? 0 : QUBE_E_INVALID;
}

static char *mark_path(const struct qube__xen_machine *m)
{
	char uuid[QUBE__XEN_UUID_TEXT];

	qube__xen_uuid_text(uuid, m->uuid);
	return qube__text_format("%s/%s.domain", m->d->run_dir, uuid);
}

int qube__xen_mark(struct qube__xen_machine *m)
{
	qube__autofree char *path = mark_path(m);
	qube__autofd fd = -1;

	if (!path)
		return qube__fail_nomem();
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? qube__fail_os("cannot make %s", path) : 0;
}

int qube__xen_mark_ran(struct qube__xen_machine *m)
{
	qube__autofree char *path = mark_path(m);
	qube__autofd fd = path ? open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC) : -1;

	if (fd < 0 || write(fd, "r\n", 2) != 2)
		return qube__fail_os("cannot write %s", path ? path : "a file");
	return 0;
}

void qube__xen_unmark(struct qube__xen_machine *m)
{
	qube__autofree char *path = mark_path(m);

	if (path)
		unlink(path);
}

struct qube__xen_machine *qube__xen_machine_new(struct qube__xen_driver *d)
{
	struct qube__xen_machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->base.ops = &qube__driver_xen;
	m->d = d;
	m->reason = QUBE__XEN_DESTROYED;
	d->refs++;
	qube__list_append(&d->machines, &m->link);
	return m;
}

void qube__xen_machine_free(struct qube__xen_machine *m)
{
	qube__xen_channels_end(m);
	qube__list_remove(&m->link);
	qube__xen_unref(m->d);
	free(m->order);
	free(m);
}

struct qube__xen_machine *qube__xen_find(struct qube__xen_driver *d,
					 const uint8_t uuid[QUBE__XL_UUID])
{
	struct qube__list *pos;

	qube__list_foreach (pos, &d->machines) {
		struct qube__xen_machine *m =
			qube__container_of(pos, struct qube__xen_machine, link);

		if (m->state != QUBE__XEN_GONE && memcmp(m->uuid, uuid, QUBE__XL_UUID) == 0)
			return m;
	}
	return NULL;
}

/* The last that is heard of it. One that nobody took is nobody's to be told of; and who closes
 * hears nothing any more. */
static void tell_end(struct qube__xen_machine *m, enum qube__machine_event event, int status)
{
	m->state = QUBE__XEN_GONE;
	qube__xen_channels_end(m);
	if (!m->stuck)
		qube__xen_unmark(m);
	if (!m->user)
		qube__xen_machine_free(m);
	else if (!m->d->closed)
		m->d->env.on_machine(m->d->env.user, &m->base, m->user, event, status);
}

void qube__xen_fail(struct qube__xen_machine *m)
{
	tell_end(m, QUBE__MACHINE_FAILED, 0);
}

void qube__xen_over(struct qube__xen_machine *m)
{
	if (m->failed) {
		qube__err_restore(&m->why);
		qube__xen_fail(m);
		return;
	}
	tell_end(m, QUBE__MACHINE_STOPPED, (int)m->reason);
}

void qube__xen_kill(struct qube__xen_machine *m)
{
	m->killed = true;
	m->state = QUBE__XEN_ENDING;
	/* Without a helper it is given again when there is one. */
	qube__xen_order(m, QUBE__XL_KILL, KILL_MS);
}

/* --- making --- */

static int kind_of(uint32_t *out, const char *virt_mode)
{
	if (!virt_mode || !*virt_mode || strcmp(virt_mode, "pvh") == 0)
		*out = QUBE__XL_PVH;
	else if (strcmp(virt_mode, "pv") == 0)
		*out = QUBE__XL_PV;
	else
		return qube__fail(QUBE_E_NOTSUP,
				  "virt_mode %s needs a stub domain for its devices, and there is "
				  "none: pvh or pv",
				  virt_mode);
	return 0;
}

static int add_disk(struct qube__xl_msg *m, uint32_t slot, const struct qube__volume_run *v,
		    const char *what)
{
	struct qube__xl_disk *d = &m->disks[m->n_disks];

	if (v->kind == QUBE__VOLUME_NONE)
		return 0;
	if (v->kind != QUBE__VOLUME_BLOCK)
		return qube__fail(QUBE_E_NOTSUP,
				  "its %s volume is no block device, which a virtual machine needs",
				  what);
	d->slot = slot;
	d->path = v->upper;
	d->writable = !v->read_only;
	m->n_disks++;
	return 0;
}

/* What its first process reads. Names were checked where they were set; here a blank would begin
 * another word of the kernel's. */
static bool is_word(const char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-,";

	return strspn(s, allowed) == strlen(s);
}

static char *command_line(const struct qube__machine_spec *s)
{
	qube__autofree char *services = strdup(s->services ? s->services : "");
	const char *user = s->default_user ? s->default_user : "root";

	for (char *p = services; p && *p; p++)
		if (*p == ' ')
			*p = ',';
	if (!services || !is_word(services) || !is_word(user))
		return NULL;
	return qube__text_format("console=hvc0 panic=1 quiet %s%sqube.name=%s qube.user=%s%s%s",
				 s->kernel_opts ? s->kernel_opts : "", s->kernel_opts ? " " : "",
				 s->name, user, *services ? " qube.services=" : "", services);
}

static int fill_record(struct qube__xen_machine *m, const struct qube__machine_spec *s)
{
	const char *image = s->root.kind == QUBE__VOLUME_BLOCK ? strrchr(s->root.upper, '/') : NULL;
	struct qube__xen_record *r = &m->record;

	r->qid = s->qid;
	r->id_base = s->id_base;
	r->bound = s->bound;
	r->start_ms = qube__wall_ms();
	if (qube__text_copy(r->name, sizeof(r->name), s->name) < 0 ||
	    (image && qube__text_copy(r->image, sizeof(r->image), image + 1) < 0))
		return qube__fail(QUBE_E_LIMIT, "a name that is too long");
	return 0;
}

static int keep_order(struct qube__xen_machine *m, const struct qube__xl_msg *create)
{
	int n;

	m->order = malloc(QUBE__XL_PACKET_MAX);
	if (!m->order)
		return qube__fail_nomem();
	n = qube__xl_encode(m->order, QUBE__XL_PACKET_MAX, create);
	if (n < 0)
		return qube__fail(QUBE_E_INVALID,
				  "the machine cannot be made so: is its kernel's command line "
				  "longer than %d bytes, or its memory below %d MiB?",
				  QUBE__XL_CMDLINE_MAX - 1, QUBE__XL_KB_MIN / 1024);
	m->order_len = (size_t)n;
	return 0;
}

static int prepare(struct qube__xen_machine *m, const struct qube__machine_spec *s,
		   const struct qube__xen_kernel *k)
{
	qube__autofree char *cmdline = command_line(s);
	char record[512];
	uint64_t start_kb = s->memory_start_bytes / 1024;
	struct qube__xl_msg create = {
		.type = QUBE__XL_CREATE,
		.id = 1, /* another one when it is given */
		.deadline_ms = CREATE_MS,
		.vcpus = s->vcpus ? s->vcpus : 1,
		.max_kb = s->memory_bytes / 1024,
		.memory_kb = start_kb && start_kb * 1024 < s->memory_bytes ? start_kb :
									     s->memory_bytes / 1024,
		.name = s->name,
		.kernel = k->image,
		.ramdisk = k->ramdisk,
		.cmdline = cmdline,
		.record = record,
	};
	int r = kind_of(&create.kind, s->virt_mode);

	if (r == 0 && !cmdline)
		r = qube__fail(QUBE_E_INVALID, "a name that is no word of a command line");
	if (r == 0 && qube__xen_uuid_parse(m->uuid, s->uuid) < 0)
		r = qube__fail(QUBE_E_INVALID, "a qube without a proper uuid");
	if (r == 0)
		r = fill_record(m, s);
	if (r == 0)
		r = add_disk(&create, DISK_ROOT, &s->root, "root");
	if (r == 0)
		r = add_disk(&create, DISK_PRIVATE, &s->private_volume, "private");
	if (r == 0)
		r = add_disk(&create, DISK_VOLATILE, &s->volatile_volume, "volatile");
	if (k->modules)
		create.disks[create.n_disks++] =
			(struct qube__xl_disk){ .slot = DISK_MODULES, .path = k->modules };
	if (r < 0)
		return r;
	memcpy(create.uuid, m->uuid, sizeof(create.uuid));
	r = qube__xen_record_put(record, sizeof(record), &m->record);
	return r < 0 ? qube__fail(r, "a record that is too long") : keep_order(m, &create);
}

static int give(struct qube__xen_machine *m)
{
	struct qube__xl_msg create;
	int r = qube__xl_decode(&create, m->order, m->order_len);

	if (r == 0)
		r = qube__xen_mark(m);
	if (r == 0)
		r = qube__xen_helper_order(&m->d->maker, &create);
	if (r < 0)
		return r;
	free(m->order);
	m->order = NULL;
	m->state = QUBE__XEN_CREATING;
	return 0;
}

void qube__xen_make(struct qube__xen_machine *m)
{
	if (give(m) < 0)
		qube__xen_fail(m);
}

int qube__xen_create(struct qube__driver *base, struct qube__machine **out, void *machine_user,
		     const struct qube__machine_spec *spec)
{
	struct qube__xen_driver *d = qube__container_of(base, struct qube__xen_driver, base);
	struct qube__xen_machine *m;
	struct qube__xen_kernel *k;
	int made;
	int r;

	if (!spec->kernel || !*spec->kernel)
		return qube__fail(QUBE_E_STATE,
				  "%s has no kernel: set its property kernel, or default_kernel of "
				  "all",
				  spec->name);
	made = qube__xen_kernel(&k, d, spec->kernel);
	if (made < 0)
		return made;
	m = qube__xen_machine_new(d);
	if (!m)
		return qube__fail_nomem();
	m->user = machine_user;
	m->state = QUBE__XEN_PREPARING;
	m->kernel = k;
	r = prepare(m, spec, k);
	if (r == 0 && made == 0)
		r = give(m);
	if (r < 0) {
		qube__xen_unmark(m);
		qube__xen_machine_free(m);
		return r;
	}
	*out = &m->base;
	return 0;
}
