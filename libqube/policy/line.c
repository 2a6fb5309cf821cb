/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Columns and parameters of one rule, policy.md 2 to 4. The columns are checked in the order that
 * the format prescribes, so the first mistake is the one that is reported. */
#include "policy/rules.h"

#include <qube/error.h>

#include <string.h>

#define ADMIN_UUID "uuid:00000000-0000-0000-0000-000000000000"

static bool text_is(const char *s, size_t len, const char *want)
{
	return len == strlen(want) && !memcmp(s, want, len);
}

static bool text_begins(const char *s, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && !memcmp(s, prefix, n);
}

static int spelled_prefixed(struct qube__policy_spelled *out, const char *s, size_t len)
{
	/* The longest prefix wins, so @dispvm:@tag: stands in front of @dispvm:. */
	static const struct {
		const char *prefix;
		enum qube__policy_kind kind;
	} table[] = {
		{ "@dispvm:@tag:", QUBE__PK_DISPVM_TAG },
		{ "@dispvm:uuid:", QUBE__PK_DISPVM_UUID },
		{ "@dispvm:", QUBE__PK_DISPVM_NAME },
		{ "@tag:", QUBE__PK_TAG },
		{ "@type:", QUBE__PK_TYPE },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t n = strlen(table[i].prefix);

		if (!text_begins(s, len, table[i].prefix))
			continue;
		if (len == n || s[n] == '@')
			return QUBE_E_PROTO;
		*out = (struct qube__policy_spelled){ table[i].kind, s + n, len - n };
		return 0;
	}
	return QUBE_E_PROTO;
}

int qube__policy_spelled_parse(struct qube__policy_spelled *out, const char *s, size_t len)
{
#define WORD(text, kind)                                                                           \
	{                                                                                          \
		text, sizeof(text) - 1, kind                                                       \
	}
	static const struct {
		const char *text;
		size_t len;
		enum qube__policy_kind kind;
	} words[] = {
		WORD("dom0", QUBE__PK_ADMIN),	  WORD("*", QUBE__PK_STAR),
		WORD("@anyvm", QUBE__PK_ANYVM),	  WORD("@adminvm", QUBE__PK_ADMIN),
		WORD(ADMIN_UUID, QUBE__PK_ADMIN), WORD("@default", QUBE__PK_DEFAULT),
		WORD("@dispvm", QUBE__PK_DISPVM),
	};
#undef WORD

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (len == words[i].len && !memcmp(s, words[i].text, len)) {
			*out = (struct qube__policy_spelled){ words[i].kind, s + len, 0 };
			return 0;
		}
	}
	if (!len)
		return QUBE_E_PROTO;
	if (s[0] == '@')
		return spelled_prefixed(out, s, len);
	if (text_begins(s, len, "uuid:"))
		*out = (struct qube__policy_spelled){ QUBE__PK_UUID, s + 5, len - 5 };
	else
		*out = (struct qube__policy_spelled){ QUBE__PK_NAME, s, len };
	return 0;
}

bool qube__policy_kind_allowed(enum qube__policy_kind kind, enum qube__policy_place place)
{
	enum {
		S = QUBE__PP_SOURCE,
		T = QUBE__PP_TARGET,
		D = QUBE__PP_REDIRECT,
		R = QUBE__PP_REQUEST,
	};
	static const unsigned char table[] = {
		/* policy.md 3 */
		[QUBE__PK_STAR] = S | T,
		[QUBE__PK_ADMIN] = S | T | D | R,
		[QUBE__PK_ANYVM] = S | T,
		[QUBE__PK_DEFAULT] = T | R,
		[QUBE__PK_DISPVM] = T | D | R,
		[QUBE__PK_NAME] = S | T | D | R,
		[QUBE__PK_UUID] = S | T | D | R,
		[QUBE__PK_TYPE] = S | T,
		[QUBE__PK_TAG] = S | T,
		[QUBE__PK_DISPVM_NAME] = S | T | D | R,
		[QUBE__PK_DISPVM_UUID] = S | T | D | R,
		[QUBE__PK_DISPVM_TAG] = S | T,
	};

	return (size_t)kind < sizeof(table) && (table[kind] & place);
}

