/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Properties, tags, features, notes, labels over the Admin API. The same handlers serve the global
 * properties (admin.property.*) and those of a qube. */
#include "admin/call.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static bool global(const struct qube__admin_call *c)
{
	return !strncmp(c->method->name, "admin.property.", 15);
}

static int buf_result(int r)
{
	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	return r < 0 ? qube__fail(r, "the reply cannot be written") : 0;
}

static size_t list_props(const struct qube__prop **out, const struct qube__admin_call *c)
{
	if (global(c))
		return qube__prop_list(out, QUBE__CLASSES_GLOBAL);
	return qube__vm_prop_list(out, c->dest);
}

static void read_prop(struct qube__prop_value *v, const struct qube__admin_call *c, uint32_t id)
{
	if (global(c))
		qube__global_read(v, c->host->model, id);
	else
		qube__vm_prop_read(v, c->dest, id);
}

int qube__m_property_list(struct qube__admin_call *c)
{
	const struct qube__prop *props[QUBE__PROP_COUNT];
	size_t n = list_props(props, c);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = qube__reply(c, "%s\n", props[i]->name);
	return r;
}

int qube__m_property_get(struct qube__admin_call *c)
{
	struct qube__prop_value v;
	int r;

	if (global(c))
		r = qube__global_get(&v, c->host->model, c->req.arg);
	else
		r = qube__vm_prop_get(&v, c->dest, c->req.arg);
	if (r < 0)
		return r;
	return buf_result(
		qube__wire_property_encode(&c->reply, v.is_default, v.prop->type, v.text));
}

int qube__m_property_get_all(struct qube__admin_call *c)
{
	const struct qube__prop *props[QUBE__PROP_COUNT];
	size_t n = list_props(props, c);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct qube__prop_value v;

		read_prop(&v, c, qube__prop_id(props[i]));
		r = qube__wire_property_line(&c->reply, props[i]->name, v.is_default,
					     props[i]->type, v.text);
	}
	return buf_result(r);
}

int qube__m_property_get_default(struct qube__admin_call *c)
{
	struct qube__prop_value v;
	bool has;
	int r;

	if (global(c))
		r = qube__global_default(&v, &has, c->host->model, c->req.arg);
	else
		r = qube__vm_prop_default(&v, &has, c->dest, c->req.arg);
	if (r < 0 || !has)
		return r;
	return qube__reply(c, "type=%s %s", qube__wire_type_name(v.prop->type),
			   v.text ? v.text : "");
}

int qube__m_property_help(struct qube__admin_call *c)
{
	uint32_t classes = global(c) ? QUBE__CLASSES_GLOBAL : 1u << c->dest->vm_class;
	const struct qube__prop *p = qube__prop_find(classes, c->req.arg);

	if (!p)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_NO_SUCH_PROPERTY,
					 "Invalid property '%s'", c->req.arg);
	return qube__reply(c, "%s", p->help);
}

int qube__m_property_set(struct qube__admin_call *c)
{
	char value[QUBE__PROP_CANON_MAX];
	int r = qube__payload_text(value, sizeof(value), c);

	if (r < 0)
		return r;
	if (global(c))
		return qube__host_global_set(c->host, c->req.arg, value);
	return qube__host_property_set(c->host, c->dest, c->req.arg, value);
}

int qube__m_property_reset(struct qube__admin_call *c)
{
	if (global(c))
		return qube__host_global_reset(c->host, c->req.arg);
	return qube__host_property_reset(c->host, c->dest, c->req.arg);
}

/* --- tags --- */

int qube__m_tag_list(struct qube__admin_call *c)
{
	qube__autofree char **tags = NULL;
	size_t n;
	int r = qube__vm_tag_list(&tags, &n, c->dest);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = qube__reply(c, "%s\n", tags[i]);
	return r;
}

static int tag_ok(const struct qube__admin_call *c)
{
	if (!qube__name_is_tag(c->req.arg, strlen(c->req.arg)))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_INVALID_TAG, "bad tag '%s'",
					 c->req.arg);
	return 0;
}

int qube__m_tag_get(struct qube__admin_call *c)
{
	int r = tag_ok(c);

	return r < 0 ? r : qube__reply(c, "%d", qube__vm_tag_has(c->dest, c->req.arg));
}

