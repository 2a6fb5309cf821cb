/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Runs when qube-box is built: writes filters.h, the system call filters as arrays.
 *
 * A call that is on no list fails with ENOSYS, so that new calls are off until somebody put them
 * here and programs fall back as on an older kernel; a call on the refused list fails with EPERM,
 * which is what programs expect of a container. Arguments are compared by a second filter, because
 * one filter cannot allow a call and refuse some of its arguments. The kernel compares 64 bits
 * where ioctl() and others use 32: every comparison here masks the upper half away. */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const allowed[] = {
#include "calls.inc"
};
static const char *const refused[] = {
	"_sysctl",
	"acct",
	"add_key",
	"adjtimex",
	"afs_syscall",
	"bdflush",
	"bpf",
	"clock_adjtime",
	"clock_settime",
	"create_module",
	"delete_module",
	"fanotify_init",
	"fanotify_mark",
	"finit_module",
	"fsconfig",
	"fsmount",
	"fsopen",
	"fspick",
	"get_kernel_syms",
	"get_mempolicy",
	"init_module",
	"io_uring_enter",
	"io_uring_register",
	"io_uring_setup",
	"ioperm",
	"iopl",
	"kexec_file_load",
	"kexec_load",
	"keyctl",
	"lookup_dcookie",
	"mbind",
	"migrate_pages",
	"mount",
	"mount_setattr",
	"move_mount",
	"move_pages",
	"name_to_handle_at",
	"nfsservctl",
	"open_by_handle_at",
	"open_tree",
	"perf_event_open",
	"pivot_root",
	"process_madvise",
	"query_module",
	"quotactl",
	"quotactl_fd",
	"reboot",
	"request_key",
	"set_mempolicy",
	"set_mempolicy_home_node",
	"setdomainname",
	"sethostname",
	"setns",
	"settimeofday",
	"stime",
	"swapoff",
	"swapon",
	"sysfs",
	"syslog",
	"umount",
	"umount2",
	"uselib",
	"userfaultfd",
	"ustat",
	"vhangup",
	"vm86",
	"vm86old",
	"vmsplice",
};
/* What a browser's or a package's own sandbox calls. */
static const char *const for_userns[] = { "clone3", "mount", "pivot_root", "setns", "umount2" };

#define CLONE_BITS_COUNT 8
/* NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET of linux/sched.h */
static const uint64_t clone_bits[CLONE_BITS_COUNT] = {
	0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
};

static int in_list(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], name) == 0)
			return 1;
	return 0;
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Calls that this libseccomp or machine does not know are not there: refused by default. */
static int rule(scmp_filter_ctx f, uint32_t action, const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	return nr == __NR_SCMP_ERROR || nr < 0 ? 0 : seccomp_rule_add_array(f, action, nr, 0, NULL);
}

static int add_calls(scmp_filter_ctx f, int userns)
{
	for (size_t i = 0; i < COUNT(allowed); i++)
		if (rule(f, SCMP_ACT_ALLOW, allowed[i]) < 0)
			return -1;
	for (size_t i = 0; i < COUNT(refused); i++)
		if (!(userns && in_list(for_userns, COUNT(for_userns), refused[i])) &&
		    rule(f, SCMP_ACT_ERRNO(EPERM), refused[i]) < 0)
			return -1;
	for (size_t i = 0; userns && i < COUNT(for_userns); i++)
		if (rule(f, SCMP_ACT_ALLOW, for_userns[i]) < 0)
			return -1;
	return 0;
}

/* Refuses the call when the low half of an argument, masked, is the value. */
static int refuse_arg(scmp_filter_ctx f, int nr, unsigned int arg, uint64_t mask, uint64_t value,
		      uint32_t err)
{
	struct scmp_arg_cmp cmp = {
		.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value
	};

	return seccomp_rule_add_array(f, SCMP_ACT_ERRNO(err), nr, 1, &cmp);
}

