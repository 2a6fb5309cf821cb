/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a Set or Reset of a property is refused for (admin-api.md 5). canon holds a text whose type
 * was checked: a canonical number or boolean, printable ASCII, the name of a qube that is there. */
#include "base/error.h"
#include "model/internal.h"
#include "model/rules.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { CHAIN_MAX = 10001 }; /* more netvms than qubes: a loop */

static int bad_value(const struct qube__prop *p, const char *value, const char *why)
{
	return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROPERTY_VALUE,
				 "invalid value '%.64s' of property '%s': %s", value, p->name, why);
}

CHECK_(template)
{
	const struct qube__vm *t = qube__model_vm(of->model, canon);

	if (t == of->vm)
		return bad_value(p, canon, "a qube cannot be its own template");
	if (of->vm->vm_class == QUBE__CLASS_APP && t->vm_class != QUBE__CLASS_TEMPLATE)
		return bad_value(p, canon, "not a TemplateVM");
	if (of->vm->vm_class == QUBE__CLASS_DISP &&
	    !qube__vm_bool(t, QUBE__PROP_TEMPLATE_FOR_DISPVMS))
		return bad_value(p, canon, "it has not template_for_dispvms");
	return 0;
}

static bool names_vm(const char *value, const struct qube__vm *vm)
{
	return value && strcmp(value, vm->name) == 0;
}

static int still_dispvm_template(const struct qube__prop_of *of)
{
	static const uint32_t refs[] = { QUBE__PROP_DEFAULT_DISPVM, QUBE__PROP_MANAGEMENT_DISPVM };
	static const uint32_t globals[] = { QUBE__PROP_G_DEFAULT_DISPVM,
					    QUBE__PROP_G_MANAGEMENT_DISPVM };

	for (struct qube__vm *vm = NULL; (vm = qube__model_next(of->model, vm));) {
		bool uses = vm->vm_class == QUBE__CLASS_DISP &&
			    names_vm(vm->prop[QUBE__PROP_TEMPLATE], of->vm);

		for (size_t i = 0; i < 2; i++)
			uses = uses || names_vm(vm->prop[refs[i]], of->vm);
		if (uses)
			return qube__fail_detail(QUBE_E_BUSY, QUBE_D_VM_IN_USE,
						 "'%s' is the disposable template of '%s'",
						 of->vm->name, vm->name);
	}
	for (size_t i = 0; i < 2; i++)
		if (names_vm(of->model->global[globals[i] - QUBE__PROP_G_FIRST], of->vm))
			return qube__fail_detail(QUBE_E_BUSY, QUBE_D_VM_IN_USE,
						 "'%s' is the global %s", of->vm->name,
						 qube__props[globals[i]].name);
	return 0;
}

CHECK_(template_for_dispvms)
{
	(void)p;
	return strcmp(canon, "True") == 0 ? 0 : still_dispvm_template(of);
}

RESET_(template_for_dispvms)
{
	(void)p;
	return still_dispvm_template(of);
}

/* What vm's netvm is if default_netvm were netvm_default (NULL: as it is). */
static const struct qube__vm *next_netvm(const struct qube__vm *vm,
					 const struct qube__vm *netvm_default)
{
	if (netvm_default && !vm->prop[QUBE__PROP_NETVM] && vm->vm_class != QUBE__CLASS_TEMPLATE)
		return netvm_default == vm ? NULL : netvm_default;
	return qube__vm_netvm(vm);
}

bool qube__netvm_loops(const struct qube__vm *vm, const struct qube__vm *target,
		       const struct qube__vm *netvm_default)
{
	for (uint32_t i = 0; target; i++) {
		if (target == vm || i == CHAIN_MAX)
			return true;
		target = next_netvm(target, netvm_default);
	}
	return false;
}

