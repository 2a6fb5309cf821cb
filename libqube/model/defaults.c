/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a property is when nobody set it (admin-api.md 5 and 11). The chains walked here end even if
 * files say otherwise: templates by class, netvms and guivms by a count of steps. */
#include "model/internal.h"
#include "model/rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STEPS_MAX = 64 };

static void set_int(struct qube__prop_value *out, int64_t v)
{
	snprintf(out->space, sizeof(out->space), "%" PRId64, v);
	out->text = out->space;
}

static void set_bool(struct qube__prop_value *out, bool v)
{
	out->text = v ? "True" : "False";
}

static void copy_value(struct qube__prop_value *out, const struct qube__prop_value *v)
{
	if (v->text == v->space) {
		memcpy(out->space, v->space, sizeof(out->space));
		out->text = out->space;
	} else {
		out->text = v->text;
	}
}

static void read_other(struct qube__prop_value *out, const struct qube__vm *other, uint32_t id)
{
	struct qube__prop_value v;

	qube__vm_prop_read(&v, other, id);
	copy_value(out, &v);
}

static void read_global(struct qube__prop_value *out, const struct qube__model *m, uint32_t id)
{
	struct qube__prop_value v;

	qube__global_read(&v, m, id);
	copy_value(out, &v);
}

struct qube__vm *qube__vm_sound_template(const struct qube__vm *vm)
{
	const char *name = vm->prop[QUBE__PROP_TEMPLATE];
	struct qube__vm *t = name ? qube__model_vm(vm->model, name) : NULL;

	if (!t)
		return NULL;
	if (vm->vm_class == QUBE__CLASS_APP)
		return t->vm_class == QUBE__CLASS_TEMPLATE ? t : NULL;
	if (vm->vm_class == QUBE__CLASS_DISP)
		return t->vm_class == QUBE__CLASS_APP || t->vm_class == QUBE__CLASS_STANDALONE ?
			       t :
			       NULL;
	return NULL;
}

/* False if there is no template to ask. */
static bool from_template(struct qube__prop_value *out, const struct qube__vm *vm, uint32_t id)
{
	struct qube__vm *t = qube__vm_sound_template(vm);

	if (!t)
		return false;
	read_other(out, t, id);
	return true;
}

DEFAULT_(name)
{
	out->text = of->vm->name;
}

DEFAULT_(qid)
{
	set_int(out, of->vm->qid);
}

DEFAULT_(uuid)
{
	out->text = of->vm->uuid;
}

DEFAULT_(klass)
{
	out->text = qube__vm_class_name(of->vm->vm_class);
}

DEFAULT_(icon)
{
	const struct qube__vm *vm = of->vm;
	const char *kind = "appvm";

	if (vm->vm_class == QUBE__CLASS_ADMIN) {
		out->text = "adminvm-black";
		return;
	}
	if (vm->vm_class == QUBE__CLASS_REMOTE)
		kind = "remotevm";
	else if (vm->vm_class == QUBE__CLASS_TEMPLATE ||
		 qube__vm_bool(vm, QUBE__PROP_TEMPLATE_FOR_DISPVMS))
		kind = "templatevm";
	else if (qube__feature_true(qube__vm_feature_find(vm, "servicevm")))
		kind = "servicevm";
	else if (vm->vm_class == QUBE__CLASS_DISP)
		kind = "dispvm";
	else if (vm->vm_class == QUBE__CLASS_STANDALONE)
		kind = "standalonevm";
	snprintf(out->space, sizeof(out->space), "%s-%s", kind, qube__vm_label(vm)->name);
	out->text = out->space;
}

DEFAULT_(appvm_bootmode)
{
	const char *v = qube__vm_feature_find(of->vm, "boot-mode.appvm-default");

	out->text = v ? v : "default";
}

DEFAULT_(dispid)
{
	set_int(out, of->vm->dispid);
}

/* Is word one of the space-separated words of list? */
static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p; p = strchr(p, ' ')) {
		p += strspn(p, " ");
		if (strncmp(p, word, n) == 0 && (p[n] == ' ' || !p[n]))
			return true;
	}
	return false;
}

DEFAULT_(is_preload)
{
	struct qube__vm *t = qube__vm_sound_template(of->vm);
	const char *list = t ? qube__vm_feature_find(t, "preload-dispvm") : NULL;

	set_bool(out, has_word(list, of->vm->name));
}