int qube__policy_token_make(struct qube__policy_rules *r, struct qube__policy_token *out,
			    const char *s, size_t len, enum qube__policy_place place,
			    const char **why)
{
	struct qube__policy_token token = { 0 };
	struct qube__policy_spelled sp;

	if (len > QUBE__POLICY_TOKEN_MAX) {
		*why = "over-long name";
		return QUBE_E_PROTO;
	}
	if (qube__policy_spelled_parse(&sp, s, len) < 0) {
		*why = "unknown or incomplete keyword";
		return QUBE_E_PROTO;
	}
	if (!qube__policy_kind_allowed(sp.kind, place)) {
		*why = place == QUBE__PP_SOURCE ? "not allowed as a source" :
		       place == QUBE__PP_TARGET ? "not allowed as a target" :
						  "not allowed as a redirection";
		return QUBE_E_PROTO;
	}
	token.kind = sp.kind;
	token.value_at = (uint32_t)(sp.value - s);
	if (qube__policy_intern(r, &token.id, NULL, sp.kind, sp.value, sp.len) < 0 ||
	    qube__policy_intern(r, NULL, &token.text, QUBE__PK_TEXT, s, len) < 0)
		return QUBE_E_NOMEM;
	*out = token;
	return 0;
}

static bool is_service_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_';
}

int qube__policy_line_service(struct qube__policy_rules *r, struct qube__policy_token *service,
			      const struct qube__policy_word *w, const char **why)
{
	bool good = w->len > 0 && w->len <= QUBE__POLICY_SERVICE_MAX;

	if (text_is(w->s, w->len, "*")) {
		*service = (struct qube__policy_token){ .text = "*", .id = QUBE__PK_STAR };
		return 0;
	}
	for (size_t i = 0; good && i < w->len; i++)
		good = is_service_char(w->s[i]);
	if (!good) {
		*why = "not a service";
		return QUBE_E_PROTO;
	}
	service->kind = QUBE__PK_SERVICE;
	service->value_at = 0;
	return qube__policy_intern(r, &service->id, &service->text, QUBE__PK_SERVICE, w->s, w->len);
}

int qube__policy_line_argument(struct qube__policy_rules *r, struct qube__policy_token *argument,
			       const struct qube__policy_token *service,
			       const struct qube__policy_word *w, const char **why)
{
	bool good = w->len > 0 && w->s[0] == '+';

	if (text_is(w->s, w->len, "*")) {
		*argument = (struct qube__policy_token){ .text = "*", .id = QUBE__PK_STAR };
		return 0;
	}
	for (size_t i = 1; good && i < w->len; i++)
		good = is_service_char(w->s[i]) || w->s[i] == '+';
	if (!good) {
		*why = "not an argument (\"*\", or \"+\" and letters)";
		return QUBE_E_PROTO;
	}
	if (service->kind == QUBE__PK_STAR) {
		*why = "every service needs every argument, \"*\"";
		return QUBE_E_PROTO;
	}
	argument->kind = QUBE__PK_ARGUMENT;
	argument->value_at = 0;
	return qube__policy_intern(r, &argument->id, &argument->text, QUBE__PK_ARGUMENT, w->s,
				   w->len);
}

static int take_bool(bool *out, const char *s, size_t len, const char **why)
{
	if (text_is(s, len, "yes")) {
		*out = true;
	} else if (text_is(s, len, "no")) {
		*out = false;
	} else {
		*why = "neither yes nor no";
		return QUBE_E_PROTO;
	}
	return 0;
}

enum { P_TARGET = 1, P_DEFAULT = 2, P_USER = 4, P_NOTIFY = 8, P_AUTOSTART = 16 };

