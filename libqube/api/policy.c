/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * policy.h: checks arguments and calls the policy room. */
#include <qube/policy.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/opts.h"
#include "base/text.h"
#include "policy/policy.h"
#include "wire/json.h"

#include <string.h>

struct qube_policy {
	unsigned int refs;
	char *etc_dir;
	char *run_dir;
	char *legacy_dir;
	bool watching;
	struct qube__policy_watch watch;
	struct qube__policy_rules *rules;
	struct qube__policy_system system;
	bool decided;
	struct qube__policy_result last;
	struct qube__policy_rules *near_rules; /* what the explanation borrows from */
	struct qube__policy_explanation why;
};

static const char *const columns[] = { "", "service", "argument", "source", "target" };

static struct qube__policy_dirs dirs_of(const qube_policy *p)
{
	return (struct qube__policy_dirs){ p->etc_dir, p->run_dir, p->legacy_dir };
}

static int load(qube_policy *p)
{
	struct qube__policy_dirs dirs = dirs_of(p);
	struct qube__policy_rules *rules;
	int r = p->watching ? qube__policy_load_watched(&rules, &p->watch, &dirs) :
			      qube__policy_load(&rules, &dirs);

	if (r < 0)
		return r;
	qube__policy_rules_unref(p->rules);
	p->rules = rules;
	return 0;
}

static int refresh(qube_policy *p)
{
	return p->watching && qube__policy_watch_check(&p->watch) ? load(p) : 0;
}

static char *dir_or(const char *dir, const char *usual)
{
	return strdup(dir ? dir : usual);
}

QUBE_API int qube_policy_open(qube_policy **out, const struct qube_policy_opts *opts)
{
	struct qube_policy_opts o;
	qube_policy *p;
	int r;

	qube__err_enter(__func__);
	if (!out)
		return qube__fail(QUBE_E_INVALID, "out is NULL");
	r = qube__opts_import(&o, sizeof(o), sizeof(o), opts);
	if (r < 0)
		return r;
	if (o.flags & ~(uint32_t)QUBE_POLICY_WATCH)
		return qube__fail(QUBE_E_INVALID, "unknown flags 0x%x", o.flags);
	p = calloc(1, sizeof(*p));
	if (!p)
		return qube__fail_nomem();
	p->refs = 1;
	p->watch.fd = -1;
	p->watching = o.flags & QUBE_POLICY_WATCH;
	p->etc_dir = dir_or(o.etc_dir, "/etc/qubes/policy.d");
	p->run_dir = dir_or(o.run_dir, "/run/qubes/policy.d");
	p->legacy_dir = dir_or(o.legacy_dir, "/etc/qubes-rpc/policy");
	r = p->etc_dir && p->run_dir && p->legacy_dir ? load(p) : qube__fail_nomem();
	if (r < 0) {
		qube_policy_unref(p);
		return r;
	}
	*out = p;
	return 0;
}

QUBE_API qube_policy *qube_policy_ref(qube_policy *policy)
{
	policy->refs++;
	return policy;
}

QUBE_API void qube_policy_unref(qube_policy *policy)
{
	if (!policy || --policy->refs)
		return;
	qube__policy_result_fini(&policy->last);
	qube__policy_rules_unref(policy->near_rules);
	qube__policy_watch_fini(&policy->watch);
	qube__policy_rules_unref(policy->rules);
	qube__policy_system_fini(&policy->system);
	free(policy->etc_dir);
	free(policy->run_dir);
	free(policy->legacy_dir);
	free(policy);
}

QUBE_API int qube_policy_get_fd(qube_policy *policy)
{
	return policy->watch.fd;
}

QUBE_API int qube_policy_reload(qube_policy *policy)
{
	qube__err_enter(__func__);
	if (!policy)
		return qube__fail(QUBE_E_INVALID, "policy is NULL");
	return load(policy);
}

