/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a qube is: class, properties, tags, features, volumes; labels, pools and global properties
 * beside them; and their files. Everything here is the host's own state; what guests asked for was
 * checked before it came. Fields may be read directly; they are changed by the functions, which
 * persist the change before they return and take it back when that fails. All set the record. */
#ifndef QUBE_MODEL_MODEL_H
#define QUBE_MODEL_MODEL_H

#include "base/list.h"
#include "model/properties.h"
#include "wire/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qube__vm_class {
	QUBE__CLASS_ADMIN = 0,
	QUBE__CLASS_TEMPLATE = 1,
	QUBE__CLASS_APP = 2,
	QUBE__CLASS_STANDALONE = 3,
	QUBE__CLASS_DISP = 4,
	QUBE__CLASS_REMOTE = 5,
	QUBE__CLASS_COUNT = 6,
};
const char *qube__vm_class_name(uint32_t vm_class);	   /* "AppVM" */
int qube__vm_class_parse(uint32_t *out, const char *name); /* QUBE_E_NOENT, no record */

enum qube__vm_state {
	QUBE__STATE_HALTED = 0,
	QUBE__STATE_TRANSIENT = 1,
	QUBE__STATE_RUNNING = 2,
	QUBE__STATE_PAUSED = 3,
	QUBE__STATE_SUSPENDED = 4,
	QUBE__STATE_HALTING = 5,
	QUBE__STATE_DYING = 6,
	QUBE__STATE_CRASHED = 7,
	QUBE__STATE_NA = 8,
};
const char *qube__vm_state_name(uint32_t state); /* "Halted" */

enum {
	QUBE__QID_MAX = 9999,
	QUBE__DISPID_MAX = 9999,
	QUBE__MODEL_BUCKETS = 2048,
	QUBE__VOLUMES_MAX = 8,
	QUBE__TAGS_MAX = 512,	   /* of one qube */
	QUBE__FEATURES_MAX = 1024, /* of one qube */
	QUBE__OPTIONS_MAX = 16,	   /* of one pool */
	QUBE__REVISIONS_POOL = -2, /* revisions_to_keep: as the pool says */
};

struct qube__feature {
	char *name;
	char *value;
};

struct qube__vm_volume {
	char name[QUBE__VOLUME_MAX + 1]; /* root, private, volatile, kernel */
	char pool[QUBE__POOL_MAX + 1];
	uint64_t size_bytes;
	int32_t revisions_to_keep; /* -1: all; QUBE__REVISIONS_POOL */
	bool rw;
	bool ephemeral;
};

struct qube__vm {
	struct qube__model *model;
	struct qube__list link; /* model->vms */
	struct qube__vm *next_name;
	struct qube__vm *next_uuid;
	char name[QUBE__NAME_MAX + 1];
	char uuid[QUBE__UUID_LEN + 1];
	uint32_t vm_class;		 /* enum qube__vm_class */
	uint32_t qid;			 /* 0: dom0 */
	int32_t dispid;			 /* -1: no disposable */
	char *driver;			 /* "local", ... */
	char *import_source;		 /* where a template came from, or NULL */
	char *notes;			 /* of people, clean (wire/note.h); NULL: none */
	char *prop[QUBE__PROP_VM_COUNT]; /* explicit values; NULL: default; "": none */
	char **tags;			 /* sorted; without the derived ones */
	size_t n_tags;
	struct qube__feature *features; /* sorted by name */
	size_t n_features;
	struct qube__vm_volume volumes[QUBE__VOLUMES_MAX];
	size_t n_volumes;
	bool unfinished; /* its volumes are still being made; gone at the next open */
	bool on_run;	 /* its file is in the run directory */
	bool dirty;	 /* changed since its file was written */
	uint32_t batch;	 /* depth of qube__vm_batch_begin() */

	/* Runtime, filled by core; nothing here is persisted. */
	uint32_t state;		/* enum qube__vm_state */
	int64_t xid;		/* -1: off */
	int64_t stubdom_xid;	/* -1 */
	uint64_t start_time_ms; /* realtime; 0: off */
	bool has_pci;		/* PCI devices are assigned */
	bool bound;		/* a disposable that ends with the call it was made for */
	bool held;		/* a disposable that ends with the context it was made by */
	void *run;		/* core's own */
};

struct qube__label {
	uint32_t index; /* 1-8 built in */
	char name[QUBE__LABEL_MAX + 1];
	char colour[9]; /* 0xRRGGBB */
};

