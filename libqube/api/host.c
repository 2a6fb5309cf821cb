/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * host.h: what this machine can do. */
#include <qube/host.h>

#include "api/api.h"
#include "base/text.h"
#include "driver/driver.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef QUBE_DRIVER_LOCAL
static uint32_t outcome_of(const struct qube__check *c)
{
	if (c->ok)
		return QUBE_CHECK_OK;
	return c->optional ? QUBE_CHECK_WARN : QUBE_CHECK_FAIL;
}
#endif

QUBE_API int qube_host_check(struct qube_check **out, size_t *count, const char *libexec_dir)
{
	struct qube_check *list;
	size_t n = 0;
	uint32_t worst = QUBE_CHECK_OK;

	QUBE__ENTER(out && count);
	list = calloc(QUBE__CHECKS_MAX + 1, sizeof(*list));
	if (!list)
		return qube__fail_nomem();
#ifdef QUBE_DRIVER_LOCAL
	{
		struct qube__check checks[QUBE__CHECKS_MAX];

		n = qube__local_check(checks, libexec_dir ? libexec_dir : QUBE_LIBEXECDIR);
		for (size_t i = 0; i < n; i++) {
			list[i].outcome = outcome_of(&checks[i]);
			snprintf(list[i].name, sizeof(list[i].name), "%s", checks[i].name);
			snprintf(list[i].detail, sizeof(list[i].detail), "%s", checks[i].detail);
		}
	}
#else
	(void)libexec_dir;
	list[0].outcome = QUBE_CHECK_FAIL;
	snprintf(list[0].name, sizeof(list[0].name), "driver");
	snprintf(list[0].detail, sizeof(list[0].detail),
		 "this build has no driver that runs qubes");
	n = 1;
#endif
	for (size_t i = 0; i < n; i++)
		if (list[i].outcome > worst)
			worst = list[i].outcome;
	*out = list;
	*count = n;
	return (int)worst;
}
