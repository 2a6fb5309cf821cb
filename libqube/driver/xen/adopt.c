/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Domains that a host before this one left running. Which are ours say the files in our own folder;
 * what became of them says Xen. One that is not whole, or never ran, is ended; and so is one that
 * nobody wants. */
#include "driver/xen/xen.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { LIST_MS = 20000 };

static int candidate(struct qube__xen_driver *d, int dir, const char *file)
{
	static const char ending[] = ".domain";
	char uuid[QUBE__XEN_UUID_TEXT];
	struct qube__xen_machine *m;
	struct stat st;
	size_t n = strlen(file);

	if (n != sizeof(uuid) - 1 + sizeof(ending) - 1 ||
	    strcmp(file + sizeof(uuid) - 1, ending) != 0)
		return 0;
	memcpy(uuid, file, sizeof(uuid) - 1);
	uuid[sizeof(uuid) - 1] = '\0';
	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	m = qube__xen_machine_new(d);
	if (!m)
		return qube__fail_nomem();
	if (qube__xen_uuid_parse(m->uuid, uuid) < 0) {
		qube__xen_machine_free(m);
		return 0;
	}
	m->state = QUBE__XEN_RUNNING;
	m->ran = st.st_size > 0;
	return 0;
}

static int candidates(struct qube__xen_driver *d)
{
	DIR *dir = opendir(d->run_dir);
	struct dirent *e;
	int r = 0;

	if (!dir)
		return qube__fail_os("cannot read %s", d->run_dir);
	while (r == 0 && (e = readdir(dir)))
		r = candidate(d, dirfd(dir), e->d_name);
	closedir(dir);
	return r;
}

static bool is_wanted(struct qube__xen_machine *m)
{
	const char *layers[] = { m->record.image };
	char uuid[QUBE__XEN_UUID_TEXT];
	struct qube__machine_found found = {
		.name = m->record.name,
		.uuid = uuid,
		.qid = m->record.qid,
		.id_base = m->record.id_base,
		.start_time_ms = m->record.start_ms,
		.paused = m->paused,
		.bound = m->record.bound,
		.layers = layers,
		.n_layers = m->record.image[0] ? 1 : 0,
	};

	if (m->killed || !m->d->env.take)
		return false;
	qube__xen_uuid_text(uuid, m->uuid);
	m->user = m->d->env.take(m->d->env.user, &m->base, &found);
	return m->user != NULL;
}

int qube__xen_adopt(struct qube__xen_driver *d)
{
	struct qube__xl_msg order = { .type = QUBE__XL_LIST };
	uint64_t end = qube__now_ms() + LIST_MS;
	struct qube__list *pos;
	struct qube__list *tmp;
	int r = candidates(d);

	if (r < 0 || qube__list_empty(&d->machines))
		return r;
	d->listing = true;
	r = qube__xen_helper_order(&d->keeper, &order);
	while (r == 0 && !qube__list_empty(&d->keeper.orders))
		if (!qube__xen_helper_turn(&d->keeper, 1000) && qube__now_ms() > end)
			r = qube__fail(QUBE_E_TIMEOUT, "Xen does not say which domains there are");
	d->listing = false;
	/* Nothing is known of them then: they stay marked for who knows more. */
	if (r == 0 && d->list_code < 0)
		r = qube__fail(d->list_code, "Xen does not say which domains there are");
	if (r < 0)
		return r;
	qube__list_foreach_safe (pos, tmp, &d->machines) {
		struct qube__xen_machine *m =
			qube__container_of(pos, struct qube__xen_machine, link);

		if (!m->seen_in) {
			qube__xen_unmark(m);
			qube__xen_machine_free(m);
		} else if (!is_wanted(m)) {
			qube__xen_kill(m);
		}
	}
	return 0;
}