static int netvm_ok(const struct qube__prop_of *of, const struct qube__prop *p,
		    const struct qube__vm *target)
{
	const struct qube__vm *vm = of->vm;

	if (!qube__vm_bool(target, QUBE__PROP_PROVIDES_NETWORK))
		return bad_value(p, target->name, "it does not provide network");
	if (qube__netvm_loops(vm, target, NULL))
		return bad_value(p, target->name, "the qube would be its own netvm");
	if (vm->state != QUBE__STATE_HALTED && target->state == QUBE__STATE_HALTED)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_STARTED,
					 "Domain is powered off: '%s'", target->name);
	return 0;
}

CHECK_(netvm)
{
	return *canon ? netvm_ok(of, p, qube__model_vm(of->model, canon)) : 0;
}

RESET_(netvm)
{
	struct qube__prop_value v = { .text = NULL };
	const struct qube__vm *target;

	qube__prop_read_default(&v, of, p);
	target = v.text ? qube__model_vm(of->model, v.text) : NULL;
	return target ? netvm_ok(of, p, target) : 0;
}

static int no_clients(const struct qube__prop_of *of)
{
	for (struct qube__vm *vm = NULL; (vm = qube__model_next(of->model, vm));)
		if (vm != of->vm && qube__vm_netvm(vm) == of->vm)
			return qube__fail_detail(QUBE_E_BUSY, QUBE_D_VM_IN_USE,
						 "'%s' is the netvm of '%s'", of->vm->name,
						 vm->name);
	if (names_vm(of->model->global[QUBE__PROP_G_DEFAULT_NETVM - QUBE__PROP_G_FIRST], of->vm))
		return qube__fail_detail(QUBE_E_BUSY, QUBE_D_VM_IN_USE,
					 "'%s' is the global default_netvm", of->vm->name);
	return 0;
}

CHECK_(provides_network)
{
	(void)p;
	return strcmp(canon, "True") == 0 ? 0 : no_clients(of);
}

RESET_(provides_network)
{
	(void)p;
	return no_clients(of);
}

static int check_address(const struct qube__prop *p, char *canon, int family)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char address[16];

	if (inet_pton(family, canon, address) != 1 ||
	    !inet_ntop(family, address, text, sizeof(text)))
		return bad_value(p, canon, "not an address");
	memcpy(canon, text, strlen(text) + 1);
	return 0;
}

CHECK_(ip)
{
	(void)of;
	return check_address(p, canon, AF_INET);
}

CHECK_(ip6)
{
	(void)of;
	return check_address(p, canon, AF_INET6);
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

CHECK_(mac)
{
	(void)of;
	if (strlen(canon) != 17)
		return bad_value(p, canon, "not six pairs of hex digits");
	for (size_t i = 0; i < 17; i++) {
		if (canon[i] >= 'A' && canon[i] <= 'F')
			canon[i] = (char)(canon[i] + 32);
		if (i % 3 == 2 ? canon[i] != ':' : !is_hex(canon[i]))
			return bad_value(p, canon, "not six pairs of hex digits");
	}
	return 0;
}

CHECK_(virt_mode)
{
	if (strcmp(canon, "hvm") != 0 && strcmp(canon, "pv") != 0 && strcmp(canon, "pvh") != 0)
		return bad_value(p, canon, "not pvh, hvm or pv");
	if (of->vm->has_pci && strcmp(canon, "pvh") == 0)
		return bad_value(p, canon, "the qube has PCI devices");
	return 0;
}

CHECK_(positive)
{
	(void)of;
	return canon[0] == '-' || canon[0] == '0' ? bad_value(p, canon, "not above zero") : 0;
}

CHECK_(not_negative)
{
	(void)of;
	return canon[0] == '-' ? bad_value(p, canon, "below zero") : 0;
}

CHECK_(maxmem)
{
	if (canon[0] == '-')
		return bad_value(p, canon, "below zero");
	if (of->vm->state != QUBE__STATE_HALTED &&
	    !qube__feature_true(
		    qube__vm_feature_check(of->vm, "memory-hotplug", QUBE__CHAIN_TEMPLATE)))
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_HALTED,
					 "Domain is not powered off: '%s'", of->vm->name);
	return 0;
}