DEFAULT_(netvm)
{
	struct qube__prop_value v;

	if (of->vm->vm_class == QUBE__CLASS_TEMPLATE)
		return;
	qube__global_read(&v, of->model, QUBE__PROP_G_DEFAULT_NETVM);
	if (v.text && strcmp(v.text, of->vm->name) != 0)
		out->text = v.text;
}

static bool is_networked(const struct qube__vm *vm)
{
	struct qube__prop_value v;

	if (qube__vm_bool(vm, QUBE__PROP_PROVIDES_NETWORK))
		return true;
	qube__vm_prop_read(&v, vm, QUBE__PROP_NETVM);
	return v.text;
}

static bool has_ipv6(const struct qube__vm *vm)
{
	return qube__feature_true(qube__vm_feature_check(vm, "ipv6", QUBE__CHAIN_NETVM));
}

void qube__vm_default_ip(char out[16], const struct qube__vm *vm)
{
	bool disp = vm->vm_class == QUBE__CLASS_DISP;
	uint32_t n = disp && vm->dispid >= 0 ? (uint32_t)vm->dispid : vm->qid;
	uint32_t m = n - 1;

	/* The first 254 keep the numbers they always had; beyond, no address ends in .0 or .255. */
	if (n < 255)
		snprintf(out, 16, "10.%u.0.%u", disp ? 138u : 137u, n & 255u);
	else
		snprintf(out, 16, "10.%u.%u.%u", disp ? 138u : 137u, m / 254 & 255u, m % 254 + 1);
}

void qube__vm_default_ip6(char out[40], const struct qube__vm *vm)
{
	bool disp = vm->vm_class == QUBE__CLASS_DISP;

	snprintf(out, 40, "fd09:24ef:4179::%s:%x", disp ? "a8a" : "a89",
		 disp && vm->dispid >= 0 ? (uint32_t)vm->dispid : vm->qid);
}

DEFAULT_(ip)
{
	if (!is_networked(of->vm))
		return;
	qube__vm_default_ip(out->space, of->vm);
	out->text = out->space;
}

DEFAULT_(ip6)
{
	if (!is_networked(of->vm) || !has_ipv6(of->vm))
		return;
	qube__vm_default_ip6(out->space, of->vm);
	out->text = out->space;
}

DEFAULT_(dns)
{
	out->text = is_networked(of->vm) ? "10.139.1.1 10.139.1.2" : "";
}

DEFAULT_(gateway)
{
	if (qube__vm_bool(of->vm, QUBE__PROP_PROVIDES_NETWORK))
		read_other(out, of->vm, QUBE__PROP_VISIBLE_IP);
}

DEFAULT_(gateway6)
{
	if (qube__vm_bool(of->vm, QUBE__PROP_PROVIDES_NETWORK))
		read_other(out, of->vm, QUBE__PROP_VISIBLE_IP6);
}

DEFAULT_(visible_ip)
{
	const char *fake = qube__vm_feature_check(of->vm, "net.fake-ip", QUBE__CHAIN_TEMPLATE);

	if (qube__feature_true(fake))
		out->text = fake;
	else
		read_other(out, of->vm, QUBE__PROP_IP);
}

DEFAULT_(visible_ip6)
{
	read_other(out, of->vm, QUBE__PROP_IP6);
}

DEFAULT_(visible_gateway)
{
	const char *fake = qube__vm_feature_check(of->vm, "net.fake-gateway", QUBE__CHAIN_TEMPLATE);
	struct qube__vm *netvm = qube__vm_netvm(of->vm);

	if (qube__feature_true(fake))
		out->text = fake;
	else if (netvm)
		read_other(out, netvm, QUBE__PROP_GATEWAY);
}

DEFAULT_(visible_gateway6)
{
	struct qube__vm *netvm = qube__vm_netvm(of->vm);

	if (netvm && has_ipv6(of->vm))
		read_other(out, netvm, QUBE__PROP_GATEWAY6);
}

DEFAULT_(visible_netmask)
{
	const char *fake = qube__vm_feature_check(of->vm, "net.fake-netmask", QUBE__CHAIN_TEMPLATE);

	out->text = qube__feature_true(fake) ? fake : "255.255.255.255";
}

DEFAULT_(virt_mode)
{
	if (of->vm->has_pci)
		out->text = "hvm";
	else if (!from_template(out, of->vm, QUBE__PROP_VIRT_MODE))
		out->text = "pvh";
}