static int add_namespaces(scmp_filter_ctx f, int userns)
{
	for (size_t i = 0; !userns && i < CLONE_BITS_COUNT; i++) {
		/* In clone() 0x80 is part of the exit signal. */
		if (clone_bits[i] != 0x80 &&
		    refuse_arg(f, SCMP_SYS(clone), 0, clone_bits[i], clone_bits[i], EPERM) < 0)
			return -1;
		if (refuse_arg(f, SCMP_SYS(unshare), 0, clone_bits[i], clone_bits[i], EPERM) < 0)
			return -1;
	}
	return 0;
}

static int refuse_beyond(scmp_filter_ctx f, int nr, uint64_t first)
{
	struct scmp_arg_cmp cmp = { .arg = 0, .op = SCMP_CMP_GE, .datum_a = first };

	return seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), nr, 1, &cmp);
}

/* AF_UNIX 1, AF_INET 2, AF_INET6 10, AF_NETLINK 16; AF_PACKET 17 for a net qube. Families are
 * listed one by one, because a refused one must not even load its module. */
static int add_families(scmp_filter_ctx f, int net)
{
	enum { FAMILIES = 64 };

	for (uint64_t a = 0; a < FAMILIES; a++) {
		if (a != 1 &&
		    refuse_arg(f, SCMP_SYS(socketpair), 0, 0xffffffff, a, EAFNOSUPPORT) < 0)
			return -1;
		if (a == 1 || a == 2 || a == 10 || a == 16 || (net && a == 17))
			continue;
		if (refuse_arg(f, SCMP_SYS(socket), 0, 0xffffffff, a, EAFNOSUPPORT) < 0)
			return -1;
	}
	if (refuse_beyond(f, SCMP_SYS(socketpair), FAMILIES) < 0)
		return -1;
	return refuse_beyond(f, SCMP_SYS(socket), FAMILIES);
}

/* NETLINK_ROUTE 0; NETLINK_NETFILTER 12 and NETLINK_GENERIC 16 for a net qube. */
static int add_netlink(scmp_filter_ctx f, int net)
{
	for (uint64_t p = 1; p < 32; p++) {
		struct scmp_arg_cmp cmp[2] = {
			{ .arg = 0,
			  .op = SCMP_CMP_MASKED_EQ,
			  .datum_a = 0xffffffff,
			  .datum_b = 16 },
			{ .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xffffffff, .datum_b = p },
		};

		if (net && (p == 12 || p == 16))
			continue;
		if (seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket), 2,
					   cmp) < 0)
			return -1;
	}
	return 0;
}

/* Rare protocols of AF_INET and AF_INET6, each a module that is loaded by whoever names it: DCCP 33
 * (also by its type, 6), L2TP 115, SCTP 132, SMC 256. */
static int add_protocols(scmp_filter_ctx f)
{
	static const uint64_t families[] = { 2, 10 };
	static const struct {
		unsigned int arg;
		uint64_t mask;
		uint64_t value;
	} no[] = { { 1, 0xf, 6 },
		   { 2, 0xffffffff, 33 },
		   { 2, 0xffffffff, 115 },
		   { 2, 0xffffffff, 132 },
		   { 2, 0xffffffff, 256 } };

	for (size_t i = 0; i < COUNT(families) * COUNT(no); i++) {
		struct scmp_arg_cmp cmp[2] = {
			{ .arg = 0,
			  .op = SCMP_CMP_MASKED_EQ,
			  .datum_a = 0xffffffff,
			  .datum_b = families[i % 2] },
			{ .arg = no[i / 2].arg,
			  .op = SCMP_CMP_MASKED_EQ,
			  .datum_a = no[i / 2].mask,
			  .datum_b = no[i / 2].value },
		};

		if (seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket), 2,
					   cmp) < 0)
			return -1;
	}
	return 0;
}

/* btrfs lets everybody make subvolumes, read-only ones too, which the host cannot remove as a tree
 * of files, and in which files have the numbers of others: SNAP_CREATE 1, SUBVOL_CREATE 14,
 * SNAP_DESTROY 15, both creates of version 2, SUBVOL_SETFLAGS 26, SNAP_DESTROY_V2 63, by type and
 * number, whatever the size. To programs it is a file system that has none. */
static int add_subvolumes(scmp_filter_ctx f)
{
	static const uint64_t numbers[] = { 1, 14, 15, 23, 24, 26, 63 };

	for (size_t i = 0; i < COUNT(numbers); i++)
		if (refuse_arg(f, SCMP_SYS(ioctl), 1, 0xffff, 0x9400 | numbers[i], ENOTTY) < 0)
			return -1;
	return 0;
}