static unsigned int param_bit(const char *s, size_t len)
{
	static const struct {
		const char *name;
		unsigned int bit;
	} table[] = {
		{ "target", P_TARGET }, { "default_target", P_DEFAULT }, { "user", P_USER },
		{ "notify", P_NOTIFY }, { "autostart", P_AUTOSTART },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (text_is(s, len, table[i].name))
			return table[i].bit;
	return 0;
}

static int take_param(struct qube__policy_rules *r, struct qube__policy_rule *rule,
		      unsigned int *seen, const struct qube__policy_word *w, const char **why)
{
	static const unsigned int legal[] = {
		[QUBE__PA_ALLOW] = P_TARGET | P_USER | P_NOTIFY | P_AUTOSTART,
		[QUBE__PA_ASK] = P_TARGET | P_DEFAULT | P_USER | P_NOTIFY | P_AUTOSTART,
		[QUBE__PA_DENY] = P_NOTIFY,
	};
	const char *eq = memchr(w->s, '=', w->len);
	const char *value;
	size_t len;
	unsigned int bit;

	if (!eq) {
		*why = "a parameter without \"=\"";
		return QUBE_E_PROTO;
	}
	value = eq + 1;
	len = w->len - (size_t)(value - w->s);
	bit = param_bit(w->s, (size_t)(eq - w->s));
	if (!(legal[rule->action] & bit)) {
		*why = "not a parameter of this action";
		return QUBE_E_PROTO;
	}
	if (*seen & bit) {
		*why = "a repeated parameter";
		return QUBE_E_PROTO;
	}
	*seen |= bit;
	if (bit == P_NOTIFY)
		return take_bool(&rule->notify, value, len, why);
	if (bit == P_AUTOSTART)
		return take_bool(&rule->autostart, value, len, why);
	if (bit == P_TARGET)
		return qube__policy_token_make(r, &rule->redirect, value, len, QUBE__PP_REDIRECT,
					       why);
	if (bit == P_DEFAULT)
		return qube__policy_token_make(r, &rule->default_target, value, len,
					       QUBE__PP_REDIRECT, why);
	return len ? qube__policy_intern(r, NULL, &rule->user, QUBE__PK_TEXT, value, len) : 0;
}

static int take_action(struct qube__policy_rule *rule, const struct qube__policy_word *w,
		       const char **why)
{
	rule->autostart = true;
	if (text_is(w->s, w->len, "allow")) {
		rule->action = QUBE__PA_ALLOW;
	} else if (text_is(w->s, w->len, "ask")) {
		rule->action = QUBE__PA_ASK;
	} else if (text_is(w->s, w->len, "deny")) {
		rule->action = QUBE__PA_DENY;
		rule->notify = true;
	} else {
		*why = "neither allow nor ask nor deny";
		return QUBE_E_PROTO;
	}
	return 0;
}

int qube__policy_line_rule(struct qube__policy_rules *r, const struct qube__policy_line *line,
			   const char **why, const struct qube__policy_word **word)
{
	struct qube__policy_rule rule = { .file = line->file, .line = line->line };
	const struct qube__policy_word *w = line->words;
	const struct qube__policy_word *end = line->words + line->n;
	unsigned int seen = 0;
	int e = 0;

	*word = NULL;
	*why = "too few columns";
	if (line->n < (line->service ? 3u : 5u))
		return QUBE_E_PROTO;
	if (line->service) {
		rule.service = *line->service;
		rule.argument = *line->argument;
	} else {
		*word = w;
		e = qube__policy_line_service(r, &rule.service, w++, why);
		if (e == 0) {
			*word = w;
			e = qube__policy_line_argument(r, &rule.argument, &rule.service, w++, why);
		}
		if (e < 0)
			return e;
	}
	*word = w;
	e = qube__policy_token_make(r, &rule.source, w->s, w->len, QUBE__PP_SOURCE, why);
	if (e < 0)
		return e;
	*word = ++w;
	e = qube__policy_token_make(r, &rule.target, w->s, w->len, QUBE__PP_TARGET, why);
	if (e < 0)
		return e;
	*word = ++w;
	e = take_action(&rule, w, why);
	for (w++; e == 0 && w < end; w++) {
		*word = w;
		e = take_param(r, &rule, &seen, w, why);
	}
	if (e < 0)
		return e;
	*word = NULL;
	if (rule.action == QUBE__PA_ALLOW && rule.target.kind == QUBE__PK_DEFAULT &&
	    !rule.redirect.text) {
		*why = "to allow @default, target= must say which qube";
		return QUBE_E_PROTO;
	}
	return qube__policy_rules_add(r, &rule);
}
