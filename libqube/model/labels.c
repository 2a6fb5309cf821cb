/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Labels and pools: what system.json holds beside the global properties. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "model/internal.h"

#include <stdlib.h>
#include <string.h>

enum { BUILT_IN = 8, LABELS_MAX = 4096, POOLS_MAX = 1024 };

/* --- labels --- */
const struct qube__label *qube__model_label(const struct qube__model *m, const char *name)
{
	for (size_t i = 0; i < m->n_labels; i++)
		if (strcmp(m->labels[i].name, name) == 0)
			return &m->labels[i];
	return NULL;
}

int qube__label_put(struct qube__model *m, uint32_t index, const char *name, const char *colour)
{
	struct qube__label label = { .index = index };
	struct qube__label *grown;

	if (m->n_labels >= LABELS_MAX)
		return qube__fail(QUBE_E_LIMIT, "there are %zu labels already", m->n_labels);
	if (qube__text_copy(label.name, sizeof(label.name), name) < 0 ||
	    qube__text_copy(label.colour, sizeof(label.colour), colour) < 0)
		return qube__fail(QUBE_E_INVALID, "not a label");
	grown = realloc(m->labels, (m->n_labels + 1) * sizeof(*grown));
	if (!grown)
		return qube__fail_nomem();
	m->labels = grown;
	grown[m->n_labels++] = label;
	return 0;
}

int qube__model_label_create(struct qube__model *m, const char *name, const char *colour)
{
	uint32_t index = BUILT_IN;
	char safe[96];
	int r;

	qube__text_escape(safe, sizeof(safe), name, strlen(name));
	if (!qube__name_is_label(name, strlen(name)))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_INVALID_LABEL,
					 "Invalid label name: '%s'", safe);
	if (!qube__name_is_colour(colour, strlen(colour)))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_INVALID_LABEL_VALUE,
					 "the colour of label '%s' is not 0xRRGGBB", safe);
	if (qube__model_label(m, name))
		return qube__fail_detail(QUBE_E_EXISTS, QUBE_D_LABEL_IN_USE,
					 "Label already exists: %s", name);
	for (size_t i = 0; i < m->n_labels; i++)
		if (m->labels[i].index > index)
			index = m->labels[i].index;
	r = qube__label_put(m, index + 1, name, colour);
	if (r < 0)
		return r;
	r = qube__store_system_save(m);
	if (r < 0)
		m->n_labels--;
	return r;
}

int qube__model_label_remove(struct qube__model *m, const char *name)
{
	const struct qube__label *l = qube__model_label(m, name);
	struct qube__label gone;
	char safe[96];
	size_t at;
	int r;

	qube__text_escape(safe, sizeof(safe), name, strlen(name));
	if (!l)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_LABEL_NOT_FOUND,
					 "Label does not exist: %s", safe);
	if (l->index <= BUILT_IN)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "label %s is built in and stays", name);
	for (struct qube__vm *vm = NULL; (vm = qube__model_next(m, vm));)
		if (vm->prop[QUBE__PROP_LABEL] && strcmp(vm->prop[QUBE__PROP_LABEL], name) == 0)
			return qube__fail_detail(QUBE_E_BUSY, QUBE_D_LABEL_IN_USE,
						 "label %s is in use by '%s'", name, vm->name);
	at = (size_t)(l - m->labels);
	gone = *l;
	m->n_labels--;
	memmove(m->labels + at, m->labels + at + 1, (m->n_labels - at) * sizeof(gone));
	r = qube__store_system_save(m);
	if (r < 0) {
		memmove(m->labels + at + 1, m->labels + at, (m->n_labels - at) * sizeof(gone));
		m->labels[at] = gone;
		m->n_labels++;
	}
	return r;
}

/* --- pools --- */
struct qube__pool_conf *qube__model_pool(const struct qube__model *m, const char *name)
{
	for (size_t i = 0; i < m->n_pools; i++)
		if (strcmp(m->pools[i].name, name) == 0)
			return &m->pools[i];
	return NULL;
}

const char *qube__pool_option(const struct qube__pool_conf *p, const char *name)
{
	for (size_t i = 0; i < p->n_options; i++)
		if (strcmp(p->options[i].name, name) == 0)
			return p->options[i].value;
	return NULL;
}

void qube__pool_fini(struct qube__pool_conf *p)
{
	for (size_t i = 0; i < p->n_options; i++) {
		free(p->options[i].name);
		free(p->options[i].value);
	}
	p->n_options = 0;
}

static int no_pool(const char *name)
{
	char safe[96];

	qube__text_escape(safe, sizeof(safe), name, strlen(name));
	return qube__fail_detail(QUBE_E_NOENT, QUBE_D_GENERIC, "Unknown storage pool %s", safe);
}

int qube__pool_put(struct qube__model *m, const char *name, const char *driver)
{
	struct qube__pool_conf *grown;

	if (!qube__name_is_pool(name, strlen(name)) || !qube__name_is_pool(driver, strlen(driver)))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
					 "not a name for a pool or its driver");
	if (qube__model_pool(m, name))
		return qube__fail_detail(QUBE_E_EXISTS, QUBE_D_POOL_IN_USE,
					 "Storage pool is in use: '%s'", name);
	if (m->n_pools == POOLS_MAX)
		return qube__fail(QUBE_E_LIMIT, "there are %zu pools already", m->n_pools);
	grown = realloc(m->pools, (m->n_pools + 1) * sizeof(*grown));
	if (!grown)
		return qube__fail_nomem();
	m->pools = grown;
	memset(&grown[m->n_pools], 0, sizeof(*grown));
	memcpy(grown[m->n_pools].name, name, strlen(name));
	memcpy(grown[m->n_pools].driver, driver, strlen(driver));
	m->n_pools++;
	return 0;
}

