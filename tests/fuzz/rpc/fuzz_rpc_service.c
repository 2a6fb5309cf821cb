/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The agent's text parsers: command, service configuration, passwd, group. First byte picks. */
/* The assertions are the target's point, in every kind of build. */
#undef NDEBUG
#include "rpc/service.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void command(const uint8_t *p, size_t n)
{
	struct qube__command c;
	char *text = malloc(n + 1);

	memcpy(text, p, n);
	text[n] = '\0';
	if (qube__command_parse(&c, text) == 0) {
		assert(c.user[0]);
		if (c.is_service)
			assert(qube__qrexec_service_ok(c.descriptor, c.descriptor_len) &&
			       !strchr(c.name, '/') && c.source[0]);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qube__service_config config;
	struct qube__user u;
	uint32_t line;

	if (!size)
		return 0;
	switch (data[0] % 3) {
	case 0:
		command(data + 1, size - 1);
		break;
	case 1:
		if (qube__service_config_parse(&config, &line, data + 1, size - 1) == 0)
			assert(strlen(config.force_user) < sizeof(config.force_user));
		break;
	default:
		if (qube__passwd_parse(&u, "user", data + 1, size - 1) == 0) {
			assert(u.home[0] == '/' && u.shell[0] == '/' && u.uid != UINT32_MAX);
			qube__group_parse(&u, data + 1, size - 1);
			assert(u.n_groups <= QUBE__GROUPS_MAX);
		}
	}
	return 0;
}