DEFAULT_(memory)
{
	if (!from_template(out, of->vm, QUBE__PROP_MEMORY))
		out->text = "400";
}

DEFAULT_(maxmem)
{
	const struct qube__vm *vm = of->vm;
	const char *os = qube__vm_feature_find(vm, "os");
	int64_t cap = 4000;

	/* Memory cannot be taken away from under an assigned PCI device. */
	if (vm->has_pci) {
		out->text = "0";
		return;
	}
	if (from_template(out, vm, QUBE__PROP_MAXMEM))
		return;
	if (os && strcmp(os, "Linux") == 0 &&
	    __builtin_mul_overflow(qube__vm_int(vm, QUBE__PROP_MEMORY, 400), (int64_t)10, &cap))
		cap = INT64_MAX;
	if (cap > of->model->host_memory_mib / 2)
		cap = of->model->host_memory_mib / 2;
	set_int(out, cap);
}

DEFAULT_(vcpus)
{
	if (!from_template(out, of->vm, QUBE__PROP_VCPUS))
		out->text = "2";
}

DEFAULT_(kernel)
{
	if (!from_template(out, of->vm, QUBE__PROP_KERNEL))
		read_global(out, of->model, QUBE__PROP_G_DEFAULT_KERNEL);
}

DEFAULT_(kernelopts)
{
	if (of->vm->has_pci)
		out->text = "";
	else if (!from_template(out, of->vm, QUBE__PROP_KERNELOPTS))
		out->text = "swiotlb=2048";
}

DEFAULT_(bootmode)
{
	const char *v = qube__vm_feature_find(of->vm, "boot-mode.active");
	struct qube__vm *t = qube__vm_sound_template(of->vm);

	if (v)
		out->text = v;
	else if (t && t->vm_class == QUBE__CLASS_TEMPLATE)
		read_other(out, t, QUBE__PROP_APPVM_DEFAULT_BOOTMODE);
	else if (t)
		read_other(out, t, QUBE__PROP_BOOTMODE);
	else
		out->text = "default";
}

DEFAULT_(default_user)
{
	if (!from_template(out, of->vm, QUBE__PROP_DEFAULT_USER))
		out->text = "user";
}

DEFAULT_(qrexec_timeout)
{
	if (!from_template(out, of->vm, QUBE__PROP_QREXEC_TIMEOUT))
		read_global(out, of->model, QUBE__PROP_G_DEFAULT_QREXEC_TIMEOUT);
}

DEFAULT_(shutdown_timeout)
{
	if (!from_template(out, of->vm, QUBE__PROP_SHUTDOWN_TIMEOUT))
		read_global(out, of->model, QUBE__PROP_G_DEFAULT_SHUTDOWN_TIMEOUT);
}

DEFAULT_(include_in_backups)
{
	if (of->vm->vm_class == QUBE__CLASS_REMOTE)
		set_bool(out, false);
	else
		set_bool(out, !qube__vm_bool(of->vm, QUBE__PROP_AUTO_CLEANUP));
}

DEFAULT_(updateable)
{
	set_bool(out, !(qube__props[QUBE__PROP_TEMPLATE].classes & 1u << of->vm->vm_class));
}

/* A disposable's disposables are its own template's: else an offline one could reach the network
 * through the global default (QSB-047). */
DEFAULT_(default_dispvm)
{
	if (of->vm->vm_class == QUBE__CLASS_DISP)
		read_other(out, of->vm, QUBE__PROP_TEMPLATE);
	else
		read_global(out, of->model, QUBE__PROP_G_DEFAULT_DISPVM);
}

DEFAULT_(management_dispvm)
{
	if (!from_template(out, of->vm, QUBE__PROP_MANAGEMENT_DISPVM))
		read_global(out, of->model, QUBE__PROP_G_MANAGEMENT_DISPVM);
}

DEFAULT_(guivm)
{
	read_global(out, of->model, QUBE__PROP_G_DEFAULT_GUIVM);
}

DEFAULT_(audiovm)
{
	read_global(out, of->model, QUBE__PROP_G_DEFAULT_AUDIOVM);
}

