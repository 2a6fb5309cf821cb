/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is left of a domain that somebody else destroyed while libxenlight attached its disks: what
 * was attached after that nobody takes away, as there is no domain that it would belong to. */
#include "xl.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

enum { PATH_LEN = 192, AGAIN_MS = 500 };

static const char backends[] = "/local/domain/0/backend/vbd";

static bool is_ours(struct xl *x, const char *domid)
{
	char path[PATH_LEN];
	unsigned int n = 0;
	char **devices;
	bool ours = false;

	snprintf(path, sizeof(path), "%s/%s", backends, domid);
	devices = xs_directory(x->xs, XBT_NULL, path, &n);
	for (unsigned int i = 0; devices && i < n && !ours; i++) {
		char *script;
		const char *name;

		snprintf(path, sizeof(path), "%s/%s/%s/script", backends, domid, devices[i]);
		script = xs_read(x->xs, XBT_NULL, path, NULL);
		name = script ? strrchr(script, '/') : NULL;
		ours = name && strcmp(name, "/qube-block") == 0;
		free(script);
	}
	free(devices);
	return ours;
}

static void take_away(struct xl *x, const char *domid)
{
	static const char *const folders[] = { "/local/domain/0/backend/vbd",
					       "/local/domain/0/backend/console", "/local/domain",
					       "/libxl" };

	fprintf(stderr, "qube-xl: domain %s is gone, and its disks are taken away\n", domid);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char path[PATH_LEN];

		snprintf(path, sizeof(path), "%s/%s", folders[i], domid);
		xs_rm(x->xs, XBT_NULL, path);
	}
}

static void sweep(struct qube__timer *t)
{
	struct xl *x = qube__container_of(t, struct xl, sweep);
	unsigned int n = 0;
	char **domids = xs_directory(x->xs, XBT_NULL, backends, &n);
	bool dying = false;

	for (unsigned int i = 0; domids && i < n; i++) {
		libxl_dominfo info;
		uint64_t domid;

		if (qube__text_u64(&domid, domids[i], UINT32_MAX) < 0 || !is_ours(x, domids[i]))
			continue;
		libxl_dominfo_init(&info);
		switch (libxl_domain_info(x->ctx, &info, (uint32_t)domid)) {
		case 0:
			dying = dying || info.dying;
			break;
		case ERROR_DOMAIN_NOTFOUND:
			take_away(x, domids[i]);
			break;
		default:
			break;
		}
		libxl_dominfo_dispose(&info);
	}
	free(domids);
	if (dying)
		qube__timer_set(&x->loop, t, qube__now_ms() + AGAIN_MS);
}

void xl_sweep_init(struct xl *x)
{
	qube__timer_init(&x->sweep, sweep);
	xl_sweep(x);
}

void xl_sweep(struct xl *x)
{
	qube__timer_set(&x->loop, &x->sweep, qube__now_ms());
}