QUBE_API int qube_policy_check(qube_policy *policy)
{
	const char *file;
	const char *text;
	uint32_t line;
	int r;

	qube__err_enter(__func__);
	if (!policy)
		return qube__fail(QUBE_E_INVALID, "policy is NULL");
	r = refresh(policy);
	if (r < 0)
		return r;
	text = qube__policy_rules_error(policy->rules, &file, &line);
	if (!text)
		return (int)qube__policy_rules_count(policy->rules);
	return qube__fail_rule(qube__policy_rules_state(policy->rules) == QUBE__POLICY_BAD_CONFIG ?
				       QUBE_E_STATE :
				       QUBE_E_INVALID,
			       file ? file : "", line, "%s", text);
}

QUBE_API int qube_policy_load_system_json(qube_policy *policy, const char *text, size_t len)
{
	qube__err_enter(__func__);
	if (!policy || !text)
		return qube__fail(QUBE_E_INVALID, "%s is NULL", policy ? "text" : "policy");
	return qube__policy_system_from_json(&policy->system, text, len);
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

/* out was checked to hold a plausible size. */
static void fill(struct qube_policy_result *out, const struct qube__policy_result *res)
{
	struct qube_policy_result full = {
		.size = out->size,
		.result = (uint32_t)res->verdict,
		.notify = res->notify,
		.autostart = res->autostart,
		.cause = qube__policy_cause_name(res->cause),
		.explanation = qube__policy_cause_text(res->cause),
		.user = or_empty(res->user),
		.target = res->target,
		.target_uuid = res->target_uuid,
		.requested_target = res->requested_target,
		.service = or_empty(res->service),
		.policy_source = res->policy_source,
		.default_target = res->default_target,
		.guivm = res->guivm,
		.notify_guivm = res->notify_guivm,
		.file = res->file,
		.text = res->text,
		.targets = (const char *const *)res->targets,
		.n_targets = (uint32_t)res->n_targets,
		.line = res->line,
	};
	size_t size = out->size;

	memset(out, 0, size);
	memcpy(out, &full, size < sizeof(full) ? size : sizeof(full));
}

static int check_size(uint32_t size, size_t v1_size)
{
	return size < v1_size || size > 4096 ?
		       qube__fail(QUBE_E_INVALID, "size %u is not plausible", size) :
		       0;
}

static int decide(struct qube_policy_result *out, qube_policy *p,
		  const struct qube_policy_request *req, bool explain)
{
	struct qube_policy_request o;
	struct qube__policy_result res;
	struct qube__policy_request plain;
	int r;

	if (!out || !p || !req)
		return qube__fail(QUBE_E_INVALID, "%s is NULL",
				  !out ? "out" :
				  !p   ? "policy" :
					 "req");
	r = check_size(out->size, sizeof(*out));
	if (r == 0)
		r = qube__opts_import(&o, sizeof(o), sizeof(o), req);
	if (r < 0)
		return r;
	if (o.flags || !o.source || !o.service)
		return qube__fail(QUBE_E_INVALID, "%s",
				  o.flags   ? "unknown flags" :
				  !o.source ? "source is NULL" :
					      "service is NULL");
	r = refresh(p);
	if (r < 0)
		return r;
	plain = (struct qube__policy_request){ o.source, o.target, o.service, o.argument,
					       o.requested_source };
	if (qube__policy_evaluate(&res, p->rules, &p->system, &plain) < 0)
		return qube__fail_nomem();
	qube__policy_result_fini(&p->last);
	qube__policy_rules_unref(p->near_rules);
	p->near_rules = NULL;
	p->why.n_near = 0;
	p->why.omitted = 0;
	if (explain) {
		p->near_rules = qube__policy_rules_ref(p->rules);
		qube__policy_explain(&p->why, p->rules, &p->system, &plain);
	}
	p->last = res;
	p->decided = true;
	fill(out, &p->last);
	return 0;
}

QUBE_API int qube_policy_evaluate(struct qube_policy_result *out, qube_policy *policy,
				  const struct qube_policy_request *req)
{
	qube__err_enter(__func__);
	return decide(out, policy, req, false);
}

QUBE_API int qube_policy_answer(struct qube_policy_result *out, qube_policy *policy,
				const char *answer)
{
	int r;

	qube__err_enter(__func__);
	if (!out || !policy || !answer)
		return qube__fail(QUBE_E_INVALID, "%s is NULL",
				  !out	  ? "out" :
				  !policy ? "policy" :
					    "answer");
	r = check_size(out->size, sizeof(*out));
	if (r < 0)
		return r;
	if (!policy->decided || policy->last.verdict != QUBE__POLICY_ASK)
		return qube__fail(QUBE_E_STATE, "nothing was asked");
	if (qube__policy_answer(&policy->last, &policy->system, answer) < 0)
		return qube__fail_nomem();
	fill(out, &policy->last);
	return 0;
}

QUBE_API int qube_policy_explain(struct qube_policy_result *out, qube_policy *policy,
				 const struct qube_policy_request *req)
{
	int r;

	qube__err_enter(__func__);
	r = decide(out, policy, req, true);
	return r < 0 ? r : (int)policy->why.n_near;
}

/* out was checked to hold a plausible size. */
static void fill_near(struct qube_policy_near *out, const struct qube__policy_near *n)
{
	struct qube_policy_near full = {
		.size = out->size,
		.column = (uint32_t)n->column,
		.file = n->file,
		.service = n->service,
		.argument = n->argument,
		.source = n->source,
		.target = n->target,
		.action = n->action,
		.line = n->line,
	};
	size_t size = out->size;

	memset(out, 0, size);
	memcpy(out, &full, size < sizeof(full) ? size : sizeof(full));
}

static int check_near(const struct qube_policy_near *out, const qube_policy *policy)
{
	if (!out || !policy)
		return qube__fail(QUBE_E_INVALID, "%s is NULL", out ? "policy" : "out");
	return check_size(out->size, sizeof(*out));
}

QUBE_API int qube_policy_near_get(struct qube_policy_near *out, qube_policy *policy, uint32_t index)
{
	int r;

	qube__err_enter(__func__);
	r = check_near(out, policy);
	if (r < 0)
		return r;
	if (index >= policy->why.n_near)
		return qube__fail(QUBE_E_NOENT, "no rule %u in the explanation", index);
	fill_near(out, &policy->why.near[index]);
	return 0;
}

QUBE_API int qube_policy_rule_get(struct qube_policy_near *out, qube_policy *policy, uint32_t index)
{
	struct qube__policy_near n;
	int r;

	qube__err_enter(__func__);
	r = check_near(out, policy);
	if (r < 0)
		return r;
	if (qube__policy_rules_get(&n, policy->rules, index) < 0)
		return qube__fail(QUBE_E_NOENT, "the policy has no rule %u", index);
	fill_near(out, &n);
	return 0;
}

QUBE_API int qube_policy_qube_get(const char **out, qube_policy *policy, uint32_t index)
{
	qube__err_enter(__func__);
	if (!out || !policy)
		return qube__fail(QUBE_E_INVALID, "%s is NULL", out ? "policy" : "out");
	if (index >= policy->system.count)
		return qube__fail(QUBE_E_NOENT, "the policy knows %zu qubes", policy->system.count);
	*out = policy->system.list[index]->name.s;
	return 0;
}

/* The name of a file may be any bytes; JSON's texts may not. */
static int set_text(struct qube__json *o, const char *key, const char *s)
{
	int r = qube__json_set_string(o, key, s);
	char shown[1024];

	if (r != QUBE_E_INVALID)
		return r;
	return qube__json_set_string(o, key, qube__text_escape(shown, sizeof(shown), s, strlen(s)));
}

static int set_opt(struct qube__json *o, const char *key, const char *s)
{
	return s && *s ? set_text(o, key, s) : 0;
}

static int put_targets(struct qube__json *o, const struct qube__policy_result *res)
{
	struct qube__json *list = NULL;
	int r = qube__json_new_array(&list);

	for (size_t i = 0; i < res->n_targets && r == 0; i++)
		r = qube__json_append_string(list, res->targets[i]);
	if (r < 0) {
		qube__json_free(list);
		return r;
	}
	r = qube__json_set(o, "targets", list);
	if (r == 0)
		r = *res->default_target ?
			    qube__json_set_string(o, "default_target", res->default_target) :
			    qube__json_set_null(o, "default_target");
	return r;
}

static int put_near(struct qube__json *list, const struct qube__policy_near *n)
{
	struct qube__json *o = NULL;
	int r = qube__json_new_object(&o);

	if (r == 0)
		r = set_text(o, "file", n->file);
	if (r == 0)
		r = qube__json_set_int(o, "line", n->line);
	if (r == 0)
		r = qube__json_set_string(o, "differs", columns[n->column]);
	if (r == 0)
		r = qube__json_set_string(o, "service", n->service);
	if (r == 0)
		r = qube__json_set_string(o, "argument", n->argument);
	if (r == 0)
		r = set_text(o, "source", n->source);
	if (r == 0)
		r = set_text(o, "target", n->target);
	if (r == 0)
		r = qube__json_set_string(o, "action", n->action);
	if (r < 0) {
		qube__json_free(o);
		return r;
	}
	return qube__json_append(list, o);
}

static int put_why(struct qube__json *o, const qube_policy *p)
{
	struct qube__json *list = NULL;
	int r = qube__json_new_array(&list);

	for (size_t i = 0; i < p->why.n_near && r == 0; i++)
		r = put_near(list, &p->why.near[i]);
	if (r < 0) {
		qube__json_free(list);
		return r;
	}
	r = qube__json_set(o, "near", list);
	if (r == 0)
		r = qube__json_set_int(o, "near_omitted", (int64_t)p->why.omitted);
	return r;
}

/* What an allow and an ask have in common, and what each has alone. */
static int put_granted(struct qube__json *o, const struct qube__policy_result *res)
{
	int r = set_text(o, "user", or_empty(res->user));

	if (r == 0)
		r = qube__json_set_bool(o, "autostart", res->autostart);
	if (r == 0 && res->verdict == QUBE__POLICY_ASK) {
		r = put_targets(o, res);
		return r < 0 ? r : qube__json_set_string(o, "guivm", res->guivm);
	}
	if (r == 0)
		r = set_text(o, "target", res->target);
	if (r == 0)
		r = set_opt(o, "target_uuid", res->target_uuid);
	if (r == 0)
		r = set_opt(o, "service", res->service);
	return r < 0 ? r : set_opt(o, "policy_source", res->policy_source);
}

static int put_result(struct qube__json *o, const struct qube__policy_result *res)
{
	static const char *const names[] = { "", "allow", "ask", "deny", "policy-error" };
	bool error = res->verdict == QUBE__POLICY_ERROR;
	int r = qube__json_set_string(o, "result", names[res->verdict]);

	if (r == 0 && (res->verdict == QUBE__POLICY_ALLOW || res->verdict == QUBE__POLICY_ASK))
		r = put_granted(o, res);
	if (r == 0)
		r = qube__json_set_bool(o, "notify", res->notify);
	if (r == 0)
		r = set_opt(o, "notify_guivm", res->notify_guivm);
	if (r == 0)
		r = set_opt(o, "requested_target", res->requested_target);
	if (r == 0 && !error)
		r = set_opt(o, "cause", qube__policy_cause_name(res->cause));
	if (r == 0)
		r = set_opt(o, "explanation", qube__policy_cause_text(res->cause));
	if (r == 0)
		r = set_opt(o, "text", res->text);
	if (r == 0)
		r = set_opt(o, "file", res->file);
	if (r == 0 && res->line)
		r = qube__json_set_int(o, "line", res->line);
	/* The number of the deciding rule's line, under the name that readers look for. */
	if (r == 0 && res->line && !res->text)
		r = qube__json_set_int(o, "rule", res->line);
	return r;
}

QUBE_API int qube_policy_result_json(char **out, qube_policy *policy)
{
	qube__autojson *o = NULL;
	char *text;
	int r;

	qube__err_enter(__func__);
	if (!out || !policy)
		return qube__fail(QUBE_E_INVALID, "%s is NULL", out ? "policy" : "out");
	if (!policy->decided)
		return qube__fail(QUBE_E_STATE, "nothing was decided yet");
	r = qube__json_new_object(&o);
	if (r == 0)
		r = put_result(o, &policy->last);
	if (r == 0 && policy->near_rules)
		r = put_why(o, policy);
	if (r == 0)
		r = qube__json_dump(&text, NULL, o, 0);
	if (r < 0)
		return qube__fail_nomem();
	*out = text;
	return 0;
}
