/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Places at which tests let a process of ours be killed. Without the build option QUBE_FAULTS they
 * are nothing at all; what is installed is never built with it (docs/adr/0010). */
#ifndef QUBE_BASE_FAULT_H
#define QUBE_BASE_FAULT_H

#include <stdint.h>

/* tests/e2e/faults.py reads this table: a number is never used for another place. */
#define QUBE__FAULT_TABLE(X)                                                                       \
	X(1, START_BEGUN)     /* the state is Transient */                                         \
	X(2, START_VOLUMES)   /* before a volume is started */                                     \
	X(3, START_CREATED)   /* there is a launcher */                                            \
	X(4, START_HELD)      /* the box waits for its word */                                     \
	X(5, START_RUNNING)   /* before the agent's socket */                                      \
	X(6, START_UP)	      /* the agent said hello */                                           \
	X(7, BOX_SPEC)	      /* the launcher read its task */                                     \
	X(8, BOX_SCRATCH)     /* it has mounts of its own */                                       \
	X(9, BOX_BORN)	      /* the box is told to the host */                                    \
	X(10, BOX_TREES)      /* overlays are mounted */                                           \
	X(11, BOX_ROOT)	      /* the box is in its root */                                         \
	X(12, BOX_JAILED)     /* it has dropped its rights */                                      \
	X(13, BOX_RUN)	      /* before the agent is forked */                                     \
	X(14, AGENT_BEGUN)    /* the agent's first line */                                         \
	X(15, AGENT_EXEC)     /* before it runs a service */                                       \
	X(16, BROKER_GUEST)   /* a guest is added */                                               \
	X(17, BROKER_CALL)    /* before a call of the host */                                      \
	X(18, STOP_ASKED)     /* before the guest is told */                                       \
	X(19, STOP_GONE)      /* the machine ended */                                              \
	X(20, STOP_SETTLED)   /* its volumes are stopped */                                        \
	X(21, COMMIT_SAID)    /* the new layer is announced */                                     \
	X(22, COMMIT_MOVED)   /* it is among the layers */                                         \
	X(23, COMMIT_DONE)    /* and in the volume's file */                                       \
	X(24, WORKER_SYNC)    /* before the pool is flushed */                                     \
	X(25, CREATE_DEFINED) /* a qube without its volumes */                                     \
	X(26, CREATE_VOLUMES) /* a qube that nobody knows of */                                    \
	X(27, REMOVE_DEFINED) /* the definition is gone */                                         \
	X(28, REMOVE_TRASHED) /* and the volumes are moved */                                      \
	X(29, CLONE_DEFINED)  /* a qube without its contents */                                    \
	X(30, CLONE_PLACED)   /* one volume is there */                                            \
	X(31, WORKER_COPY)    /* before a tree is copied */                                        \
	X(32, IMPORT_LAYER)   /* a layer that nobody lists */                                      \
	X(33, IMPORT_VOLUME)  /* a volume of no qube */                                            \
	X(34, STORE_WRITTEN)  /* the new file beside the old */                                    \
	X(35, STORE_RENAMED)  /* the new file, not yet flushed */                                  \
	X(36, OPEN_RECOVERED) /* a pool that is being opened */                                    \
	X(37, WORKER_FLATTEN) /* before layers are merged */                                       \
	X(38, FLATTEN_LAYER)  /* a merged layer that nobody lists */

enum qube__fault {
#define QUBE__FAULT_NUMBER(number, name) QUBE__FAULT_##name = number,
	QUBE__FAULT_TABLE(QUBE__FAULT_NUMBER)
#undef QUBE__FAULT_NUMBER
};

#ifdef QUBE_FAULTS
void qube__fault(enum qube__fault point);
#else
#define qube__fault(point) ((void)0)
#endif

#endif
