/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The C interface between mysqld and a keyring, as keyring_external speaks it.
 *
 * Written by this project from facts about the binary interface (layouts, values, calling rules)
 * as they were observed on MySQL 8.0, 8.4 and 9.7, x86_64 and aarch64 Linux; docs/ABI.md tells each
 * fact. Only what the project uses is declared. src/abi/sys.rs is made from this file by bindgen
 * (`make bindings`).
 */
#ifndef KEYRING_EXTERNAL_ABI_H
#define KEYRING_EXTERNAL_ABI_H

#include <stdbool.h>
#include <stddef.h>

/* ---- Plugin ------------------------------------------------------------------------------- */

/* Version of the plugin interface; the value exported as _mysql_plugin_interface_version_. */
#define KX_PLUGIN_INTERFACE_VERSION 0x010B
/* Version of the keyring interface, first field of kx_keyring. */
#define KX_KEYRING_INTERFACE_VERSION 0x0101

/* kx_plugin.type of a keyring. */
#define KX_PLUGIN_TYPE_KEYRING 10
/* kx_plugin.license. */
#define KX_PLUGIN_LICENSE_GPL 1
/* kx_plugin.flags: the plugin may be named by --early-plugin-load. */
#define KX_PLUGIN_OPT_ALLOW_EARLY 4ul

/* The seven functions of a keyring plugin; true means failure. */
struct kx_keyring {
  int interface_version;
  bool (*store)(const char *key_id, const char *key_type, const char *user_id, const void *key,
                size_t key_len);
  bool (*fetch)(const char *key_id, char **key_type, const char *user_id, void **key,
                size_t *key_len);
  bool (*remove)(const char *key_id, const char *user_id);
  bool (*generate)(const char *key_id, const char *key_type, const char *user_id, size_t key_len);
  void (*iterator_init)(void **iterator);
  void (*iterator_deinit)(void *iterator);
  bool (*iterator_get_key)(void *iterator, char *key_id, char *user_id);
};

/* System variable flags: the type in the low bits, then options. */
#define KX_VAR_BOOL 0x0001
#define KX_VAR_INT 0x0002
#define KX_VAR_STR 0x0005
#define KX_VAR_UNSIGNED 0x0080
#define KX_VAR_READONLY 0x0200
#define KX_VAR_MEMALLOC 0x8000
#define KX_VAR_NOPERSIST 0x10000

/* The value in a SET statement, as a check function gets it. */
struct kx_value {
  int (*value_type)(struct kx_value *value);
  const char *(*val_str)(struct kx_value *value, char *buffer, int *length);
  int (*val_real)(struct kx_value *value, double *out);
  int (*val_int)(struct kx_value *value, long long *out);
  int (*is_unsigned)(struct kx_value *value);
};

/* What all system variables begin with. mysqld writes to check and update while it loads a
 * plugin, so these structs must lie in writable memory. */
struct kx_sysvar {
  int flags;
  const char *name;
  const char *comment;
  int (*check)(void *thd, struct kx_sysvar *var, void *save, struct kx_value *value);
  void (*update)(void *thd, struct kx_sysvar *var, void *target, const void *save);
};

struct kx_sysvar_str {
  struct kx_sysvar head;
  char **value;
  const char *def_val;
};

struct kx_sysvar_bool {
  struct kx_sysvar head;
  bool *value;
  bool def_val;
};

struct kx_sysvar_uint {
  struct kx_sysvar head;
  unsigned int *value;
  unsigned int def_val;
  unsigned int min_val;
  unsigned int max_val;
  unsigned int blk_sz;
};

/* Types of a status variable. */
#define KX_SHOW_LONGLONG 4
#define KX_SHOW_CHAR 5
#define KX_SHOW_FUNC 8
/* Its scope. */
#define KX_SHOW_SCOPE_GLOBAL 1
/* Bytes of the buffer that a KX_SHOW_FUNC function gets. */
#define KX_SHOW_BUFFER 1024

/* A status variable. For KX_SHOW_FUNC, value is a kx_show_function, which fills another one. */
struct kx_show_var {
  const char *name;
  char *value;
  int type;
  int scope;
};
typedef int (*kx_show_function)(void *thd, struct kx_show_var *out, char *buffer);

/* The plugin descriptor. _mysql_plugin_declarations_ is an array of them, ended by one of zeros. */
struct kx_plugin {
  int type;
  void *info;
  const char *name;
  const char *author;
  const char *descr;
  int license;
  int (*init)(void *plugin);
  int (*check_uninstall)(void *plugin);
  int (*deinit)(void *plugin);
  unsigned int version;
  struct kx_show_var *status_vars;
  struct kx_sysvar **system_vars;
  void *reserved;
  unsigned long flags;
};

/* ---- Services of the server that are linked by name ---------------------------------------- */

/* The plugin exports a pointer of the service's name that holds this version; the server puts the
 * address of its table there before init. */
#define KX_SERVICE_VERSION 0x0100

/* mysql_malloc_service. `key` names an instrument; 0 is none. */
struct kx_malloc_service {
  void *(*mysql_malloc)(unsigned int key, size_t size, int flags);
  void *(*mysql_realloc)(unsigned int key, void *ptr, size_t size, int flags);
  void (*mysql_claim)(const void *ptr, bool claim);
  void (*mysql_free)(void *ptr);
  void *(*my_memdup)(unsigned int key, const void *from, size_t length, int flags);
  char *(*my_strdup)(unsigned int key, const char *from, int flags);
  char *(*my_strndup)(unsigned int key, const char *from, size_t length, int flags);
};

/* Levels of my_plugin_log_message. */
#define KX_LOG_ERROR 0
#define KX_LOG_WARNING 1
#define KX_LOG_NOTE 2

/* my_plugin_log_service. */
struct kx_log_service {
  int (*my_plugin_log_message)(void **plugin, int level, const char *format, ...);
};

#endif