int qube__pool_option_put(struct qube__pool_conf *p, const char *name, const char *value)
{
	qube__autofree char *name_copy = NULL;
	qube__autofree char *value_copy = NULL;
	size_t at = 0;

	if (!qube__name_is_pool(name, strlen(name)) ||
	    !qube__name_is_feature_value(value, strlen(value)))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "not an option of pool '%s'",
					 p->name);
	while (at < p->n_options && strcmp(p->options[at].name, name) < 0)
		at++;
	value_copy = strdup(value);
	if (!value_copy)
		return qube__fail_nomem();
	if (at < p->n_options && strcmp(p->options[at].name, name) == 0) {
		free(p->options[at].value);
		p->options[at].value = qube__steal(value_copy);
		return 0;
	}
	if (p->n_options == QUBE__OPTIONS_MAX)
		return qube__fail(QUBE_E_LIMIT, "pool '%s' has %d options already", p->name,
				  QUBE__OPTIONS_MAX);
	name_copy = strdup(name);
	if (!name_copy)
		return qube__fail_nomem();
	memmove(p->options + at + 1, p->options + at, (p->n_options - at) * sizeof(p->options[0]));
	p->options[at] = (struct qube__feature){ .name = qube__steal(name_copy),
						 .value = qube__steal(value_copy) };
	p->n_options++;
	return 0;
}

int qube__model_pool_add(struct qube__model *m, const char *name, const char *driver,
			 const struct qube__vm_pair *options, size_t n_options)
{
	struct qube__pool_conf *p;
	int r = qube__pool_put(m, name, driver);

	if (r < 0)
		return r;
	p = &m->pools[m->n_pools - 1];
	for (size_t i = 0; r == 0 && i < n_options; i++)
		r = qube__pool_option_put(p, options[i].name, options[i].value);
	if (r == 0)
		r = qube__store_system_save(m);
	if (r < 0) {
		qube__pool_fini(p);
		m->n_pools--;
	}
	return r;
}

static int pool_in_use(const struct qube__model *m, const char *name)
{
	for (struct qube__vm *vm = NULL; (vm = qube__model_next(m, vm));)
		for (size_t i = 0; i < vm->n_volumes; i++)
			if (strcmp(vm->volumes[i].pool, name) == 0)
				return qube__fail_detail(QUBE_E_BUSY, QUBE_D_POOL_IN_USE,
							 "Storage pool is in use: '%s' by '%s'",
							 name, vm->name);
	for (uint32_t id = QUBE__PROP_G_DEFAULT_POOL; id <= QUBE__PROP_G_DEFAULT_POOL_KERNEL;
	     id++) {
		const char *v = m->global[id - QUBE__PROP_G_FIRST];

		if (v && strcmp(v, name) == 0)
			return qube__fail_detail(QUBE_E_BUSY, QUBE_D_POOL_IN_USE,
						 "Storage pool is in use: '%s' is the %s", name,
						 qube__props[id].name);
	}
	return 0;
}

int qube__model_pool_remove(struct qube__model *m, const char *name)
{
	struct qube__pool_conf *p = qube__model_pool(m, name);
	struct qube__pool_conf gone;
	size_t at;
	int r;

	if (!p)
		return no_pool(name);
	r = pool_in_use(m, name);
	if (r < 0)
		return r;
	at = (size_t)(p - m->pools);
	gone = *p;
	m->n_pools--;
	memmove(m->pools + at, m->pools + at + 1, (m->n_pools - at) * sizeof(gone));
	r = qube__store_system_save(m);
	if (r < 0) {
		memmove(m->pools + at + 1, m->pools + at, (m->n_pools - at) * sizeof(gone));
		m->pools[at] = gone;
		m->n_pools++;
		return r;
	}
	qube__pool_fini(&gone);
	return 0;
}

int qube__model_pool_option_set(struct qube__model *m, const char *pool, const char *name,
				const char *value)
{
	struct qube__pool_conf *p = qube__model_pool(m, pool);
	qube__autofree char *old = NULL;
	const char *was;
	int r;

	if (!p)
		return no_pool(pool);
	was = qube__pool_option(p, name);
	if (was) {
		old = strdup(was);
		if (!old)
			return qube__fail_nomem();
	}
	r = qube__pool_option_put(p, name, value);
	if (r < 0)
		return r;
	r = qube__store_system_save(m);
	if (r == 0)
		return 0;
	for (size_t i = 0; i < p->n_options; i++) {
		if (strcmp(p->options[i].name, name) != 0)
			continue;
		free(p->options[i].value);
		p->options[i].value = qube__steal(old);
		if (p->options[i].value)
			break;
		free(p->options[i].name);
		p->n_options--;
		memmove(p->options + i, p->options + i + 1,
			(p->n_options - i) * sizeof(p->options[0]));
		break;
	}
	return r;
}
