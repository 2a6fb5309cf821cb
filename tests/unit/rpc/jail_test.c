/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The filter of system calls, in a process that has it: whoever takes over a jailed process has all
 * that is let through, against others of the same user too. */
#include "qtest.h"

#include "rpc/jail.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How a process ends that is confined and then does it: the exit code, or 128 + signal. */
static int end_of(void (*it)(pid_t other), pid_t other)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || qube__jail_filter(0) < 0)
			_exit(99);
		it(other);
		syscall(SYS_exit_group, 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void by_tgkill(pid_t other)
{
	syscall(SYS_tgkill, other, other, SIGKILL);
}

/* The kernel looks at the lower half alone. */
static void by_tgkill_beyond_32_bits(pid_t other)
{
	syscall(SYS_tgkill, (1ul << 32) | (unsigned long)other, other, SIGKILL);
}

static void by_tkill(pid_t other)
{
	syscall(SYS_tkill, other, SIGKILL);
}

static void by_kill(pid_t other)
{
	syscall(SYS_kill, other, SIGKILL);
}

static void by_kill_of_all(pid_t other)
{
	(void)other;
	syscall(SYS_kill, 0, 0);
}

/* The kernel sends signals for who may set whom it tells of input. */
static void by_owner_of_a_pipe(pid_t other)
{
	syscall(SYS_fcntl, 0, F_SETOWN, other);
}

static void by_owner_of_another_kind(pid_t other)
{
	struct f_owner_ex owner = { F_OWNER_PID, other };

	syscall(SYS_fcntl, 0, F_SETOWN_EX, &owner);
}

static void by_signal_of_a_pipe(pid_t other)
{
	(void)other;
	syscall(SYS_fcntl, 0, F_SETSIG, SIGKILL);
}

QTEST(jail, threat_16_a_jailed_process_signals_no_other)
{
	void (*const ways[])(pid_t) = {
		by_tgkill,
		by_tgkill_beyond_32_bits,
		by_tkill,
		by_kill,
		by_kill_of_all,
		by_owner_of_a_pipe,
		by_owner_of_another_kind,
		by_signal_of_a_pipe,
	};
	pid_t other = fork();
	int alive = 1;
	int status;

	if (other == 0)
		for (;;)
			pause();
	QT_TRUE(other > 0);
	for (size_t i = 0; alive && i < sizeof(ways) / sizeof(ways[0]); i++) {
		int end = end_of(ways[i], other);

		alive = waitpid(other, &status, WNOHANG) == 0;
		if (end != 128 + SIGSYS || !alive)
			qtest_fail(__FILE__, __LINE__, "way %zu: end %d, the other %s", i, end,
				   alive ? "lives" : "is dead");
	}
	if (!alive)
		return;
	kill(other, SIGKILL);
	waitpid(other, &status, 0);
}

/* What abort() does; before a call of abort() itself AddressSanitizer asks for the signal stack. */
static void by_abort(pid_t other)
{
	(void)other;
	raise(SIGABRT);
}

QTEST(jail, a_failed_assertion_still_ends_it_by_its_own_signal)
{
	QT_INT(end_of(by_abort, 0), 128 + SIGABRT);
}

static void what_descriptors_need(pid_t other)
{
	int pipe[2];

	(void)other;
	if (syscall(SYS_pipe2, pipe, O_CLOEXEC) < 0 ||
	    syscall(SYS_fcntl, pipe[0], F_DUPFD_CLOEXEC, 3) < 0 ||
	    syscall(SYS_fcntl, pipe[0], F_SETFL, O_NONBLOCK) < 0 ||
	    !(syscall(SYS_fcntl, pipe[0], F_GETFL) & O_NONBLOCK) ||
	    syscall(SYS_fcntl, pipe[1], F_GETPIPE_SZ) < 0 ||
	    syscall(SYS_fcntl, pipe[1], F_SETPIPE_SZ, 4096) < 0)
		syscall(SYS_exit_group, 1);
}

QTEST(jail, what_a_channel_of_pipes_needs_is_left)
{
	QT_INT(end_of(what_descriptors_need, 0), 0);
}