struct qube__pool_conf {
	char name[QUBE__POOL_MAX + 1];
	char driver[QUBE__POOL_MAX + 1];
	struct qube__feature options[QUBE__OPTIONS_MAX]; /* sorted by name */
	size_t n_options;
};

/* A file that could not be loaded: left as it is, its name stays taken. */
struct qube__damaged {
	char name[QUBE__NAME_MAX + 1];
	char *reason;
};

struct qube__model {
	struct qube__list vms; /* dom0 first, then by name */
	size_t n_vms;	       /* with dom0 */
	struct qube__vm *dom0;
	struct qube__vm *by_name[QUBE__MODEL_BUCKETS];
	struct qube__vm *by_uuid[QUBE__MODEL_BUCKETS];
	uint64_t qids[(QUBE__QID_MAX + 64) / 64]; /* bit set: taken */
	uint64_t dispids[(QUBE__DISPID_MAX + 64) / 64];
	uint32_t dispid_left[QUBE__DISPID_MAX + 1]; /* second of release + 1; 0: never */
	struct qube__label *labels;		    /* by index */
	size_t n_labels;
	struct qube__pool_conf *pools; /* in the order of adding */
	size_t n_pools;
	char *global[QUBE__PROP_COUNT - QUBE__PROP_G_FIRST]; /* explicit values */
	struct qube__damaged *damaged;
	size_t n_damaged;
	uint64_t generation;	 /* grows with every change; tells stale caches */
	int64_t host_memory_mib; /* core may correct both */
	int64_t host_cpus;
	/* Is a kernel of that name installed? NULL: any name goes. */
	bool (*kernel_installed)(void *user, const char *name);
	void *user;
	/* the store */
	char *state_dir; /* NULL: memory only */
	int state_fd;	 /* all -1 in memory */
	int qubes_fd;
	int lock_fd;
	int run_fd; /* RUN/qubes; -1: disposables are in the state directory */
};

/* --- open --- */
struct qube__model_opts {
	const char *state_dir; /* NULL: nothing is persisted */
	const char *run_dir;   /* for auto_cleanup disposables; NULL: in state_dir */
};
/* Makes the directories that are missing (0700, not their parents), locks and loads. QUBE_E_BUSY:
 * another host has the directory; QUBE_E_INVALID: it is not ours alone, or system.json is damaged;
 * QUBE_E_NOTSUP: system.json has a newer format. Damaged files of qubes are no failure, they are in
 * out->damaged. */
int qube__model_open(struct qube__model **out, const struct qube__model_opts *opts);
void qube__model_close(struct qube__model *m);

/* --- find; no record, NULL if there is none --- */
struct qube__vm *qube__model_vm(const struct qube__model *m, const char *name);
struct qube__vm *qube__model_vm_by_uuid(const struct qube__model *m, const char *uuid);
/* NULL name or "": NULL. dom0 first, then by name: for (vm = NULL; (vm = next(m, vm));) */
struct qube__vm *qube__model_next(const struct qube__model *m, const struct qube__vm *after);
/* The reason if the file of that name is damaged. */
const char *qube__model_damaged(const struct qube__model *m, const char *name);

/* --- qubes --- */
struct qube__vm_pair {
	const char *name;
	const char *value;
};
struct qube__vm_new {
	const char *name; /* NULL, DISP only: "disp" and its dispid, with auto_cleanup */
	uint32_t vm_class;
	const char *label;	   /* NULL: the template's, else red */
	const char *template_name; /* NULL: default_template, DISP: default_dispvm */
	const char *uuid;	   /* NULL: random */
	const char *driver;	   /* NULL: the template's, else "local" */
	const char *import_source;
	const char *pool;			  /* for every volume; NULL: the default pools */
	const struct qube__vm_pair *volume_pools; /* volume, pool */
	size_t n_volume_pools;
	const struct qube__vm_pair *properties; /* further explicit values */
	size_t n_properties;
	const struct qube__vm_pair *features;
	size_t n_features;
	const char *const *tags; /* created-by-dom0 ... */
	size_t n_tags;
	bool unfinished; /* until qube__vm_finish(): volumes are made behind it */
};
/* One file is written. A disposable inherits what admin-api.md 12 says. Borrowed from the model. */
int qube__vm_create(struct qube__vm **out, struct qube__model *m, const struct qube__vm_new *n);
/* A halted or running source alike: properties, features, tags but created-by-*, volumes' sizes
 * and pools. Class, template and driver are the source's. tags are added. It is unfinished. */
