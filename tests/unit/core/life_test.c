/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The life of qubes on a host in memory: states, events in order, what is refused. */
#include "qtest.h"
#include "rig.h"

#include <stdio.h>

QTEST(life, a_start_goes_through_its_states_and_a_shutdown_back)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	QT_TRUE(d != NULL);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_HALTED);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_RUNNING);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_pause(d), 0);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_PAUSED);
	QT_INT(qube_domain_pause(d), QUBE_E_STATE);
	QT_INT(qube_error_last()->detail, QUBE_D_VM_NOT_RUNNING);
	QT_INT(qube_domain_shutdown(d, NULL, NULL), QUBE_E_STATE);
	QT_INT(qube_domain_unpause(d), 0);
	QT_INT(qube_domain_unpause(d), QUBE_E_STATE);
	QT_INT(qube_error_last()->detail, QUBE_D_VM_NOT_PAUSED);
	QT_INT(qube_domain_shutdown(d, NULL, NULL), 0);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_HALTED);
	QT_INT(qube_domain_shutdown(d, NULL, NULL), QUBE_E_STATE);
	QT_INT(qube_error_last()->detail, QUBE_D_VM_NOT_STARTED);
	QT_STR(qube_error_last()->where, "qube_domain_shutdown");
	QT_INT(qube_domain_kill(d, NULL), QUBE_E_STATE);
}

QTEST(life, events_come_in_the_order_of_the_admin_api)
{
	static struct text t;
	CTX ctx = rig_open();
	SUB sub = rig_record(ctx, &t);
	DOMAIN d = rig_domain(ctx, "work");

	t = (struct text){ 0 };
	QT_TRUE(sub && d);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_shutdown(d, NULL, NULL), 0);
	QT_STR(t.s, ""); /* callbacks run in dispatch only */
	rig_drain(ctx);
	QT_STR(t.s, "work domain-pre-start start_guid=True\n"
		    "work domain-spawn start_guid=True\n"
		    "work domain-start start_guid=True\n"
		    "work domain-pre-shutdown force=False\n"
		    "work domain-stopped\n"
		    "work domain-shutdown\n");
}

QTEST(life, creating_and_removing_tell_it_in_the_order_of_the_admin_api)
{
	struct qube_domain_create_opts o = { .size = sizeof(o), .name = "new" };
	static struct text t;
	CTX ctx = rig_open();
	SUB sub = NULL;
	DOMAIN d = NULL;

	o.template_name = "deb";
	rig_drain(ctx);
	t = (struct text){ 0 };
	sub = rig_record(ctx, &t);
	QT_INT(qube_domain_create(&d, ctx, &o), 0);
	QT_STR(qube_domain_get_label(d), "red");
	QT_STR(qube_domain_get_template(d), "deb");
	QT_INT(qube_domain_destroy(d), 0);
	rig_drain(ctx);
	QT_STR(t.s, "- domain-add vm=new\n"
		    "new domain-tag-add:created-by-dom0 tag=created-by-dom0\n"
		    "new domain-create-on-disk\n"
		    "- domain-pre-delete vm=new\n"
		    "- domain-delete vm=new\n");
	/* The handle outlives the qube. */
	QT_STR(qube_domain_get_name(d), "new");
	QT_INT(qube_domain_get_state(d), QUBE_STATE_HALTED);
	QT_STR(qube_domain_get_label(d), "");
	QT_INT(qube_domain_start(d, NULL), QUBE_E_NOENT);
	QT_INT(qube_domain_destroy(d), QUBE_E_NOENT);
}

QTEST(life, a_setting_is_told_as_it_is_kept_not_as_it_was_spelled)
{
	static struct text t;
	CTX ctx = rig_open();
	SUB sub = rig_record(ctx, &t);
	DOMAIN d = rig_domain(ctx, "work");

	rig_drain(ctx);
	t = (struct text){ 0 };
	QT_INT(qube_domain_property_set(d, "autostart", "yes"), 0);
	QT_INT(qube_domain_property_set(d, "label", "blue"), 0);
	QT_INT(qube_domain_property_set(d, "netvm", ""), 0);
	QT_INT(qube_domain_property_reset(d, "autostart"), 0);
	QT_INT(qube_domain_tag_add(d, "x"), 0);
	QT_INT(qube_domain_tag_add(d, "x"), 0);
	QT_INT(qube_domain_tag_remove(d, "x"), 0);
	QT_INT(qube_domain_feature_set(d, "f", "1"), 0);
	QT_INT(qube_domain_feature_remove(d, "f"), 0);
	rig_drain(ctx);
	QT_STR(t.s, "work property-set:autostart name=autostart newvalue=True oldvalue=False\n"
		    "work property-set:label name=label newvalue=blue oldvalue=red\n"
		    "work property-reset:icon name=icon\n"
		    "work property-set:netvm name=netvm newvalue=None oldvalue=None\n"
		    "work property-reset:autostart name=autostart\n"
		    "work domain-tag-add:x tag=x\n"
		    "work domain-tag-delete:x tag=x\n"
		    "work domain-feature-set:f feature=f value=1\n"
		    "work domain-feature-delete:f feature=f\n");
	(void)sub;
}

