/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Loaded into qube-xl before libxenlight: what that asks of the hypervisor, of the xenstore and of
 * the kernel while it creates a domain comes by here. Each kind of request, by what it is for, is
 * a step. STEPS_FILE tells at which step the request fails ("fail 7") or the process is killed
 * ("die 7"); STEPS_FILE.hit tells afterwards which one that was. */
#include <xencall.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_STEPS = 512, STEP_LEN = 120, DOMCTL = 36, SYSCTL = 35 };

static char seen[MAX_STEPS][STEP_LEN];
static int n_seen;
static int at; /* 0: none, or it was */
static bool kills;

static void *real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();
	return p;
}

static void hit(const char *step)
{
	char path[256];
	FILE *f;

	at = 0;
	snprintf(path, sizeof(path), "%s.hit", getenv("STEPS_FILE"));
	f = fopen(path, "we");
	if (!f || fputs(step, f) < 0 || fclose(f) != 0)
		abort();
	if (kills)
		kill(getpid(), SIGKILL);
}

/* Numbers are those of this domain. A request for the same as before is no new step, nor is one for
 * another key of the same folder. */
static bool fails(const char *what, const char *of)
{
	char step[STEP_LEN];
	size_t n = 0;

	if (!at || n_seen == MAX_STEPS)
		return false;
	/* libxenlight waits for each of them for ten seconds in vain. */
	if (strstr(of, "console"))
		of = "/console/";
	for (const char *parts[] = { what, " ", of }, **p = parts; p < parts + 3; p++)
		for (const char *c = *p; *c && n < STEP_LEN - 1; c++)
			if (!isdigit((unsigned char)*c) || !n || step[n - 1] != '#')
				step[n++] = isdigit((unsigned char)*c) ? '#' : *c;
	step[n] = '\0';
	if (strrchr(step, '/')) {
		n = (size_t)(strrchr(step, '/') - step);
		step[n] = '\0';
	}
	for (int i = 0; i < n_seen; i++)
		if (!strcmp(seen[i], step))
			return false;
	memcpy(seen[n_seen++], step, n + 1);
	if (n_seen != at)
		return false;
	hit(step);
	return true;
}

/* --- from the beginning of a creation to the next look at the domains --- */

int libxl_domain_create_new(void *ctx, void *config, uint32_t *domid, const void *how,
			    const void *progress)
{
	int (*create)(void *, void *, uint32_t *, const void *, const void *) =
		real("libxl_domain_create_new");
	FILE *f = fopen(getenv("STEPS_FILE"), "re");
	char mode[8] = "";

	n_seen = at = 0;
	if (f && fscanf(f, "%7s %d", mode, &at) != 2)
		at = 0;
	if (f)
		fclose(f);
	kills = !strcmp(mode, "die");
	return create(ctx, config, domid, how, progress);
}

void *libxl_list_domain(void *ctx, int *n)
{
	void *(*list)(void *, int *) = real("libxl_list_domain");
	Dl_info from = { 0 };

	/* libxenlight looks at them too. */
	if (!dladdr(__builtin_return_address(0), &from) || !from.dli_fname ||
	    !strstr(from.dli_fname, "libxenlight"))
		at = 0;
	return list(ctx, n);
}

/* --- the hypervisor --- */

static bool call_fails(unsigned int op, uint64_t arg)
{
	char of[32] = "";

	/* Such are told apart by the first word of their buffer, others by their first argument. */
	if (op == DOMCTL || op == SYSCTL)
		arg = *(const uint32_t *)(uintptr_t)arg;
	/* As letters: figures are not told apart. */
	for (size_t i = 0; arg < 1000 && (i == 0 || arg) && i < sizeof(of) - 1; i++, arg /= 10)
		of[i] = (char)('a' + arg % 10);
	errno = ENOMEM;
	switch (op) {
	case DOMCTL:
		return fails("domctl", of);
	case SYSCTL:
		return fails("sysctl", of);
	case 12:
		return fails("memory", of);
	case 26:
		return fails("mmuext", "");
	/* Not event channels: with none for it Xen's own daemons keep a page of the domain for
	 * ever. */
	case 32:
		return false;
	case 34:
		return fails("hvm", of);
	default:
		return fails("hypercall", of);
	}
}

int xencall1(xencall_handle *x, unsigned int op, uint64_t a)
{
	int (*call)(xencall_handle *, unsigned int, uint64_t) = real("xencall1");

	return call_fails(op, a) ? -1 : call(x, op, a);
}

int xencall2(xencall_handle *x, unsigned int op, uint64_t a, uint64_t b)
{
	int (*call)(xencall_handle *, unsigned int, uint64_t, uint64_t) = real("xencall2");

	return call_fails(op, a) ? -1 : call(x, op, a, b);
}

int xencall4(xencall_handle *x, unsigned int op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	int (*call)(xencall_handle *, unsigned int, uint64_t, uint64_t, uint64_t, uint64_t) =
		real("xencall4");

	return call_fails(op, a) ? -1 : call(x, op, a, b, c, d);
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t dom, int prot, size_t pages,
			   const xen_pfn_t arr[], int err[])
{
	void *(*map)(xenforeignmemory_handle *, uint32_t, int, size_t, const xen_pfn_t[], int[]) =
		real("xenforeignmemory_map");

	errno = ENOMEM;
	return fails("map", "") ? NULL : map(h, dom, prot, pages, arr, err);
}

/* --- the xenstore --- */

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	xs_transaction_t (*start)(struct xs_handle *) = real("xs_transaction_start");

	errno = ENOSPC;
	return fails("xs_transaction_start", "") ? XBT_NULL : start(h);
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
	bool (*end)(struct xs_handle *, xs_transaction_t, bool) = real("xs_transaction_end");

	if (abort || !fails("xs_transaction_end", ""))
		return end(h, t, abort);
	end(h, t, true);
	errno = EIO;
	return false;
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
	      unsigned int len)
{
	bool (*write)(struct xs_handle *, xs_transaction_t, const char *, const void *,
		      unsigned int) = real("xs_write");

	errno = ENOSPC;
	return fails("xs_write", path) ? false : write(h, t, path, data, len);
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	bool (*mkdir)(struct xs_handle *, xs_transaction_t, const char *) = real("xs_mkdir");

	errno = ENOSPC;
	return fails("xs_mkdir", path) ? false : mkdir(h, t, path);
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
			struct xs_permissions *perms, unsigned int n)
{
	bool (*set)(struct xs_handle *, xs_transaction_t, const char *, struct xs_permissions *,
		    unsigned int) = real("xs_set_permissions");

	errno = EIO;
	return fails("xs_set_permissions", path) ? false : set(h, t, path, perms, n);
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	bool (*watch)(struct xs_handle *, const char *, const char *) = real("xs_watch");

	errno = ENOSPC;
	return fails("xs_watch", path) ? false : watch(h, path, token);
}

bool xs_introduce_domain(struct xs_handle *h, unsigned int domid, unsigned long mfn,
			 unsigned int port)
{
	bool (*introduce)(struct xs_handle *, unsigned int, unsigned long, unsigned int) =
		real("xs_introduce_domain");

	errno = EIO;
	return fails("xs_introduce_domain", "") ? false : introduce(h, domid, mfn, port);
}

/* --- the kernel --- */

pid_t fork(void)
{
	pid_t (*real_fork)(void) = real("fork");

	errno = EAGAIN;
	return fails("fork", "") ? -1 : real_fork();
}

int pipe(int fds[2])
{
	int (*real_pipe)(int *) = real("pipe");

	errno = EMFILE;
	return fails("pipe", "") ? -1 : real_pipe(fds);
}
