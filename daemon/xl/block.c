/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-block: what libxenlight runs for a disk of a domain. It tells the back end which device it
 * is, unless another domain has that device and one of the two writes to it. Xen's own script does
 * the same in shell, with more kinds of disks and some forty processes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <xenstore.h>

enum { PATH_LEN = 256, STEP_US = 5000, OPEN_STEPS = 2000 };

static const char lock_file[] = "/run/libqube-block.lock";
static const char all[] = "/local/domain/0/backend/vbd";

static char *get(struct xs_handle *xs, const char *dir, const char *key)
{
	char path[PATH_LEN];

	if (snprintf(path, sizeof(path), "%s/%s", dir, key) >= (int)sizeof(path))
		return NULL;
	return xs_read(xs, XBT_NULL, path, NULL);
}

static bool put(struct xs_handle *xs, const char *dir, const char *key, const char *value)
{
	char path[PATH_LEN];

	return snprintf(path, sizeof(path), "%s/%s", dir, key) < (int)sizeof(path) &&
	       xs_write(xs, XBT_NULL, path, value, (unsigned int)strlen(value));
}

static bool writes(struct xs_handle *xs, const char *dir)
{
	char *mode = get(xs, dir, "mode");
	bool yes = mode && strchr(mode, 'w');

	free(mode);
	return yes;
}

/* Does that back end, not our own, hold the device in a way that ours cannot bear? */
static bool collides(struct xs_handle *xs, const char *other, const char *own, const char *id)
{
	char *theirs = strcmp(other, own) ? get(xs, other, "physical-device") : NULL;
	bool yes = theirs && !strcmp(theirs, id) && (writes(xs, own) || writes(xs, other));

	free(theirs);
	return yes;
}

static bool is_taken(struct xs_handle *xs, const char *own, const char *id)
{
	unsigned int n_domains = 0;
	char **domains = xs_directory(xs, XBT_NULL, all, &n_domains);
	bool taken = false;

	for (unsigned int i = 0; domains && i < n_domains && !taken; i++) {
		unsigned int n = 0;
		char path[PATH_LEN];
		char **devices;

		snprintf(path, sizeof(path), "%s/%s", all, domains[i]);
		devices = xs_directory(xs, XBT_NULL, path, &n);
		for (unsigned int k = 0; devices && k < n && !taken; k++) {
			char other[2 * PATH_LEN];

			snprintf(other, sizeof(other), "%s/%s", path, devices[k]);
			taken = collides(xs, other, own, id);
		}
		free(devices);
	}
	free(domains);
	return taken;
}

static int refuse(struct xs_handle *xs, const char *own, const char *why)
{
	fprintf(stderr, "qube-block: %s: %s\n", own, why);
	put(xs, own, "hotplug-error", why);
	put(xs, own, "hotplug-status", "error");
	return 1;
}

/* The back end opens the device when it has read which, some time later; until then somebody else
 * holds it, and does so until we have ended. It says so by a file. */
static bool is_opened(const char *own)
{
	const char *handle = strrchr(own, '/');
	const char *domain = handle;
	char path[PATH_LEN];

	while (domain && domain > own && domain[-1] != '/')
		domain--;
	if (!domain || domain == own ||
	    snprintf(path, sizeof(path), "/sys/bus/xen-backend/devices/vbd-%.*s-%s/physical_device",
		     (int)(handle - domain), domain, handle + 1) >= (int)sizeof(path))
		return false;
	for (int i = 0; i < OPEN_STEPS; i++) {
		if (access(path, F_OK) == 0)
			return true;
		usleep(STEP_US);
	}
	return false;
}

static int add(struct xs_handle *xs, const char *own)
{
	/* Between the look and the word another one could come. */
	int lock = open(lock_file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char *device = get(xs, own, "params");
	struct stat st;
	char id[32];

	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return refuse(xs, own, "cannot lock");
	if (!device || stat(device, &st) < 0 || !S_ISBLK(st.st_mode))
		return refuse(xs, own, "it is no block device");
	snprintf(id, sizeof(id), "%x:%x", major(st.st_rdev), minor(st.st_rdev));
	if (is_taken(xs, own, id))
		return refuse(xs, own, "another domain has it, and one of the two writes to it");
	if (!put(xs, own, "physical-device", id) || !put(xs, own, "physical-device-path", device))
		return refuse(xs, own, strerror(errno));
	if (!is_opened(own))
		return refuse(xs, own, "the back end does not open it");
	if (!put(xs, own, "hotplug-status", "connected"))
		return refuse(xs, own, strerror(errno));
	free(device);
	return 0;
}

int main(int argc, char **argv)
{
	const char *own = getenv("XENBUS_PATH");
	struct xs_handle *xs;

	if (argc != 2 || !own) {
		fputs("usage: qube-block add|remove, with XENBUS_PATH; run by libxenlight\n",
		      stderr);
		return 2;
	}
	if (strcmp(argv[1], "add") != 0)
		return 0;
	/* Its domain may be taken away by somebody else when the helper that runs us has died. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() == 1)
		return 1;
	xs = xs_open(0);
	if (!xs) {
		fputs("qube-block: no xenstore\n", stderr);
		return 1;
	}
	return add(xs, own);
}