QTEST(life, a_disposable_is_removed_when_it_stops)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o),
		.flags = QUBE_DOMAIN_CREATE_DISPOSABLE,
		.template_name = "dvm",
	};
	static struct text t;
	char want[512];
	CTX ctx = rig_open();
	SUB sub = NULL;
	DOMAIN d = NULL;
	qube_domain *again = NULL;
	const char *n;

	rig_drain(ctx);
	t = (struct text){ 0 };
	sub = rig_record(ctx, &t);
	QT_INT(qube_domain_create(&d, ctx, &o), 0);
	QT_INT(qube_domain_get_class(d), QUBE_CLASS_DISP);
	n = qube_domain_get_name(d);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_kill(d, NULL), 0);
	QT_INT(qube_domain_open(&again, ctx, n), QUBE_E_NOENT);
	rig_drain(ctx);
	snprintf(want, sizeof(want),
		 "- domain-add vm=%s\n%s domain-create-on-disk\n"
		 "%s domain-tag-add:created-by-dom0 tag=created-by-dom0\n"
		 "%s domain-tag-add:disp-created-by-dom0 tag=disp-created-by-dom0\n"
		 "%s domain-pre-start start_guid=True\n%s domain-spawn start_guid=True\n"
		 "%s domain-start start_guid=True\n"
		 "%s domain-stopped\n%s domain-shutdown\n"
		 "- domain-pre-delete vm=%s\n- domain-delete vm=%s\n",
		 n, n, n, n, n, n, n, n, n, n, n);
	QT_STR(t.s, want);
}

QTEST(life, a_wait_sees_a_disposable_halt_before_it_is_removed)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o),
		.flags = QUBE_DOMAIN_CREATE_DISPOSABLE,
		.template_name = "dvm",
	};
	CTX ctx = rig_open();
	DOMAIN d = NULL;
	OP halted = NULL;
	OP paused = NULL;

	QT_INT(qube_domain_create(&d, ctx, &o), 0);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_wait(d, QUBE_STATE_HALTED, &halted), 0);
	QT_INT(qube_domain_wait(d, QUBE_STATE_PAUSED, &paused), 0);
	QT_INT(qube_op_wait(halted, 0), QUBE_E_TIMEOUT);
	QT_INT(qube_domain_kill(d, NULL), 0);
	QT_INT(qube_op_wait(halted, 1000), 0);
	QT_INT(qube_op_wait(paused, 1000), QUBE_E_NOENT);
}

QTEST(life, dom0_runs_and_is_left_alone)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "dom0");

	QT_INT(qube_domain_get_state(d), QUBE_STATE_RUNNING);
	QT_INT(qube_domain_wait(d, QUBE_STATE_RUNNING, NULL), 0);
	QT_INT(qube_domain_start(d, NULL), QUBE_E_STATE);
	QT_INT(qube_domain_kill(d, NULL), QUBE_E_STATE);
	QT_INT(qube_domain_clone(d, "two", NULL), QUBE_E_NOTSUP);
	QT_TRUE(qube_domain_destroy(d) < 0);
}

QTEST(life, a_kill_while_it_starts_ends_both)
{
	static struct text t;
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	SUB sub = NULL;
	OP start = NULL;
	OP kill = NULL;
	OP again = NULL;

	rig_drain(ctx);
	t = (struct text){ 0 };
	sub = rig_record(ctx, &t);
	QT_INT(qube_domain_start(d, &start), 0);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_TRANSIENT);
	QT_INT(qube_domain_kill(d, &kill), 0);
	QT_INT(qube_domain_kill(d, &again), 0);
	QT_INT(qube_domain_start(d, NULL), QUBE_E_STATE);
	QT_INT(qube_op_wait(kill, 1000), 0);
	QT_INT(qube_op_wait(again, 1000), 0);
	QT_INT(qube_op_wait(start, 1000), QUBE_E_STATE);
	QT_STR(qube_op_get_error(start)->message, "'work' was killed while it started");
	QT_INT(qube_domain_get_state(d), QUBE_STATE_HALTED);
	rig_drain(ctx);
	QT_STR(t.s, "work domain-pre-start start_guid=True\n"
		    "work domain-start-failed reason='work' was killed while it started\n"
		    "work domain-shutdown\n");
	QT_INT(qube_domain_start(d, NULL), 0);
}

