/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Places at which tests let a process of ours be killed, or the step behind them fail. Without the
 * build option QUBE_FAULTS they are nothing at all; what is installed is never built with it
 * (docs/adr/0010). */
#ifndef QUBE_BASE_FAULT_H
#define QUBE_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* tests/e2e/faults.py reads this table: a number is never used for another place. At FAILS the step
 * behind the place can fail, at DIES there is none. */
#define QUBE__FAULT_TABLE(X)                                                                       \
	X(1, START_BEGUN, DIES)	     /* the state is Transient */                                  \
	X(2, START_VOLUMES, FAILS)   /* before a volume is started */                              \
	X(3, START_CREATED, DIES)    /* there is a launcher */                                     \
	X(4, START_HELD, FAILS)	     /* the box waits for its word */                              \
	X(5, START_RUNNING, FAILS)   /* before the agent's socket */                               \
	X(6, START_UP, DIES)	     /* the agent said hello */                                    \
	X(7, BOX_SPEC, FAILS)	     /* the launcher read its task */                              \
	X(8, BOX_SCRATCH, FAILS)     /* it has mounts of its own */                                \
	X(9, BOX_BORN, FAILS)	     /* the box is told to the host */                             \
	X(10, BOX_TREES, FAILS)	     /* overlays are mounted */                                    \
	X(11, BOX_ROOT, FAILS)	     /* the box is in its root */                                  \
	X(12, BOX_JAILED, FAILS)     /* it has dropped its rights */                               \
	X(13, BOX_RUN, FAILS)	     /* before the agent is forked */                              \
	X(14, AGENT_BEGUN, FAILS)    /* the agent's first line */                                  \
	X(15, AGENT_EXEC, FAILS)     /* before it runs a service */                                \
	X(16, BROKER_GUEST, FAILS)   /* a guest is added */                                        \
	X(17, BROKER_CALL, FAILS)    /* before a call of the host */                               \
	X(18, STOP_ASKED, FAILS)     /* before the guest is told */                                \
	X(19, STOP_GONE, DIES)	     /* the machine ended */                                       \
	X(20, STOP_SETTLED, DIES)    /* its volumes are stopped */                                 \
	X(21, COMMIT_SAID, FAILS)    /* the new layer is announced */                              \
	X(22, COMMIT_MOVED, FAILS)   /* it is among the layers */                                  \
	X(23, COMMIT_DONE, DIES)     /* and in the volume's file */                                \
	X(24, WORKER_SYNC, FAILS)    /* before the pool is flushed */                              \
	X(25, CREATE_DEFINED, FAILS) /* a qube without its volumes */                              \
	X(26, CREATE_VOLUMES, DIES)  /* a qube that nobody knows of */                             \
	X(27, REMOVE_DEFINED, DIES)  /* the definition is gone */                                  \
	X(28, REMOVE_TRASHED, FAILS) /* and the volumes are moved */                               \
	X(29, CLONE_DEFINED, DIES)   /* a qube without its contents */                             \
	X(30, CLONE_PLACED, FAILS)   /* one volume is there */                                     \
	X(31, WORKER_COPY, FAILS)    /* before a tree is copied */                                 \
	X(32, IMPORT_LAYER, FAILS)   /* a layer that nobody lists */                               \
	X(33, IMPORT_VOLUME, FAILS)  /* a volume of no qube */                                     \
	X(34, STORE_WRITTEN, FAILS)  /* the new file beside the old */                             \
	X(35, STORE_RENAMED, FAILS)  /* the new file, not yet flushed */                           \
	X(36, OPEN_RECOVERED, FAILS) /* a pool that is being opened */                             \
	X(37, WORKER_FLATTEN, FAILS) /* before layers are merged */                                \
	X(38, FLATTEN_LAYER, FAILS)  /* a merged layer that nobody lists */                        \
	X(39, STOP_KILLED, DIES)     /* the machine was told to end at once */                     \
	X(40, GROUP_MADE, DIES)	     /* a cgroup that no file names yet */

enum qube__fault {
#define QUBE__FAULT_NUMBER(number, name, how) QUBE__FAULT_##name = number,
	QUBE__FAULT_TABLE(QUBE__FAULT_NUMBER)
#undef QUBE__FAULT_NUMBER
};

#ifdef QUBE_FAULTS
void qube__fault(enum qube__fault point);
/* The same place, where the next step can fail. True: it is to; errno and the record say of what.
 */
bool qube__fault_fails(enum qube__fault point);
#else
#define qube__fault(point)	 ((void)0)
#define qube__fault_fails(point) false
#endif

#endif