int qube__vm_clone(struct qube__vm **out, struct qube__vm *source, const char *name,
		   const char *const *tags, size_t n_tags);
/* The volumes are there: from now on the qube outlives a crash. */
int qube__vm_finish(struct qube__vm *vm);
/* QUBE_E_STATE unless halted; QUBE_E_BUSY with QUBE_D_VM_IN_USE naming who refers to it. vm is
 * freed on success. */
int qube__vm_remove(struct qube__vm *vm);
/* As remove, but only says whether it could. */
int qube__vm_removable(struct qube__vm *vm);
/* Between the two, changes are collected; the last end writes them with one file write. When that
 * fails they stay in memory and go out with the next change. */
void qube__vm_batch_begin(struct qube__vm *vm);
int qube__vm_batch_end(struct qube__vm *vm);

/* --- properties --- */
struct qube__prop_value {
	const struct qube__prop *prop;
	bool is_default;
	const char *text; /* NULL: no value (a qube that is none, a number that is unset) */
	char space[128];  /* where text may point; so do not copy the struct */
};
/* QUBE_E_NOENT with QUBE_D_NO_SUCH_PROPERTY. text: borrowed until the next change. */
int qube__vm_prop_get(struct qube__prop_value *out, const struct qube__vm *vm, const char *name);
/* As if nothing were set; *has is false for "there is no default". */
int qube__vm_prop_default(struct qube__prop_value *out, bool *has, const struct qube__vm *vm,
			  const char *name);
/* value: the text of a Set; "" is none for qubes. Errors as admin-api.md 4 and 5. */
int qube__vm_prop_set(struct qube__vm *vm, const char *name, const char *value);
int qube__vm_prop_reset(struct qube__vm *vm, const char *name);
static inline size_t qube__vm_prop_list(const struct qube__prop **out, const struct qube__vm *vm)
{
	return qube__prop_list(out, 1u << vm->vm_class);
}
/* By row, for the library itself; no record. A row of another class has no value. */
void qube__vm_prop_read(struct qube__prop_value *out, const struct qube__vm *vm, uint32_t id);
bool qube__vm_bool(const struct qube__vm *vm, uint32_t id);
int64_t qube__vm_int(const struct qube__vm *vm, uint32_t id, int64_t if_unset);
/* NULL: none, or a qube that is not there (its file was damaged). */
struct qube__vm *qube__vm_ref(const struct qube__vm *vm, uint32_t id);
static inline struct qube__vm *qube__vm_template(const struct qube__vm *vm)
{
	return qube__vm_ref(vm, QUBE__PROP_TEMPLATE);
}
static inline struct qube__vm *qube__vm_netvm(const struct qube__vm *vm)
{
	return qube__vm_ref(vm, QUBE__PROP_NETVM);
}
const struct qube__label *qube__vm_label(const struct qube__vm *vm); /* never NULL */

/* Is this value of vm only what `of` has: vm set none of its own, and its default is read there?
 * of: a template; NULL: the global property that belongs to the row. */
bool qube__vm_prop_follows(const struct qube__vm *vm, uint32_t id, const struct qube__vm *of);
/* Is the default of that row what the template has, where there is one? */
bool qube__prop_from_template(uint32_t id);
/* The row of qubes whose default a global row is, or QUBE__PROP_COUNT. */
uint32_t qube__global_default_of(uint32_t global_id);

/* The global ones alike. */
int qube__global_get(struct qube__prop_value *out, const struct qube__model *m, const char *name);
int qube__global_default(struct qube__prop_value *out, bool *has, const struct qube__model *m,
			 const char *name);
int qube__global_set(struct qube__model *m, const char *name, const char *value);
int qube__global_reset(struct qube__model *m, const char *name);
void qube__global_read(struct qube__prop_value *out, const struct qube__model *m, uint32_t id);
struct qube__vm *qube__global_ref(const struct qube__model *m, uint32_t id);

/* --- tags: stored ones and those that follow a property (guivm-X, audiovm-X, relayvm-X) --- */
bool qube__vm_tag_has(const struct qube__vm *vm, const char *tag);
int qube__vm_tag_add(struct qube__vm *vm, const char *tag);    /* success if it is there */
int qube__vm_tag_remove(struct qube__vm *vm, const char *tag); /* QUBE_D_TAG_NOT_FOUND */
/* Sorted; one block, owned by malloc. */
int qube__vm_tag_list(char ***out, size_t *n, const struct qube__vm *vm);