QTEST(life, a_shutdown_while_it_starts_ends_both)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP start = NULL;
	OP stop = NULL;

	QT_INT(qube_domain_start(d, &start), 0);
	QT_INT(qube_ctx_dispatch(ctx, 0) >= 0, 1);
	QT_INT(qube_domain_shutdown(d, NULL, &stop), 0);
	QT_INT(qube_op_wait(stop, 1000), 0);
	QT_INT(qube_op_wait(start, 1000), QUBE_E_STATE);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_HALTED);
}

QTEST(life, a_netvm_is_not_shut_down_under_its_clients)
{
	struct qube_domain_shutdown_opts force = {
		.size = sizeof(force),
		.flags = QUBE_DOMAIN_SHUTDOWN_FORCE,
	};
	CTX ctx = rig_open();
	DOMAIN net = rig_domain(ctx, "dvm");
	DOMAIN d = rig_domain(ctx, "work");

	QT_INT(qube_domain_property_set(net, "provides_network", "True"), 0);
	QT_INT(qube_domain_property_set(d, "netvm", "dvm"), 0);
	QT_INT(qube_domain_start(net, NULL), 0);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_shutdown(net, NULL, NULL), QUBE_E_BUSY);
	QT_INT(qube_error_last()->detail, QUBE_D_VM_IN_USE);
	QT_TRUE(strstr(qube_error_last()->message, "'work'") != NULL);
	QT_INT(qube_domain_get_state(net), QUBE_STATE_RUNNING);
	QT_INT(qube_domain_shutdown(net, &force, NULL), 0);
}

QTEST(life, what_is_in_use_or_runs_is_not_removed)
{
	CTX ctx = rig_open();
	DOMAIN deb = rig_domain(ctx, "deb");
	DOMAIN d = rig_domain(ctx, "work");

	QT_INT(qube_domain_destroy(deb), QUBE_E_BUSY);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_destroy(d), QUBE_E_STATE);
	QT_INT(qube_domain_clone(d, "copy", NULL), QUBE_E_STATE);
}

QTEST(life, a_clone_has_the_settings_and_not_the_maker)
{
	static struct text t;
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	DOMAIN made = NULL;
	SUB sub = NULL;
	OP op = NULL;
	struct qube_property p = { .size = sizeof(p) };

	QT_INT(qube_domain_property_set(d, "label", "green"), 0);
	QT_INT(qube_domain_feature_set(d, "f", "v"), 0);
	rig_drain(ctx);
	t = (struct text){ 0 };
	sub = rig_record(ctx, &t);
	QT_INT(qube_domain_clone(d, "work", NULL), QUBE_E_EXISTS);
	QT_INT(qube_domain_clone(d, "no name", NULL), QUBE_E_INVALID);
	QT_INT(qube_domain_clone(d, "copy", &op), 0);
	/* Both stay as they are until it is done. */
	QT_INT(qube_domain_start(d, NULL), QUBE_E_BUSY);
	QT_INT(qube_domain_destroy(d), QUBE_E_BUSY);
	made = rig_domain(ctx, "copy");
	QT_INT(made ? qube_domain_start(made, NULL) : 0, QUBE_E_BUSY);
	QT_INT(qube_op_wait(op, 1000), 0);
	QT_STR(qube_domain_get_label(made), "green");
	QT_INT(qube_domain_property_fetch(&p, made, "name"), 0);
	QT_STR(p.value, "copy");
	qube_free(p.value);
	rig_drain(ctx);
	QT_STR(t.s, "- domain-add vm=copy\ncopy domain-clone-files src=work\n");
	QT_INT(qube_domain_start(made, NULL), 0);
}

QTEST(life, a_canceled_clone_leaves_nothing)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP op = NULL;
	qube_domain *made = NULL;

	QT_INT(qube_domain_clone(d, "copy", &op), 0);
	QT_INT(qube_op_cancel(op), 0);
	QT_INT(qube_op_wait(op, 1000), QUBE_E_CANCELED);
	QT_INT(qube_domain_open(&made, ctx, "copy"), QUBE_E_NOENT);
	QT_INT(qube_domain_start(d, NULL), 0);
}
