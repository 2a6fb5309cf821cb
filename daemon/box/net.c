/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The box's network namespace. To make one takes the kernel longer than all the others together, so
 * the launcher does it while the box assembles its root. */
#include "box.h"

#include "base/cleanup.h"

#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Root of the box's user namespace and of nothing else from here on: the network is to be the
 * box's, as if it had made it. */
int box_make_network(int userns)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	qube__autofd s = -1;
	int net;

	if (setns(userns, CLONE_NEWUSER) < 0)
		return box_fail("cannot enter the user namespace of the box");
	if (unshare(CLONE_NEWNET) < 0)
		return box_fail("cannot make a network namespace");
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return box_fail("cannot make a socket");
	if (ioctl(s, SIOCSIFFLAGS, &ifr) < 0)
		return box_fail("cannot bring up the loopback interface");
	net = ioctl(s, SIOCGSKNS);
	return net < 0 ? box_fail("cannot name the network namespace") : net;
}

int box_join_network(int net)
{
	if (setns(net, CLONE_NEWNET) < 0)
		return box_fail("cannot enter the network namespace");
	return 0;
}