static int tag_change(struct qube__admin_call *c, bool add)
{
	int r = tag_ok(c);

	if (r < 0)
		return r;
	if (!c->from_host && !strncmp(c->req.arg, "created-by-", 11))
		return qube__fail_detail(QUBE_E_DENIED, QUBE_D_PERMISSION,
					 "only the host changes '%s'", c->req.arg);
	return qube__host_tag(c->host, c->dest, c->req.arg, add);
}

int qube__m_tag_set(struct qube__admin_call *c)
{
	return tag_change(c, true);
}

int qube__m_tag_remove(struct qube__admin_call *c)
{
	return tag_change(c, false);
}

/* --- features --- */

int qube__m_feature_list(struct qube__admin_call *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->dest->n_features; i++)
		r = qube__reply(c, "%s\n", c->dest->features[i].name);
	return r;
}

static int feature_value(struct qube__admin_call *c, uint32_t chain)
{
	const char *value;
	int r = qube__vm_feature_get(&value, c->dest, c->req.arg, chain);

	return r < 0 ? r : qube__reply(c, "%s", value);
}

int qube__m_feature_get(struct qube__admin_call *c)
{
	return feature_value(c, QUBE__CHAIN_SELF);
}

int qube__m_feature_check_template(struct qube__admin_call *c)
{
	return feature_value(c, QUBE__CHAIN_TEMPLATE);
}

int qube__m_feature_check_netvm(struct qube__admin_call *c)
{
	return feature_value(c, QUBE__CHAIN_NETVM);
}

int qube__m_feature_check_admin(struct qube__admin_call *c)
{
	return feature_value(c, QUBE__CHAIN_ADMIN);
}

int qube__m_feature_check_template_admin(struct qube__admin_call *c)
{
	return feature_value(c, QUBE__CHAIN_TEMPLATE | QUBE__CHAIN_ADMIN);
}

static int feature_allowed(const struct qube__admin_call *c)
{
	if (qube__feature_prohibited(c->req.arg))
		return qube__fail_detail(QUBE_E_DENIED, QUBE_D_PERMISSION,
					 "the feature '%s' is the host's own", c->req.arg);
	return 0;
}

int qube__m_feature_set(struct qube__admin_call *c)
{
	char value[QUBE__FEATURE_VALUE_MAX + 1];
	int r = feature_allowed(c);

	if (r == 0)
		r = qube__payload_text(value, sizeof(value), c);
	return r < 0 ? r : qube__host_feature(c->host, c->dest, c->req.arg, value);
}

int qube__m_feature_remove(struct qube__admin_call *c)
{
	int r = feature_allowed(c);

	return r < 0 ? r : qube__host_feature(c->host, c->dest, c->req.arg, NULL);
}

/* --- notes --- */

int qube__m_notes_get(struct qube__admin_call *c)
{
	return qube__reply(c, "%s", c->dest->notes ? c->dest->notes : "");
}

/* Without a payload there are none any more: what a client of Qubes OS cannot send harms nobody. */
int qube__m_notes_set(struct qube__admin_call *c)
{
	return qube__vm_notes_set(c->dest, c->req.payload_len ? c->req.payload : (const void *)"",
				  c->req.payload_len);
}

/* --- labels --- */

int qube__m_label_list(struct qube__admin_call *c)
{
	struct qube__model *m = c->host->model;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_labels; i++)
		r = qube__reply(c, "%s\n", m->labels[i].name);
	return r;
}

static int label_of(const struct qube__label **out, const struct qube__admin_call *c)
{
	*out = qube__model_label(c->host->model, c->req.arg);
	if (!*out)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_LABEL_NOT_FOUND,
					 "Label does not exist: %s", c->req.arg);
	return 0;
}

int qube__m_label_get(struct qube__admin_call *c)
{
	const struct qube__label *l;
	int r = label_of(&l, c);

	return r < 0 ? r : qube__reply(c, "%s", l->colour);
}

int qube__m_label_index(struct qube__admin_call *c)
{
	const struct qube__label *l;
	int r = label_of(&l, c);

	return r < 0 ? r : qube__reply(c, "%u", l->index);
}

int qube__m_label_create(struct qube__admin_call *c)
{
	char colour[16];

	if (qube__payload_text(colour, sizeof(colour), c) < 0)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_INVALID_LABEL_VALUE,
					 "the colour of label '%s' is not 0xRRGGBB", c->req.arg);
	return qube__model_label_create(c->host->model, c->req.arg, colour);
}

int qube__m_label_remove(struct qube__admin_call *c)
{
	return qube__model_label_remove(c->host->model, c->req.arg);
}