static int add_arguments(scmp_filter_ctx f, int userns, int net)
{
	/* TIOCSTI, TIOCLINUX: typing into a terminal that somebody else reads. */
	if (refuse_arg(f, SCMP_SYS(ioctl), 1, 0xffffffff, 0x5412, EPERM) < 0 ||
	    refuse_arg(f, SCMP_SYS(ioctl), 1, 0xffffffff, 0x541c, EPERM) < 0)
		return -1;
	/* TIOCSETD: a terminal's other disciplines are drivers, and are loaded by being named. */
	if (refuse_arg(f, SCMP_SYS(ioctl), 1, 0xffffffff, 0x5423, EPERM) < 0)
		return -1;
	if (add_subvolumes(f) < 0)
		return -1;
	/* PR_SCHED_CORE: with a cookie for each of its threads a qube would leave cores half idle.
	 */
	if (refuse_arg(f, SCMP_SYS(prctl), 0, 0xffffffff, 62, EINVAL) < 0)
		return -1;
	if (add_namespaces(f, userns) < 0 || add_families(f, net) < 0 || add_protocols(f) < 0)
		return -1;
	return add_netlink(f, net);
}

static int print_code(FILE *out, FILE *bpf, const char *name)
{
	struct sock_filter ins;
	unsigned int n = 0;

	rewind(bpf);
	fprintf(out, "static const struct sock_filter %s[] = {\n", name);
	while (fread(&ins, sizeof(ins), 1, bpf) == 1 && ++n)
		fprintf(out, "\t{ 0x%x, %u, %u, 0x%x },\n", ins.code, ins.jt, ins.jf, ins.k);
	fprintf(out, "};\n");
	return n > 0 && n <= 4096 ? 0 : -1;
}

static int print_filter(FILE *out, scmp_filter_ctx f, const char *name)
{
	FILE *bpf = tmpfile();
	int r;

	if (!bpf)
		return -1;
	r = seccomp_export_bpf(f, fileno(bpf));
	if (r == 0)
		r = print_code(out, bpf, name);
	fclose(bpf);
	return r;
}

static int make(FILE *out, unsigned int kind, int arguments)
{
	uint32_t otherwise = arguments ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS);
	scmp_filter_ctx f = seccomp_init(otherwise);
	char name[32];
	int r;

	if (!f)
		return -1;
	snprintf(name, sizeof(name), "%s_%u", arguments ? "arguments" : "calls", kind);
	/* Another ABI (i386, x32) on this machine knows no call. */
	r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = arguments ? add_arguments(f, kind & 1, (kind & 2) != 0) :
				add_calls(f, kind & 1);
	if (r == 0)
		r = print_filter(out, f, name);
	seccomp_release(f);
	return r;
}

int main(int argc, char **argv)
{
	FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;
	int r = out ? 0 : -1;

	if (r == 0)
		fprintf(out, "/* Written by genfilter. */\n");
	for (unsigned int kind = 0; r == 0 && kind < 4; kind++)
		r = make(out, kind, 0) < 0 || make(out, kind, 1) < 0 ? -1 : 0;
	if (r == 0) {
		fprintf(out, "struct filter {\n\tunsigned short len;\n"
			     "\tconst struct sock_filter *code;\n};\n"
			     "/* Bit 0: user namespaces allowed; bit 1: a net qube. */\n"
			     "static const struct {\n\tstruct filter calls;\n"
			     "\tstruct filter arguments;\n} filters[4] = {\n");
		for (unsigned int kind = 0; kind < 4; kind++)
			fprintf(out,
				"\t{ { sizeof(calls_%u) / 8, calls_%u }, "
				"{ sizeof(arguments_%u) / 8, arguments_%u } },\n",
				kind, kind, kind, kind);
		fprintf(out, "};\n");
	}
	if (out && fclose(out) != 0)
		r = -1;
	if (r < 0)
		fprintf(stderr, "genfilter: cannot write the filters\n");
	return r < 0 ? 1 : 0;
}