/* --- features --- */
/* NULL if not set; no record. */
const char *qube__vm_feature_find(const struct qube__vm *vm, const char *name);
enum qube__feature_chain {
	QUBE__CHAIN_SELF = 0,
	QUBE__CHAIN_TEMPLATE = 1, /* then along `template` */
	QUBE__CHAIN_NETVM = 2,	  /* then along `netvm` */
	QUBE__CHAIN_ADMIN = 4,	  /* then dom0; may be joined with TEMPLATE */
};
const char *qube__vm_feature_check(const struct qube__vm *vm, const char *name, uint32_t chain);
/* As above with the error: QUBE_E_NOENT, QUBE_D_FEATURE_NOT_FOUND. */
int qube__vm_feature_get(const char **out, const struct qube__vm *vm, const char *name,
			 uint32_t chain);
int qube__vm_feature_set(struct qube__vm *vm, const char *name, const char *value);
int qube__vm_feature_remove(struct qube__vm *vm, const char *name);
/* Only the host itself may change these (admin-api.md 6.2). */
bool qube__feature_prohibited(const char *name);
/* Set and not empty. */
static inline bool qube__feature_true(const char *value)
{
	return value && *value;
}

/* --- notes --- */
/* As qube__wire_note_clean(), with the record: QUBE_D_PROTOCOL. */
int qube__notes_check(char *out, const void *untrusted, size_t len);
/* Cleaned, not refused (admin-api.md 4). */
int qube__vm_notes_set(struct qube__vm *vm, const void *untrusted, size_t len);

/* --- volumes --- */
struct qube__vm_volume *qube__vm_volume(struct qube__vm *vm, const char *name); /* NULL */
/* Adds the volume, or replaces the one of that name. */
int qube__vm_volume_set(struct qube__vm *vm, const struct qube__vm_volume *v);
/* Does a start take the content from the template, does a stop keep it? */
bool qube__vm_volume_snap_on_start(const struct qube__vm *vm, const char *name);
bool qube__vm_volume_save_on_stop(const struct qube__vm *vm, const char *name);

/* --- labels --- */
const struct qube__label *qube__model_label(const struct qube__model *m, const char *name);
int qube__model_label_create(struct qube__model *m, const char *name, const char *colour);
int qube__model_label_remove(struct qube__model *m, const char *name);

/* --- pools: their configuration; what is in them is storage's --- */
struct qube__pool_conf *qube__model_pool(const struct qube__model *m, const char *name);
int qube__model_pool_add(struct qube__model *m, const char *name, const char *driver,
			 const struct qube__vm_pair *options, size_t n_options);
int qube__model_pool_remove(struct qube__model *m, const char *name); /* QUBE_D_POOL_IN_USE */
const char *qube__pool_option(const struct qube__pool_conf *p, const char *name);
int qube__model_pool_option_set(struct qube__model *m, const char *pool, const char *name,
				const char *value);

/* --- what the policy wants to know of a qube (policy.md 7); strings borrowed until a change --- */
struct qube__vm_view {
	const char *name;
	const char *uuid;
	const char *type;
	const char *power_state;
	bool internal;
	bool template_for_dispvms;
	const char *default_dispvm; /* NULL: none; so below */
	const char *guivm;
	const char *relayvm;
	const char *transport_rpc;
	char icon[QUBE__LABEL_MAX + 8]; /* always appvm-LABEL */
	const char *label;		/* the colour, 0xRRGGBB */
	char **tags;			/* owned */
	size_t n_tags;
};
int qube__vm_view(struct qube__vm_view *out, const struct qube__vm *vm);
void qube__vm_view_fini(struct qube__vm_view *v);

/* --- addresses (admin-api.md 11); out has room for 16 and 40 --- */
void qube__vm_default_ip(char out[16], const struct qube__vm *vm);
void qube__vm_default_ip6(char out[40], const struct qube__vm *vm);

/* --- the store, for the loader's fuzz target and tests --- */
enum {
	QUBE__STORE_FORMAT = 1,
	QUBE__STORE_QUBE_MAX = 8 << 20, /* bytes of one qube's file */
	QUBE__STORE_SYSTEM_MAX = 8 << 20,
};
/* The text of a qube's file. Owned by malloc. */
int qube__store_vm_encode(char **out, size_t *len, const struct qube__vm *vm);
/* Makes a qube of a file's text and adds it to m. name: what the file is called without ".json". */
int qube__store_vm_decode(struct qube__vm **out, struct qube__model *m, const char *name,
			  const char *untrusted, size_t len);

#endif