DEFAULT_(keyboard_layout)
{
	const struct qube__vm *vm = of->vm;

	for (uint32_t i = 0; i < STEPS_MAX && vm; i++) {
		vm = vm->vm_class == QUBE__CLASS_ADMIN ? NULL : qube__vm_ref(vm, QUBE__PROP_GUIVM);
		if (vm && vm->prop[QUBE__PROP_KEYBOARD_LAYOUT]) {
			out->text = vm->prop[QUBE__PROP_KEYBOARD_LAYOUT];
			return;
		}
	}
	out->text = "us++";
}

DEFAULT_(xid)
{
	set_int(out, of->vm->xid);
}

DEFAULT_(stubdom_xid)
{
	set_int(out, of->vm->stubdom_xid);
}

DEFAULT_(start_time)
{
	uint64_t ms = of->vm->start_time_ms;

	if (!ms)
		return;
	snprintf(out->space, sizeof(out->space), "%" PRIu64 ".%03u", ms / 1000,
		 (unsigned int)(ms % 1000));
	out->text = out->space;
}

DEFAULT_(host_memory)
{
	set_int(out, of->model->host_memory_mib);
}

DEFAULT_(host_cpus)
{
	set_int(out, of->model->host_cpus);
}

DEFAULT_(default_pool)
{
	const struct qube__pool_conf *p = qube__model_pool(of->model, "default");

	if (!p && of->model->n_pools)
		p = &of->model->pools[0];
	if (p)
		out->text = p->name;
}

DEFAULT_(default_pool_any)
{
	read_global(out, of->model, QUBE__PROP_G_DEFAULT_POOL);
}

/* --- whose value a default is --- */

static const struct {
	uint32_t global;
	uint32_t vm;
} default_of[] = {
	{ QUBE__PROP_G_DEFAULT_NETVM, QUBE__PROP_NETVM },
	{ QUBE__PROP_G_DEFAULT_DISPVM, QUBE__PROP_DEFAULT_DISPVM },
	{ QUBE__PROP_G_MANAGEMENT_DISPVM, QUBE__PROP_MANAGEMENT_DISPVM },
	{ QUBE__PROP_G_DEFAULT_GUIVM, QUBE__PROP_GUIVM },
	{ QUBE__PROP_G_DEFAULT_AUDIOVM, QUBE__PROP_AUDIOVM },
	{ QUBE__PROP_G_DEFAULT_KERNEL, QUBE__PROP_KERNEL },
	{ QUBE__PROP_G_DEFAULT_QREXEC_TIMEOUT, QUBE__PROP_QREXEC_TIMEOUT },
	{ QUBE__PROP_G_DEFAULT_SHUTDOWN_TIMEOUT, QUBE__PROP_SHUTDOWN_TIMEOUT },
};

uint32_t qube__global_default_of(uint32_t global_id)
{
	for (size_t i = 0; i < sizeof(default_of) / sizeof(default_of[0]); i++)
		if (default_of[i].global == global_id)
			return default_of[i].vm;
	return QUBE__PROP_COUNT;
}

bool qube__prop_from_template(uint32_t id)
{
	static const uint32_t rows[] = {
		QUBE__PROP_VIRT_MODE,	     QUBE__PROP_MEMORY,
		QUBE__PROP_MAXMEM,	     QUBE__PROP_VCPUS,
		QUBE__PROP_KERNEL,	     QUBE__PROP_KERNELOPTS,
		QUBE__PROP_DEFAULT_USER,     QUBE__PROP_QREXEC_TIMEOUT,
		QUBE__PROP_SHUTDOWN_TIMEOUT, QUBE__PROP_MANAGEMENT_DISPVM,
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i] == id)
			return true;
	return false;
}

static bool comes_from_global(const struct qube__vm *vm, uint32_t id)
{
	if ((id == QUBE__PROP_NETVM && vm->vm_class == QUBE__CLASS_TEMPLATE) ||
	    (id == QUBE__PROP_DEFAULT_DISPVM && vm->vm_class == QUBE__CLASS_DISP))
		return false;
	for (size_t i = 0; i < sizeof(default_of) / sizeof(default_of[0]); i++)
		if (default_of[i].vm == id)
			return true;
	return false;
}

bool qube__vm_prop_follows(const struct qube__vm *vm, uint32_t id, const struct qube__vm *of)
{
	const struct qube__vm *t = qube__vm_sound_template(vm);

	if (!(qube__props[id].classes & 1u << vm->vm_class) || vm->prop[id])
		return false;
	if (t && qube__prop_from_template(id))
		return t == of || qube__vm_prop_follows(t, id, of);
	return !of && comes_from_global(vm, id);
}
