/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Written by tests/abi/update, for machines with 64-bit pointers. What stands here is promised to
 * programs that are already built: lines are added, none is changed. */
#include <qube/admin.h>
#include <qube/broker.h>
#include <qube/copy.h>
#include <qube/ctx.h>
#include <qube/domain.h>
#include <qube/error.h>
#include <qube/event.h>
#include <qube/guest.h>
#include <qube/host.h>
#include <qube/label.h>
#include <qube/op.h>
#include <qube/policy.h>
#include <qube/pool.h>
#include <qube/qube.h>
#include <qube/rpc.h>
#include <qube/template.h>
#include <qube/types.h>
#include <qube/volume.h>

#include <stddef.h>

#define SAME(what, number) \
	_Static_assert((what) == (number), "the ABI changed: " #what)

#if __SIZEOF_POINTER__ == 8

/* admin.h */
SAME(sizeof(struct qube_admin_request), 48);
SAME(offsetof(struct qube_admin_request, size), 0);
SAME(offsetof(struct qube_admin_request, reserved0), 4);
SAME(offsetof(struct qube_admin_request, dest), 8);
SAME(offsetof(struct qube_admin_request, method), 16);
SAME(offsetof(struct qube_admin_request, argument), 24);
SAME(offsetof(struct qube_admin_request, payload), 32);
SAME(offsetof(struct qube_admin_request, payload_len), 40);

/* broker.h */
SAME(sizeof(struct qube_broker_opts), 24);
SAME(offsetof(struct qube_broker_opts, size), 0);
SAME(offsetof(struct qube_broker_opts, flags), 4);
SAME(offsetof(struct qube_broker_opts, uid), 8);
SAME(offsetof(struct qube_broker_opts, gid), 12);
SAME(offsetof(struct qube_broker_opts, reserved0), 16);
SAME(offsetof(struct qube_broker_opts, reserved1), 20);
SAME(QUBE_BROKER_NO_JAIL, 1);
SAME(QUBE_BROKER_JAIL_IF_SUPPORTED, 2);

/* copy.h */
SAME(sizeof(struct qube_copy_opts), 48);
SAME(offsetof(struct qube_copy_opts, size), 0);
SAME(offsetof(struct qube_copy_opts, flags), 4);
SAME(offsetof(struct qube_copy_opts, path), 8);
SAME(offsetof(struct qube_copy_opts, name), 16);
SAME(offsetof(struct qube_copy_opts, user), 24);
SAME(offsetof(struct qube_copy_opts, max_bytes), 32);
SAME(offsetof(struct qube_copy_opts, fd), 40);
SAME(offsetof(struct qube_copy_opts, reserved0), 44);
SAME(QUBE_COPY_NO_START, 1);
SAME(QUBE_COPY_REPLACE, 2);

/* ctx.h */
SAME(sizeof(struct qube_ctx_opts), 96);
SAME(offsetof(struct qube_ctx_opts, size), 0);
SAME(offsetof(struct qube_ctx_opts, flags), 4);
SAME(offsetof(struct qube_ctx_opts, mode), 8);
SAME(offsetof(struct qube_ctx_opts, log_priority), 12);
SAME(offsetof(struct qube_ctx_opts, driver), 16);
SAME(offsetof(struct qube_ctx_opts, state_dir), 24);
SAME(offsetof(struct qube_ctx_opts, run_dir), 32);
SAME(offsetof(struct qube_ctx_opts, policy_root), 40);
SAME(offsetof(struct qube_ctx_opts, libexec_dir), 48);
SAME(offsetof(struct qube_ctx_opts, broker_program), 56);
SAME(offsetof(struct qube_ctx_opts, socket_path), 64);
SAME(offsetof(struct qube_ctx_opts, log), 72);
SAME(offsetof(struct qube_ctx_opts, log_user), 80);
SAME(offsetof(struct qube_ctx_opts, cgroup), 88);
SAME(QUBE_MODE_EMBEDDED, 0);
SAME(QUBE_MODE_CONNECTED, 1);
SAME(QUBE_MODE_FAKE, 2);
SAME(QUBE_CTX_NO_GUESTS, 1);
SAME(QUBE_CTX_KEEP_QUBES, 2);
SAME(QUBE_CTX_OWN_CGROUP, 4);
SAME(QUBE_ISOLATION_NONE, 0);
SAME(QUBE_ISOLATION_KERNEL_SHARED, 1);
SAME(QUBE_ISOLATION_HYPERVISOR, 2);

/* domain.h */
SAME(sizeof(struct qube_domain_create_opts), 48);
SAME(offsetof(struct qube_domain_create_opts, size), 0);
SAME(offsetof(struct qube_domain_create_opts, flags), 4);
SAME(offsetof(struct qube_domain_create_opts, name), 8);
SAME(offsetof(struct qube_domain_create_opts, klass), 16);
SAME(offsetof(struct qube_domain_create_opts, template_name), 24);
SAME(offsetof(struct qube_domain_create_opts, label), 32);
SAME(offsetof(struct qube_domain_create_opts, pool), 40);
SAME(sizeof(struct qube_domain_start_opts), 8);
SAME(offsetof(struct qube_domain_start_opts, size), 0);
SAME(offsetof(struct qube_domain_start_opts, flags), 4);
SAME(sizeof(struct qube_domain_shutdown_opts), 16);
SAME(offsetof(struct qube_domain_shutdown_opts, size), 0);
SAME(offsetof(struct qube_domain_shutdown_opts, flags), 4);
SAME(offsetof(struct qube_domain_shutdown_opts, timeout_ms), 8);
SAME(offsetof(struct qube_domain_shutdown_opts, reserved0), 12);
SAME(sizeof(struct qube_property), 24);
SAME(offsetof(struct qube_property, size), 0);
SAME(offsetof(struct qube_property, flags), 4);
SAME(offsetof(struct qube_property, type), 8);
SAME(offsetof(struct qube_property, reserved0), 12);
SAME(offsetof(struct qube_property, value), 16);
SAME(sizeof(struct qube_domain_stats), 64);
SAME(offsetof(struct qube_domain_stats, size), 0);
SAME(offsetof(struct qube_domain_stats, known), 4);
SAME(offsetof(struct qube_domain_stats, memory_bytes), 8);
SAME(offsetof(struct qube_domain_stats, cpu_ns), 16);
SAME(offsetof(struct qube_domain_stats, pids), 24);
SAME(offsetof(struct qube_domain_stats, read_bytes), 32);
SAME(offsetof(struct qube_domain_stats, write_bytes), 40);
SAME(offsetof(struct qube_domain_stats, start_time_ms), 48);
SAME(offsetof(struct qube_domain_stats, target_bytes), 56);
SAME(QUBE_CLASS_ADMIN, 1);
SAME(QUBE_CLASS_TEMPLATE, 2);
SAME(QUBE_CLASS_APP, 3);
SAME(QUBE_CLASS_STANDALONE, 4);
SAME(QUBE_CLASS_DISP, 5);
SAME(QUBE_CLASS_REMOTE, 6);
SAME(QUBE_STATE_HALTED, 1);
SAME(QUBE_STATE_TRANSIENT, 2);
SAME(QUBE_STATE_RUNNING, 3);
SAME(QUBE_STATE_PAUSED, 4);
SAME(QUBE_STATE_SUSPENDED, 5);
SAME(QUBE_STATE_HALTING, 6);
SAME(QUBE_STATE_DYING, 7);
SAME(QUBE_STATE_CRASHED, 8);
SAME(QUBE_DOMAIN_CREATE_DISPOSABLE, 1);
SAME(QUBE_DOMAIN_CREATE_BOUND, 2);
SAME(QUBE_DOMAIN_START_DISCARD, 1);
SAME(QUBE_DOMAIN_SHUTDOWN_FORCE, 1);
SAME(QUBE_DOMAIN_SHUTDOWN_OR_KILL, 2);
SAME(QUBE_DOMAIN_SHUTDOWN_KEEP, 4);
SAME(QUBE_PROPERTY_IS_DEFAULT, 1);
SAME(QUBE_PROPERTY_STR, 1);
SAME(QUBE_PROPERTY_INT, 2);
SAME(QUBE_PROPERTY_BOOL, 3);
SAME(QUBE_PROPERTY_VM, 4);
SAME(QUBE_PROPERTY_LABEL, 5);
SAME(QUBE_STATS_MEMORY, 1);
SAME(QUBE_STATS_CPU, 2);
SAME(QUBE_STATS_PIDS, 4);
SAME(QUBE_STATS_IO, 8);
SAME(QUBE_STATS_START, 16);
SAME(QUBE_STATS_MEMORY_GUESSED, 32);
SAME(QUBE_STATS_TARGET, 64);

/* error.h */
SAME(sizeof(struct qube_error), 40);
SAME(offsetof(struct qube_error, code), 0);
SAME(offsetof(struct qube_error, os_errno), 4);
SAME(offsetof(struct qube_error, where), 8);
SAME(offsetof(struct qube_error, message), 16);
SAME(offsetof(struct qube_error, rule_file), 24);
SAME(offsetof(struct qube_error, rule_line), 32);
SAME(offsetof(struct qube_error, detail), 36);
SAME(QUBE_OK, 0);
SAME(QUBE_E_SYSTEM, -1);
SAME(QUBE_E_NOMEM, -2);
SAME(QUBE_E_INVALID, -3);
SAME(QUBE_E_NOTSUP, -4);
SAME(QUBE_E_PROTO, -5);
SAME(QUBE_E_LIMIT, -6);
SAME(QUBE_E_DENIED, -7);
SAME(QUBE_E_NOENT, -8);
SAME(QUBE_E_STATE, -9);
SAME(QUBE_E_AGAIN, -10);
SAME(QUBE_E_CLOSED, -11);
SAME(QUBE_E_EXISTS, -12);
SAME(QUBE_E_BUSY, -13);
SAME(QUBE_E_TIMEOUT, -14);
SAME(QUBE_E_CANCELED, -15);
SAME(QUBE_D_NONE, 0);
SAME(QUBE_D_VM_NOT_FOUND, 1);
SAME(QUBE_D_VM_IN_USE, 2);
SAME(QUBE_D_VM_NOT_STARTED, 3);
SAME(QUBE_D_VM_NOT_RUNNING, 4);
SAME(QUBE_D_VM_NOT_PAUSED, 5);
SAME(QUBE_D_VM_NOT_HALTED, 6);
SAME(QUBE_D_VM_SHUTDOWN_TIMEOUT, 7);
SAME(QUBE_D_VM_ALREADY_EXISTS, 8);
SAME(QUBE_D_VM_ERROR, 9);
SAME(QUBE_D_NO_TEMPLATE, 10);
SAME(QUBE_D_POOL_IN_USE, 11);
SAME(QUBE_D_VALUE, 12);
SAME(QUBE_D_PROPERTY_VALUE, 13);
SAME(QUBE_D_NO_SUCH_PROPERTY, 14);
SAME(QUBE_D_FEATURE_NOT_FOUND, 15);
SAME(QUBE_D_TAG_NOT_FOUND, 16);
SAME(QUBE_D_LABEL_NOT_FOUND, 17);
SAME(QUBE_D_LABEL_IN_USE, 18);
SAME(QUBE_D_INVALID_TAG, 19);
SAME(QUBE_D_STORAGE, 20);
SAME(QUBE_D_PROTOCOL, 21);
SAME(QUBE_D_PERMISSION, 22);
SAME(QUBE_D_NOT_IMPLEMENTED, 23);
SAME(QUBE_D_MEMORY, 24);
SAME(QUBE_D_INVALID_UUID, 25);
SAME(QUBE_D_INVALID_LABEL, 26);
SAME(QUBE_D_INVALID_LABEL_VALUE, 27);
SAME(QUBE_D_GENERIC, 28);

/* event.h */
SAME(sizeof(struct qube_event), 48);
SAME(offsetof(struct qube_event, subject), 0);
SAME(offsetof(struct qube_event, name), 8);
SAME(offsetof(struct qube_event, keys), 16);
SAME(offsetof(struct qube_event, values), 24);
SAME(offsetof(struct qube_event, n_fields), 32);
SAME(offsetof(struct qube_event, time_ms), 40);
SAME(sizeof(struct qube_callback), 24);
SAME(offsetof(struct qube_callback, fn), 0);
SAME(offsetof(struct qube_callback, user), 8);
SAME(offsetof(struct qube_callback, free), 16);

/* guest.h */
SAME(sizeof(struct qube_guest_agent_opts), 80);
SAME(offsetof(struct qube_guest_agent_opts, size), 0);
SAME(offsetof(struct qube_guest_agent_opts, grace_ms), 4);
SAME(offsetof(struct qube_guest_agent_opts, control_fd), 8);
SAME(offsetof(struct qube_guest_agent_opts, stop_fd), 12);
SAME(offsetof(struct qube_guest_agent_opts, default_user), 16);
SAME(offsetof(struct qube_guest_agent_opts, service_path), 24);
SAME(offsetof(struct qube_guest_agent_opts, config_path), 32);
SAME(offsetof(struct qube_guest_agent_opts, trigger_socket), 40);
SAME(offsetof(struct qube_guest_agent_opts, env), 48);
SAME(offsetof(struct qube_guest_agent_opts, log), 56);
SAME(offsetof(struct qube_guest_agent_opts, user), 64);
SAME(offsetof(struct qube_guest_agent_opts, vchan), 72);
SAME(sizeof(struct qube_guest_call_opts), 88);
SAME(offsetof(struct qube_guest_call_opts, size), 0);
SAME(offsetof(struct qube_guest_call_opts, flags), 4);
SAME(offsetof(struct qube_guest_call_opts, target), 8);
SAME(offsetof(struct qube_guest_call_opts, service), 16);
SAME(offsetof(struct qube_guest_call_opts, source), 24);
SAME(offsetof(struct qube_guest_call_opts, agent_socket), 32);
SAME(offsetof(struct qube_guest_call_opts, prefix), 40);
SAME(offsetof(struct qube_guest_call_opts, prefix_len), 48);
SAME(offsetof(struct qube_guest_call_opts, stdin_fd), 56);
SAME(offsetof(struct qube_guest_call_opts, stdout_fd), 60);
SAME(offsetof(struct qube_guest_call_opts, stderr_fd), 64);
SAME(offsetof(struct qube_guest_call_opts, reserved0), 68);
SAME(offsetof(struct qube_guest_call_opts, program), 72);
SAME(offsetof(struct qube_guest_call_opts, env), 80);
SAME(QUBE_GUEST_CALL_FILTER_STDOUT, 1);
SAME(QUBE_GUEST_CALL_FILTER_STDERR, 2);

/* host.h */
SAME(sizeof(struct qube_check), 328);
SAME(offsetof(struct qube_check, outcome), 0);
SAME(offsetof(struct qube_check, reserved0), 4);
SAME(offsetof(struct qube_check, name), 8);
SAME(offsetof(struct qube_check, detail), 72);
SAME(QUBE_CHECK_OK, 0);
SAME(QUBE_CHECK_WARN, 1);
SAME(QUBE_CHECK_FAIL, 2);

/* label.h */
SAME(sizeof(struct qube_label_info), 16);
SAME(offsetof(struct qube_label_info, size), 0);
SAME(offsetof(struct qube_label_info, index), 4);
SAME(offsetof(struct qube_label_info, rgb), 8);
SAME(offsetof(struct qube_label_info, reserved0), 12);
SAME(QUBE_LABEL_BUILT_IN, 8);

/* op.h */
SAME(sizeof(struct qube_op_stage), 24);
SAME(offsetof(struct qube_op_stage, name), 0);
SAME(offsetof(struct qube_op_stage, start_ns), 8);
SAME(offsetof(struct qube_op_stage, duration_ns), 16);
SAME(sizeof(struct qube_op_progress), 40);
SAME(offsetof(struct qube_op_progress, size), 0);
SAME(offsetof(struct qube_op_progress, state), 4);
SAME(offsetof(struct qube_op_progress, stage), 8);
SAME(offsetof(struct qube_op_progress, done_bytes), 16);
SAME(offsetof(struct qube_op_progress, total_bytes), 24);
SAME(offsetof(struct qube_op_progress, total_files), 32);
SAME(sizeof(struct qube_op_callback), 24);
SAME(offsetof(struct qube_op_callback, fn), 0);
SAME(offsetof(struct qube_op_callback, user), 8);
SAME(offsetof(struct qube_op_callback, free), 16);
SAME(QUBE_OP_RUNNING, 0);
SAME(QUBE_OP_DONE, 1);
SAME(QUBE_OP_FAILED, 2);

/* policy.h */
SAME(sizeof(struct qube_policy_opts), 32);
SAME(offsetof(struct qube_policy_opts, size), 0);
SAME(offsetof(struct qube_policy_opts, flags), 4);
SAME(offsetof(struct qube_policy_opts, etc_dir), 8);
SAME(offsetof(struct qube_policy_opts, run_dir), 16);
SAME(offsetof(struct qube_policy_opts, legacy_dir), 24);
SAME(sizeof(struct qube_policy_request), 48);
SAME(offsetof(struct qube_policy_request, size), 0);
SAME(offsetof(struct qube_policy_request, flags), 4);
SAME(offsetof(struct qube_policy_request, source), 8);
SAME(offsetof(struct qube_policy_request, target), 16);
SAME(offsetof(struct qube_policy_request, service), 24);
SAME(offsetof(struct qube_policy_request, argument), 32);
SAME(offsetof(struct qube_policy_request, requested_source), 40);
SAME(sizeof(struct qube_policy_result), 136);
SAME(offsetof(struct qube_policy_result, size), 0);
SAME(offsetof(struct qube_policy_result, result), 4);
SAME(offsetof(struct qube_policy_result, notify), 8);
SAME(offsetof(struct qube_policy_result, autostart), 12);
SAME(offsetof(struct qube_policy_result, cause), 16);
SAME(offsetof(struct qube_policy_result, explanation), 24);
SAME(offsetof(struct qube_policy_result, user), 32);
SAME(offsetof(struct qube_policy_result, target), 40);
SAME(offsetof(struct qube_policy_result, target_uuid), 48);
SAME(offsetof(struct qube_policy_result, requested_target), 56);
SAME(offsetof(struct qube_policy_result, service), 64);
SAME(offsetof(struct qube_policy_result, policy_source), 72);
SAME(offsetof(struct qube_policy_result, default_target), 80);
SAME(offsetof(struct qube_policy_result, guivm), 88);
SAME(offsetof(struct qube_policy_result, notify_guivm), 96);
SAME(offsetof(struct qube_policy_result, file), 104);
SAME(offsetof(struct qube_policy_result, text), 112);
SAME(offsetof(struct qube_policy_result, targets), 120);
SAME(offsetof(struct qube_policy_result, n_targets), 128);
SAME(offsetof(struct qube_policy_result, line), 132);
SAME(sizeof(struct qube_policy_near), 64);
SAME(offsetof(struct qube_policy_near, size), 0);
SAME(offsetof(struct qube_policy_near, column), 4);
SAME(offsetof(struct qube_policy_near, file), 8);
SAME(offsetof(struct qube_policy_near, service), 16);
SAME(offsetof(struct qube_policy_near, argument), 24);
SAME(offsetof(struct qube_policy_near, source), 32);
SAME(offsetof(struct qube_policy_near, target), 40);
SAME(offsetof(struct qube_policy_near, action), 48);
SAME(offsetof(struct qube_policy_near, line), 56);
SAME(offsetof(struct qube_policy_near, reserved0), 60);
SAME(QUBE_POLICY_WATCH, 1);
SAME(QUBE_POLICY_ALLOW, 1);
SAME(QUBE_POLICY_ASK, 2);
SAME(QUBE_POLICY_DENY, 3);
SAME(QUBE_POLICY_ERROR, 4);
SAME(QUBE_POLICY_COLUMN_NONE, 0);
SAME(QUBE_POLICY_COLUMN_SERVICE, 1);
SAME(QUBE_POLICY_COLUMN_ARGUMENT, 2);
SAME(QUBE_POLICY_COLUMN_SOURCE, 3);
SAME(QUBE_POLICY_COLUMN_TARGET, 4);

/* pool.h */
SAME(sizeof(struct qube_pool_info), 56);
SAME(offsetof(struct qube_pool_info, size), 0);
SAME(offsetof(struct qube_pool_info, reserved0), 4);
SAME(offsetof(struct qube_pool_info, total_bytes), 8);
SAME(offsetof(struct qube_pool_info, free_bytes), 16);
SAME(offsetof(struct qube_pool_info, driver), 24);

/* rpc.h */
SAME(sizeof(struct qube_call_opts), 48);
SAME(offsetof(struct qube_call_opts, size), 0);
SAME(offsetof(struct qube_call_opts, flags), 4);
SAME(offsetof(struct qube_call_opts, service), 8);
SAME(offsetof(struct qube_call_opts, command), 16);
SAME(offsetof(struct qube_call_opts, user), 24);
SAME(offsetof(struct qube_call_opts, stdin_fd), 32);
SAME(offsetof(struct qube_call_opts, stdout_fd), 36);
SAME(offsetof(struct qube_call_opts, stderr_fd), 40);
SAME(offsetof(struct qube_call_opts, reserved0), 44);
SAME(QUBE_CALL_NO_START, 1);
SAME(QUBE_CALL_JUST_EXEC, 2);

/* template.h */
SAME(sizeof(struct qube_template_import_opts), 64);
SAME(offsetof(struct qube_template_import_opts, size), 0);
SAME(offsetof(struct qube_template_import_opts, flags), 4);
SAME(offsetof(struct qube_template_import_opts, name), 8);
SAME(offsetof(struct qube_template_import_opts, include), 16);
SAME(offsetof(struct qube_template_import_opts, label), 24);
SAME(offsetof(struct qube_template_import_opts, pool), 32);
SAME(offsetof(struct qube_template_import_opts, source), 40);
SAME(offsetof(struct qube_template_import_opts, key), 48);
SAME(offsetof(struct qube_template_import_opts, signature), 56);
SAME(QUBE_TEMPLATE_IMPORT_HOST, 1);
SAME(QUBE_TEMPLATE_IMPORT_PLAN_ONLY, 2);
SAME(QUBE_TEMPLATE_IMPORT_UNSIGNED, 4);

/* types.h */
SAME(QUBE_VERSION_MAJOR, 0);
SAME(QUBE_VERSION_MINOR, 1);
SAME(QUBE_VERSION_PATCH, 0);

/* volume.h */
SAME(sizeof(struct qube_volume_info), 344);
SAME(offsetof(struct qube_volume_info, size), 0);
SAME(offsetof(struct qube_volume_info, flags), 4);
SAME(offsetof(struct qube_volume_info, max_bytes), 8);
SAME(offsetof(struct qube_volume_info, pool), 16);
SAME(offsetof(struct qube_volume_info, vid), 80);
SAME(offsetof(struct qube_volume_info, source), 208);
SAME(offsetof(struct qube_volume_info, revisions_to_keep), 336);
SAME(offsetof(struct qube_volume_info, n_revisions), 340);
SAME(QUBE_VOLUME_SNAP_ON_START, 1);
SAME(QUBE_VOLUME_SAVE_ON_STOP, 2);
SAME(QUBE_VOLUME_RW, 4);
SAME(QUBE_VOLUME_OUTDATED, 8);
SAME(QUBE_VOLUME_EPHEMERAL, 16);
SAME(QUBE_VOLUME_DIRTY, 32);

#endif
