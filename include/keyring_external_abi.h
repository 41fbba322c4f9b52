/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The C interface between mysqld and a keyring, as keyring_external uses it.
 *
 * Written by this project from facts about the binary interface (layouts, values, calling rules)
 * as they were observed on MySQL 8.0, 8.4 and 9.7, x86_64 and aarch64 Linux; docs/ABI.md has each
 * fact. Only what the project uses is declared. bindgen makes src/abi/sys.rs from this file
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
/* kx_plugin.flags: the plugin may be loaded with --early-plugin-load. */
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
/* The value may be left out: without this flag, an option without "=" takes the next one as its value. */
#define KX_VAR_OPCMDARG 0x2000
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

/* The head of all system variables. mysqld writes to check and update while it loads a plugin, so
 * these structs must be in writable memory. */
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

/* The plugin descriptor. _mysql_plugin_declarations_ is an array of them; one of zeros ends it. */
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

/* The plugin exports a pointer with the service's name, which holds this version. The server writes
 * the address of its table there before it calls init. */
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

/* plugin_registry_service: gives a plugin the registry (kx_registry, below), to be returned after use. */
struct kx_registry;
struct kx_plugin_registry_service {
  struct kx_registry *(*acquire)(void);
  int (*release)(struct kx_registry *registry);
};

/* Levels of my_plugin_log_message. */
#define KX_LOG_ERROR 0
#define KX_LOG_WARNING 1
#define KX_LOG_NOTE 2

/* my_plugin_log_service. */
struct kx_log_service {
  int (*my_plugin_log_message)(void **plugin, int level, const char *format, ...);
};

/* ---- Component ----------------------------------------------------------------------------- */

/* The only function that a component exports is list_components, which returns the descriptor. Each
 * list in it ends with an entry of NULL pointers. All functions return 0 for success, unless stated
 * otherwise. `int` also serves callers that expect a `bool`, as long as only 0 and 1 are returned. */

/* What a component provides: "SERVICE.IMPLEMENTATION" and its table of functions. */
struct kx_provided {
  const char *name;
  const void *implementation;
};

/* What a component requires: the name of a service, and where the host writes the address of its table
 * before it calls init. Every host has the registry. */
struct kx_required {
  const char *name;
  void **place;
};

struct kx_metadata {
  const char *key;
  const char *value;
};

struct kx_component {
  const char *name;
  const struct kx_provided *provides;
  const struct kx_required *requires_;
  const struct kx_metadata *metadata;
  int (*init)(void);
  int (*deinit)(void);
};

/* "registry": a service handle is a pointer to that service's table. */
struct kx_registry {
  int (*acquire)(const char *name, void **service);
  int (*acquire_related)(const char *name, void *service, void **related);
  int (*release)(void *service);
};

/* Severities of kx_simple_error_log. */
#define KX_SEVERITY_ERROR 1
#define KX_SEVERITY_WARNING 2
#define KX_SEVERITY_NOTE 3

/* "mysql_simple_error_log": the number selects a text of the server's own table, which the arguments
 * after it complete. */
struct kx_simple_error_log {
  int (*emit)(const char *component, const char *file, int line, int severity, int number, ...);
};

/* Numbers of that table. The text of the first is nothing but its argument, a string. */
#define KX_MESSAGE_TEXT 11197
#define KX_MESSAGE_INITIALIZED 13713
#define KX_MESSAGE_NOT_AES 13719
#define KX_MESSAGE_NOT_FOUND 13721

/* "status_variable_registration". Both take an array of variables, which one without a name ends. The
 * server copies the entries, but neither the names nor the functions. It removes by name alone. */
struct kx_status_variable_registration {
  int (*register_variable)(struct kx_show_var *variables);
  int (*unregister_variable)(struct kx_show_var *variables);
};

/* "keyring_external_status", a service of this project's own, for its plugin in the same server. 1 if the
 * component has registered the status variables. */
struct kx_keyring_external_status {
  int (*are_registered)(void);
};

/* "keyring_load". Both paths may be NULL. */
struct kx_keyring_load {
  int (*load)(const char *component_path, const char *instance_path);
};

/* "keyring_component_status". 1 if the keyring can be used. */
struct kx_keyring_component_status {
  int (*keyring_initialized)(void);
};

/* "keyring_component_metadata_query". Lengths count the terminator. */
struct kx_keyring_component_metadata_query {
  int (*init)(void **iterator);
  int (*deinit)(void *iterator);
  int (*is_valid)(void *iterator); /* 1 if there is a row */
  int (*next)(void *iterator);
  int (*get_length)(void *iterator, size_t *key_size, size_t *value_size);
  int (*get)(void *iterator, char *key, size_t key_size, char *value, size_t value_size);
};

/* "keyring_reader_with_status". For a key that does not exist, init succeeds with a NULL reader. Lengths
 * do not count a terminator, and there need not be room for one. */
struct kx_keyring_reader {
  int (*init)(const char *data_id, const char *auth_id, void **reader);
  int (*deinit)(void *reader);
  int (*fetch_length)(void *reader, size_t *data_size, size_t *type_size);
  int (*fetch)(void *reader, unsigned char *data, size_t data_room, size_t *data_size, char *type,
               size_t type_room, size_t *type_size);
};

/* "keyring_writer" */
struct kx_keyring_writer {
  int (*store)(const char *data_id, const char *auth_id, const unsigned char *data, size_t data_size,
               const char *type);
  int (*remove)(const char *data_id, const char *auth_id);
};

/* "keyring_generator" */
struct kx_keyring_generator {
  int (*generate)(const char *data_id, const char *auth_id, const char *type, size_t data_size);
};

/* "keyring_keys_metadata_iterator". Lengths do not count the terminator; there must be room for it. */
struct kx_keyring_keys_metadata_iterator {
  int (*init)(void **iterator);
  int (*deinit)(void *iterator);
  int (*is_valid)(void *iterator); /* 1 if there is a key */
  int (*next)(void *iterator);
  int (*get_length)(void *iterator, size_t *data_id_size, size_t *auth_id_size);
  int (*get)(void *iterator, char *data_id, size_t data_id_room, char *auth_id, size_t auth_id_room);
};

/* "keyring_aes". The padding flag is a byte, whatever type the caller gives it: 0 is off. */
typedef int (*kx_aes_operation)(const char *data_id, const char *auth_id, const char *mode,
                                size_t block_size, const unsigned char *iv, unsigned char padding,
                                const unsigned char *input, size_t input_size, unsigned char *output,
                                size_t output_room, size_t *output_size);
struct kx_keyring_aes {
  int (*get_size)(size_t input_size, const char *mode, size_t block_size, size_t *output_size);
  kx_aes_operation encrypt;
  kx_aes_operation decrypt;
};

#endif
