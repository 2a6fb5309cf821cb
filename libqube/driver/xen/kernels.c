/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of qubes: folders of KERNELS/ with a file vmlinuz, and an initramfs of their own, or
 * modules (or a link to such a folder) from which ours is made by qube-initramfs, once by each
 * host; and perhaps modules.img, which is given to each guest as a disk. */
#include "driver/xen/xen.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";

	return *name && *name != '.' && *name != '-' && strlen(name) < QUBE__XEN_KERNEL_MAX &&
	       strspn(name, allowed) == strlen(name);
}

static bool is_there(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

static void kernel_free(struct qube__xen_kernel *k)
{
	qube__list_remove(&k->link);
	if (k->making) {
		qube__source_remove(k->d->env.loop, &k->made);
		kill(k->child.pid, SIGKILL);
		qube__child_reap(&k->child);
	}
	free(k->image);
	free(k->ramdisk);
	free(k->modules);
	free(k);
}

void qube__xen_kernels_free(struct qube__xen_driver *d)
{
	while (!qube__list_empty(&d->kernels))
		kernel_free(qube__container_of(d->kernels.next, struct qube__xen_kernel, link));
}

static void on_made(struct qube__source *s, uint32_t revents)
{
	struct qube__xen_kernel *k = qube__container_of(s, struct qube__xen_kernel, made);
	struct qube__xen_driver *d = k->d;
	struct qube__list *pos;
	struct qube__list *tmp;
	int status;

	(void)revents;
	qube__source_remove(d->env.loop, s);
	status = qube__child_reap(&k->child);
	k->making = false;
	k->ready = status == 0;
	qube__list_foreach_safe (pos, tmp, &d->machines) {
		struct qube__xen_machine *m =
			qube__container_of(pos, struct qube__xen_machine, link);

		if (m->state != QUBE__XEN_PREPARING || m->kernel != k)
			continue;
		m->kernel = NULL;
		if (k->ready) {
			qube__xen_make(m);
			continue;
		}
		qube__fail(QUBE_E_SYSTEM,
			   "no initramfs could be made for kernel %s: qube-initramfs ended with %d",
			   k->name, status);
		qube__xen_fail(m);
	}
	if (!k->ready)
		kernel_free(k); /* the next start tries again */
}

static int make_ramdisk(struct qube__xen_kernel *k, const char *modules)
{
	struct qube__xen_driver *d = k->d;
	qube__autofree char *path = qube__text_format("%s/qube-initramfs", d->libexec_dir);
	qube__autofree char *programs = qube__text_format("%s/guest", d->libexec_dir);
	qube__autofree char *own = qube__text_format("%s/guest-xen", d->libexec_dir);
	qube__autofree char *overlay =
		qube__text_format("%s/kernels/%s/overlay", d->state_dir, k->name);
	const char *argv[] = { "qube-initramfs", "--modules",  modules, "--programs",
			       programs,	 "--programs", own,	"--out",
			       k->ramdisk,	 "--overlay",  overlay, NULL };
	const int fds[] = { -1, -1, 2 };
	struct qube__spawn s = {
		.path = path, .exec_fd = -1, .argv = argv, .fds = fds, .n_fds = 3
	};
	int r;

	if (!path || !programs || !own || !overlay)
		return qube__fail_nomem();
	if (!is_there(overlay))
		argv[9] = NULL;
	r = qube__spawn(&k->child, &s);
	if (r < 0)
		return r;
	k->making = true;
	r = qube__source_add(d->env.loop, &k->made, k->child.pidfd, EPOLLIN, on_made);
	return r < 0 ? r : 1;
}

static int look(struct qube__xen_kernel *k)
{
	const char *state = k->d->state_dir;
	qube__autofree char *own = qube__text_format("%s/kernels/%s/initramfs", state, k->name);
	qube__autofree char *modules = qube__text_format("%s/kernels/%s/modules", state, k->name);

	k->image = qube__text_format("%s/kernels/%s/vmlinuz", state, k->name);
	k->modules = qube__text_format("%s/kernels/%s/modules.img", state, k->name);
	if (!own || !modules || !k->image || !k->modules)
		return qube__fail_nomem();
	if (!is_there(k->modules)) {
		free(k->modules);
		k->modules = NULL;
	}
	if (!is_there(k->image))
		return qube__fail(QUBE_E_NOENT, "there is no kernel %s: %s is missing", k->name,
				  k->image);
	if (is_there(own)) {
		k->ramdisk = qube__steal(own);
		return 0;
	}
	if (!is_there(modules))
		return qube__fail(QUBE_E_NOENT,
				  "kernel %s has neither an initramfs nor modules beside %s",
				  k->name, k->image);
	k->ramdisk = qube__text_format("%s/%s.initramfs", k->d->run_dir, k->name);
	return k->ramdisk ? make_ramdisk(k, modules) : qube__fail_nomem();
}

int qube__xen_kernel(struct qube__xen_kernel **out, struct qube__xen_driver *d, const char *name)
{
	struct qube__xen_kernel *k;
	struct qube__list *pos;
	int r;

	if (!is_name(name))
		return qube__fail(QUBE_E_INVALID, "a kernel with an unusable name");
	qube__list_foreach (pos, &d->kernels) {
		k = qube__container_of(pos, struct qube__xen_kernel, link);
		if (strcmp(k->name, name) == 0) {
			*out = k;
			return k->making;
		}
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return qube__fail_nomem();
	k->d = d;
	qube__list_init(&k->link);
	qube__text_copy(k->name, sizeof(k->name), name);
	r = look(k);
	if (r < 0) {
		kernel_free(k);
		return r;
	}
	k->ready = r == 0;
	qube__list_append(&d->kernels, &k->link);
	*out = k;
	return r;
}
