/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The policy of this host. */
#include "core/rules.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Both directories must exist (policy.md 1), and what is under /run goes with each boot: ours to
 * make. A failure shows when the policy is loaded. */
static void make_run_rules(const char *path)
{
	qube__autofree char *parent = strdup(path);
	char *slash = parent ? strrchr(parent, '/') : NULL;

	if (slash && slash != parent) {
		*slash = '\0';
		mkdir(parent, 0755);
	}
	mkdir(path, 0755);
}

static int set_dirs(struct qube__rules *p, const char *root)
{
	if (root) {
		p->etc_dir = qube__text_format("%s/policy.d", root);
		p->run_dir = qube__text_format("%s/run.d", root);
		p->legacy_dir = qube__text_format("%s/legacy", root);
	} else {
		p->etc_dir = strdup("/etc/qubes/policy.d");
		p->run_dir = strdup("/run/qubes/policy.d");
		p->legacy_dir = strdup("/etc/qubes-rpc/policy");
	}
	if (!p->etc_dir || !p->run_dir || !p->legacy_dir)
		return qube__fail_nomem();
	make_run_rules(p->run_dir);
	p->dirs = (struct qube__policy_dirs){
		.etc_dir = p->etc_dir,
		.run_dir = p->run_dir,
		.legacy_dir = p->legacy_dir,
	};
	return 0;
}

static void tell_state(struct qube__rules *p)
{
	qube_ctx *ctx = &p->host->ctx;
	const char *file = NULL;
	uint32_t line = 0;
	const char *text;
	char number[16] = "";

	if (qube__policy_rules_state(p->rules) == QUBE__POLICY_USABLE) {
		qube__ctx_log(ctx, 6, "policy loaded: %zu rules",
			      qube__policy_rules_count(p->rules));
		qube__ctx_emit(ctx, "", "policy-loaded", NULL);
		return;
	}
	text = qube__policy_rules_error(p->rules, &file, &line);
	qube__ctx_log(ctx, 3, "the policy does not load and every call is refused: %s:%u: %s",
		      file ? file : "-", line, text);
	if (line) {
		char *s = qube__text_format("%u", line);

		if (s)
			qube__text_copy(number, sizeof(number), s);
		free(s);
	}
	qube__ctx_emit(ctx, "", "policy-error", "file", file ? file : "", "line", number, "text",
		       text, NULL);
}

static void on_change(struct qube__source *s, uint32_t revents);

static int load(struct qube__rules *p)
{
	struct qube__policy_rules *rules = NULL;
	int r;

	qube__source_remove(&p->host->ctx.loop, &p->source);
	r = qube__policy_load_watched(&rules, &p->watch, &p->dirs);
	if (r < 0) {
		qube__ctx_log(&p->host->ctx, 4, "policy files are not watched: %s",
			      qube_error_last()->message);
		r = qube__policy_load(&rules, &p->dirs);
	}
	if (r < 0)
		return r;
	if (p->watch.fd >= 0 &&
	    qube__source_add(&p->host->ctx.loop, &p->source, p->watch.fd, EPOLLIN, on_change) < 0)
		qube__ctx_log(&p->host->ctx, 4, "policy files are looked at when a call is made");
	qube__policy_rules_unref(p->rules);
	p->rules = rules;
	tell_state(p);
	return 0;
}

static void on_change(struct qube__source *s, uint32_t revents)
{
	struct qube__rules *p = qube__container_of(s, struct qube__rules, source);

	(void)revents;
	if (qube__policy_watch_check(&p->watch) && load(p) < 0)
		qube__ctx_log(&p->host->ctx, 3, "the policy could not be loaded again: %s",
			      qube_error_last()->message);
}

int qube__rules_open(struct qube__host *h)
{
	struct qube__rules *p;
	int r;

	if (h->ctx.mode == QUBE_MODE_FAKE && !h->policy_root)
		return 0; /* nothing calls anything */
	p = calloc(1, sizeof(*p));
	if (!p)
		return qube__fail_nomem();
	p->host = h;
	p->watch.fd = -1;
	h->rules = p;
	r = set_dirs(p, h->policy_root);
	if (r < 0)
		return r;
	return load(p);
}

void qube__rules_close(struct qube__host *h)
{
	struct qube__rules *p = h->rules;

	if (!p)
		return;
	qube__source_remove(&h->ctx.loop, &p->source);
	if (p->watch.fd >= 0)
		qube__policy_watch_fini(&p->watch);
	qube__policy_rules_unref(p->rules);
	qube__policy_system_fini(&p->system);
	free(p->etc_dir);
	free(p->run_dir);
	free(p->legacy_dir);
	free(p);
	h->rules = NULL;
}

static int refresh(struct qube__rules *p)
{
	struct qube__model *m = p->host->model;
	struct qube__policy_system fresh = { 0 };
	struct qube__vm *vm;
	int r = 0;

	if (p->fresh && p->generation == m->generation)
		return 0;
	for (vm = NULL; r == 0 && (vm = qube__model_next(m, vm));) {
		struct qube__vm_view v;

		r = qube__vm_view(&v, vm);
		if (r < 0)
			break;
		r = qube__policy_system_put(&fresh,
					    &(struct qube__policy_qube){
						    .name = v.name,
						    .type = v.type,
						    .uuid = v.uuid,
						    .power_state = v.power_state,
						    .default_dispvm = v.default_dispvm,
						    .guivm = v.guivm,
						    .relayvm = v.relayvm,
						    .transport_rpc = v.transport_rpc,
						    .tags = (const char *const *)v.tags,
						    .n_tags = v.n_tags,
						    .template_for_dispvms = v.template_for_dispvms,
						    .internal = v.internal,
					    });
		qube__vm_view_fini(&v);
	}
	if (r < 0) {
		qube__policy_system_fini(&fresh);
		return r == QUBE_E_NOMEM ? qube__fail_nomem() :
					   qube__fail(r, "the policy cannot see the system");
	}
	qube__policy_system_fini(&p->system);
	p->system = fresh;
	p->generation = m->generation;
	p->fresh = true;
	return 0;
}

int qube__rules_evaluate(struct qube__policy_result *out, struct qube__host *h,
			 const struct qube__policy_request *req)
{
	struct qube__rules *p = h->rules;
	int r;

	if (!p)
		return qube__fail(QUBE_E_NOTSUP, "this host has no policy");
	if (p->watch.fd >= 0 && qube__policy_watch_check(&p->watch)) {
		r = load(p);
		if (r < 0)
			return r;
	}
	r = refresh(p);
	if (r < 0)
		return r;
	r = qube__policy_evaluate(out, p->rules, &p->system, req);
	return r < 0 ? qube__fail_nomem() : 0;
}