CHECK_(kernel)
{
	if (strchr(canon, '/') || strcmp(canon, ".") == 0 || strcmp(canon, "..") == 0)
		return bad_value(p, canon, "not a kernel's name");
	if (*canon && of->model->kernel_installed &&
	    !of->model->kernel_installed(of->model->user, canon))
		return bad_value(p, canon, "no such kernel is installed");
	return 0;
}

CHECK_(kernelopts)
{
	(void)of;
	return strlen(canon) > 512 ? bad_value(p, canon, "longer than 512 characters") : 0;
}

static bool only(const char *text, const char *more)
{
	for (; *text; text++)
		if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
		      (*text >= '0' && *text <= '9') || strchr(more, *text)))
			return false;
	return true;
}

CHECK_(default_user)
{
	(void)of;
	return only(canon, "_+,.-") ? 0 : bad_value(p, canon, "not a user's name");
}

CHECK_(dispvm)
{
	const struct qube__vm *vm = *canon ? qube__model_vm(of->model, canon) : NULL;

	if (!vm || qube__vm_bool(vm, QUBE__PROP_TEMPLATE_FOR_DISPVMS))
		return 0;
	return bad_value(p, canon, "it has not template_for_dispvms");
}

CHECK_(keyboard_layout)
{
	size_t plus = 0;

	(void)of;
	for (const char *c = canon; *c; c++)
		plus += *c == '+';
	if (plus != 2 || !only(canon, "+_-,.:()") || canon[0] == '+')
		return bad_value(p, canon, "not layout+variant+options");
	return 0;
}

/* ([bump*][0-9a-f*]{6})*, stored sorted and each once. */
CHECK_(devices_denied)
{
	enum { CODE = 7 };
	size_t n = strlen(canon);
	size_t kept = 0;

	(void)of;
	for (size_t i = 0; i < n; i++)
		if (i % CODE ? !is_hex(canon[i]) && canon[i] != '*' : !strchr("bump*", canon[i]))
			return bad_value(p, canon, "not a list of interface codes");
	if (n % CODE)
		return bad_value(p, canon, "not a list of interface codes");
	for (size_t i = 0; i < n; i += CODE) {
		char code[CODE];
		size_t at = kept;
		size_t same = 0;

		memcpy(code, canon + i, CODE);
		while (at && memcmp(canon + at - CODE, code, CODE) >= 0) {
			at -= CODE;
			same |= memcmp(canon + at, code, CODE) == 0;
		}
		if (same)
			continue;
		memmove(canon + at + CODE, canon + at, kept - at);
		memcpy(canon + at, code, CODE);
		kept += CODE;
	}
	canon[kept] = '\0';
	return 0;
}

CHECK_(default_netvm)
{
	const struct qube__vm *target = *canon ? qube__model_vm(of->model, canon) : NULL;

	if (!target)
		return 0;
	if (!qube__vm_bool(target, QUBE__PROP_PROVIDES_NETWORK))
		return bad_value(p, canon, "it does not provide network");
	/* Whoever on its way to the network leaves its netvm at the default would come back. */
	if (qube__netvm_loops(target, next_netvm(target, target), target))
		return bad_value(p, canon,
				 "it would be its own netvm; give it another netvm or none");
	return 0;
}

CHECK_(default_template)
{
	const struct qube__vm *t = *canon ? qube__model_vm(of->model, canon) : NULL;

	if (t && t->vm_class != QUBE__CLASS_TEMPLATE)
		return bad_value(p, canon, "not a TemplateVM");
	return 0;
}

CHECK_(pool)
{
	return qube__model_pool(of->model, canon) ? 0 : bad_value(p, canon, "no such pool");
}

RESET_(never)
{
	return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
				 "property '%s' of '%s' has no default to go back to", p->name,
				 of->vm->name);
}
