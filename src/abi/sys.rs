// SPDX-License-Identifier: GPL-2.0-or-later
// Made by bindgen from include/keyring_external_abi.h: run `make bindings`, do not edit.

pub const KX_PLUGIN_INTERFACE_VERSION: u32 = 267;
pub const KX_KEYRING_INTERFACE_VERSION: u32 = 257;
pub const KX_PLUGIN_TYPE_KEYRING: u32 = 10;
pub const KX_PLUGIN_LICENSE_GPL: u32 = 1;
pub const KX_PLUGIN_OPT_ALLOW_EARLY: u32 = 4;
pub const KX_VAR_BOOL: u32 = 1;
pub const KX_VAR_INT: u32 = 2;
pub const KX_VAR_STR: u32 = 5;
pub const KX_VAR_UNSIGNED: u32 = 128;
pub const KX_VAR_READONLY: u32 = 512;
pub const KX_VAR_OPCMDARG: u32 = 8192;
pub const KX_VAR_MEMALLOC: u32 = 32768;
pub const KX_VAR_NOPERSIST: u32 = 65536;
pub const KX_SHOW_LONGLONG: u32 = 4;
pub const KX_SHOW_CHAR: u32 = 5;
pub const KX_SHOW_FUNC: u32 = 8;
pub const KX_SHOW_SCOPE_GLOBAL: u32 = 1;
pub const KX_SHOW_BUFFER: u32 = 1024;
pub const KX_SERVICE_VERSION: u32 = 256;
pub const KX_LOG_ERROR: u32 = 0;
pub const KX_LOG_WARNING: u32 = 1;
pub const KX_LOG_NOTE: u32 = 2;
pub const KX_SEVERITY_ERROR: u32 = 1;
pub const KX_SEVERITY_WARNING: u32 = 2;
pub const KX_SEVERITY_NOTE: u32 = 3;
pub const KX_MESSAGE_TEXT: u32 = 11197;
pub const KX_MESSAGE_INITIALIZED: u32 = 13713;
pub const KX_MESSAGE_NOT_AES: u32 = 13719;
pub const KX_MESSAGE_NOT_FOUND: u32 = 13721;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_keyring {
    pub interface_version: ::std::os::raw::c_int,
    pub store: ::std::option::Option<
        unsafe extern "C" fn(
            key_id: *const ::std::os::raw::c_char,
            key_type: *const ::std::os::raw::c_char,
            user_id: *const ::std::os::raw::c_char,
            key: *const ::std::os::raw::c_void,
            key_len: usize,
        ) -> bool,
    >,
    pub fetch: ::std::option::Option<
        unsafe extern "C" fn(
            key_id: *const ::std::os::raw::c_char,
            key_type: *mut *mut ::std::os::raw::c_char,
            user_id: *const ::std::os::raw::c_char,
            key: *mut *mut ::std::os::raw::c_void,
            key_len: *mut usize,
        ) -> bool,
    >,
    pub remove: ::std::option::Option<
        unsafe extern "C" fn(
            key_id: *const ::std::os::raw::c_char,
            user_id: *const ::std::os::raw::c_char,
        ) -> bool,
    >,
    pub generate: ::std::option::Option<
        unsafe extern "C" fn(
            key_id: *const ::std::os::raw::c_char,
            key_type: *const ::std::os::raw::c_char,
            user_id: *const ::std::os::raw::c_char,
            key_len: usize,
        ) -> bool,
    >,
    pub iterator_init: ::std::option::Option<
        unsafe extern "C" fn(iterator: *mut *mut ::std::os::raw::c_void),
    >,
    pub iterator_deinit: ::std::option::Option<
        unsafe extern "C" fn(iterator: *mut ::std::os::raw::c_void),
    >,
    pub iterator_get_key: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
            key_id: *mut ::std::os::raw::c_char,
            user_id: *mut ::std::os::raw::c_char,
        ) -> bool,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_keyring"][::std::mem::size_of::<kx_keyring>() - 64usize];
    ["Alignment of kx_keyring"][::std::mem::align_of::<kx_keyring>() - 8usize];
    [
        "Offset of field: kx_keyring::interface_version",
    ][::std::mem::offset_of!(kx_keyring, interface_version) - 0usize];
    [
        "Offset of field: kx_keyring::store",
    ][::std::mem::offset_of!(kx_keyring, store) - 8usize];
    [
        "Offset of field: kx_keyring::fetch",
    ][::std::mem::offset_of!(kx_keyring, fetch) - 16usize];
    [
        "Offset of field: kx_keyring::remove",
    ][::std::mem::offset_of!(kx_keyring, remove) - 24usize];
    [
        "Offset of field: kx_keyring::generate",
    ][::std::mem::offset_of!(kx_keyring, generate) - 32usize];
    [
        "Offset of field: kx_keyring::iterator_init",
    ][::std::mem::offset_of!(kx_keyring, iterator_init) - 40usize];
    [
        "Offset of field: kx_keyring::iterator_deinit",
    ][::std::mem::offset_of!(kx_keyring, iterator_deinit) - 48usize];
    [
        "Offset of field: kx_keyring::iterator_get_key",
    ][::std::mem::offset_of!(kx_keyring, iterator_get_key) - 56usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_value {
    pub value_type: ::std::option::Option<
        unsafe extern "C" fn(value: *mut kx_value) -> ::std::os::raw::c_int,
    >,
    pub val_str: ::std::option::Option<
        unsafe extern "C" fn(
            value: *mut kx_value,
            buffer: *mut ::std::os::raw::c_char,
            length: *mut ::std::os::raw::c_int,
        ) -> *const ::std::os::raw::c_char,
    >,
    pub val_real: ::std::option::Option<
        unsafe extern "C" fn(
            value: *mut kx_value,
            out: *mut f64,
        ) -> ::std::os::raw::c_int,
    >,
    pub val_int: ::std::option::Option<
        unsafe extern "C" fn(
            value: *mut kx_value,
            out: *mut ::std::os::raw::c_longlong,
        ) -> ::std::os::raw::c_int,
    >,
    pub is_unsigned: ::std::option::Option<
        unsafe extern "C" fn(value: *mut kx_value) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_value"][::std::mem::size_of::<kx_value>() - 40usize];
    ["Alignment of kx_value"][::std::mem::align_of::<kx_value>() - 8usize];
    [
        "Offset of field: kx_value::value_type",
    ][::std::mem::offset_of!(kx_value, value_type) - 0usize];
    [
        "Offset of field: kx_value::val_str",
    ][::std::mem::offset_of!(kx_value, val_str) - 8usize];
    [
        "Offset of field: kx_value::val_real",
    ][::std::mem::offset_of!(kx_value, val_real) - 16usize];
    [
        "Offset of field: kx_value::val_int",
    ][::std::mem::offset_of!(kx_value, val_int) - 24usize];
    [
        "Offset of field: kx_value::is_unsigned",
    ][::std::mem::offset_of!(kx_value, is_unsigned) - 32usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_sysvar {
    pub flags: ::std::os::raw::c_int,
    pub name: *const ::std::os::raw::c_char,
    pub comment: *const ::std::os::raw::c_char,
    pub check: ::std::option::Option<
        unsafe extern "C" fn(
            thd: *mut ::std::os::raw::c_void,
            var: *mut kx_sysvar,
            save: *mut ::std::os::raw::c_void,
            value: *mut kx_value,
        ) -> ::std::os::raw::c_int,
    >,
    pub update: ::std::option::Option<
        unsafe extern "C" fn(
            thd: *mut ::std::os::raw::c_void,
            var: *mut kx_sysvar,
            target: *mut ::std::os::raw::c_void,
            save: *const ::std::os::raw::c_void,
        ),
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_sysvar"][::std::mem::size_of::<kx_sysvar>() - 40usize];
    ["Alignment of kx_sysvar"][::std::mem::align_of::<kx_sysvar>() - 8usize];
    [
        "Offset of field: kx_sysvar::flags",
    ][::std::mem::offset_of!(kx_sysvar, flags) - 0usize];
    [
        "Offset of field: kx_sysvar::name",
    ][::std::mem::offset_of!(kx_sysvar, name) - 8usize];
    [
        "Offset of field: kx_sysvar::comment",
    ][::std::mem::offset_of!(kx_sysvar, comment) - 16usize];
    [
        "Offset of field: kx_sysvar::check",
    ][::std::mem::offset_of!(kx_sysvar, check) - 24usize];
    [
        "Offset of field: kx_sysvar::update",
    ][::std::mem::offset_of!(kx_sysvar, update) - 32usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_sysvar_str {
    pub head: kx_sysvar,
    pub value: *mut *mut ::std::os::raw::c_char,
    pub def_val: *const ::std::os::raw::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_sysvar_str"][::std::mem::size_of::<kx_sysvar_str>() - 56usize];
    ["Alignment of kx_sysvar_str"][::std::mem::align_of::<kx_sysvar_str>() - 8usize];
    [
        "Offset of field: kx_sysvar_str::head",
    ][::std::mem::offset_of!(kx_sysvar_str, head) - 0usize];
    [
        "Offset of field: kx_sysvar_str::value",
    ][::std::mem::offset_of!(kx_sysvar_str, value) - 40usize];
    [
        "Offset of field: kx_sysvar_str::def_val",
    ][::std::mem::offset_of!(kx_sysvar_str, def_val) - 48usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_sysvar_bool {
    pub head: kx_sysvar,
    pub value: *mut bool,
    pub def_val: bool,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_sysvar_bool"][::std::mem::size_of::<kx_sysvar_bool>() - 56usize];
    ["Alignment of kx_sysvar_bool"][::std::mem::align_of::<kx_sysvar_bool>() - 8usize];
    [
        "Offset of field: kx_sysvar_bool::head",
    ][::std::mem::offset_of!(kx_sysvar_bool, head) - 0usize];
    [
        "Offset of field: kx_sysvar_bool::value",
    ][::std::mem::offset_of!(kx_sysvar_bool, value) - 40usize];
    [
        "Offset of field: kx_sysvar_bool::def_val",
    ][::std::mem::offset_of!(kx_sysvar_bool, def_val) - 48usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_sysvar_uint {
    pub head: kx_sysvar,
    pub value: *mut ::std::os::raw::c_uint,
    pub def_val: ::std::os::raw::c_uint,
    pub min_val: ::std::os::raw::c_uint,
    pub max_val: ::std::os::raw::c_uint,
    pub blk_sz: ::std::os::raw::c_uint,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_sysvar_uint"][::std::mem::size_of::<kx_sysvar_uint>() - 64usize];
    ["Alignment of kx_sysvar_uint"][::std::mem::align_of::<kx_sysvar_uint>() - 8usize];
    [
        "Offset of field: kx_sysvar_uint::head",
    ][::std::mem::offset_of!(kx_sysvar_uint, head) - 0usize];
    [
        "Offset of field: kx_sysvar_uint::value",
    ][::std::mem::offset_of!(kx_sysvar_uint, value) - 40usize];
    [
        "Offset of field: kx_sysvar_uint::def_val",
    ][::std::mem::offset_of!(kx_sysvar_uint, def_val) - 48usize];
    [
        "Offset of field: kx_sysvar_uint::min_val",
    ][::std::mem::offset_of!(kx_sysvar_uint, min_val) - 52usize];
    [
        "Offset of field: kx_sysvar_uint::max_val",
    ][::std::mem::offset_of!(kx_sysvar_uint, max_val) - 56usize];
    [
        "Offset of field: kx_sysvar_uint::blk_sz",
    ][::std::mem::offset_of!(kx_sysvar_uint, blk_sz) - 60usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_show_var {
    pub name: *const ::std::os::raw::c_char,
    pub value: *mut ::std::os::raw::c_char,
    pub type_: ::std::os::raw::c_int,
    pub scope: ::std::os::raw::c_int,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_show_var"][::std::mem::size_of::<kx_show_var>() - 24usize];
    ["Alignment of kx_show_var"][::std::mem::align_of::<kx_show_var>() - 8usize];
    [
        "Offset of field: kx_show_var::name",
    ][::std::mem::offset_of!(kx_show_var, name) - 0usize];
    [
        "Offset of field: kx_show_var::value",
    ][::std::mem::offset_of!(kx_show_var, value) - 8usize];
    [
        "Offset of field: kx_show_var::type_",
    ][::std::mem::offset_of!(kx_show_var, type_) - 16usize];
    [
        "Offset of field: kx_show_var::scope",
    ][::std::mem::offset_of!(kx_show_var, scope) - 20usize];
};
pub type kx_show_function = ::std::option::Option<
    unsafe extern "C" fn(
        thd: *mut ::std::os::raw::c_void,
        out: *mut kx_show_var,
        buffer: *mut ::std::os::raw::c_char,
    ) -> ::std::os::raw::c_int,
>;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_plugin {
    pub type_: ::std::os::raw::c_int,
    pub info: *mut ::std::os::raw::c_void,
    pub name: *const ::std::os::raw::c_char,
    pub author: *const ::std::os::raw::c_char,
    pub descr: *const ::std::os::raw::c_char,
    pub license: ::std::os::raw::c_int,
    pub init: ::std::option::Option<
        unsafe extern "C" fn(
            plugin: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub check_uninstall: ::std::option::Option<
        unsafe extern "C" fn(
            plugin: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub deinit: ::std::option::Option<
        unsafe extern "C" fn(
            plugin: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub version: ::std::os::raw::c_uint,
    pub status_vars: *mut kx_show_var,
    pub system_vars: *mut *mut kx_sysvar,
    pub reserved: *mut ::std::os::raw::c_void,
    pub flags: ::std::os::raw::c_ulong,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_plugin"][::std::mem::size_of::<kx_plugin>() - 112usize];
    ["Alignment of kx_plugin"][::std::mem::align_of::<kx_plugin>() - 8usize];
    [
        "Offset of field: kx_plugin::type_",
    ][::std::mem::offset_of!(kx_plugin, type_) - 0usize];
    [
        "Offset of field: kx_plugin::info",
    ][::std::mem::offset_of!(kx_plugin, info) - 8usize];
    [
        "Offset of field: kx_plugin::name",
    ][::std::mem::offset_of!(kx_plugin, name) - 16usize];
    [
        "Offset of field: kx_plugin::author",
    ][::std::mem::offset_of!(kx_plugin, author) - 24usize];
    [
        "Offset of field: kx_plugin::descr",
    ][::std::mem::offset_of!(kx_plugin, descr) - 32usize];
    [
        "Offset of field: kx_plugin::license",
    ][::std::mem::offset_of!(kx_plugin, license) - 40usize];
    [
        "Offset of field: kx_plugin::init",
    ][::std::mem::offset_of!(kx_plugin, init) - 48usize];
    [
        "Offset of field: kx_plugin::check_uninstall",
    ][::std::mem::offset_of!(kx_plugin, check_uninstall) - 56usize];
    [
        "Offset of field: kx_plugin::deinit",
    ][::std::mem::offset_of!(kx_plugin, deinit) - 64usize];
    [
        "Offset of field: kx_plugin::version",
    ][::std::mem::offset_of!(kx_plugin, version) - 72usize];
    [
        "Offset of field: kx_plugin::status_vars",
    ][::std::mem::offset_of!(kx_plugin, status_vars) - 80usize];
    [
        "Offset of field: kx_plugin::system_vars",
    ][::std::mem::offset_of!(kx_plugin, system_vars) - 88usize];
    [
        "Offset of field: kx_plugin::reserved",
    ][::std::mem::offset_of!(kx_plugin, reserved) - 96usize];
    [
        "Offset of field: kx_plugin::flags",
    ][::std::mem::offset_of!(kx_plugin, flags) - 104usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_malloc_service {
    pub mysql_malloc: ::std::option::Option<
        unsafe extern "C" fn(
            key: ::std::os::raw::c_uint,
            size: usize,
            flags: ::std::os::raw::c_int,
        ) -> *mut ::std::os::raw::c_void,
    >,
    pub mysql_realloc: ::std::option::Option<
        unsafe extern "C" fn(
            key: ::std::os::raw::c_uint,
            ptr: *mut ::std::os::raw::c_void,
            size: usize,
            flags: ::std::os::raw::c_int,
        ) -> *mut ::std::os::raw::c_void,
    >,
    pub mysql_claim: ::std::option::Option<
        unsafe extern "C" fn(ptr: *const ::std::os::raw::c_void, claim: bool),
    >,
    pub mysql_free: ::std::option::Option<
        unsafe extern "C" fn(ptr: *mut ::std::os::raw::c_void),
    >,
    pub my_memdup: ::std::option::Option<
        unsafe extern "C" fn(
            key: ::std::os::raw::c_uint,
            from: *const ::std::os::raw::c_void,
            length: usize,
            flags: ::std::os::raw::c_int,
        ) -> *mut ::std::os::raw::c_void,
    >,
    pub my_strdup: ::std::option::Option<
        unsafe extern "C" fn(
            key: ::std::os::raw::c_uint,
            from: *const ::std::os::raw::c_char,
            flags: ::std::os::raw::c_int,
        ) -> *mut ::std::os::raw::c_char,
    >,
    pub my_strndup: ::std::option::Option<
        unsafe extern "C" fn(
            key: ::std::os::raw::c_uint,
            from: *const ::std::os::raw::c_char,
            length: usize,
            flags: ::std::os::raw::c_int,
        ) -> *mut ::std::os::raw::c_char,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_malloc_service"][::std::mem::size_of::<kx_malloc_service>() - 56usize];
    [
        "Alignment of kx_malloc_service",
    ][::std::mem::align_of::<kx_malloc_service>() - 8usize];
    [
        "Offset of field: kx_malloc_service::mysql_malloc",
    ][::std::mem::offset_of!(kx_malloc_service, mysql_malloc) - 0usize];
    [
        "Offset of field: kx_malloc_service::mysql_realloc",
    ][::std::mem::offset_of!(kx_malloc_service, mysql_realloc) - 8usize];
    [
        "Offset of field: kx_malloc_service::mysql_claim",
    ][::std::mem::offset_of!(kx_malloc_service, mysql_claim) - 16usize];
    [
        "Offset of field: kx_malloc_service::mysql_free",
    ][::std::mem::offset_of!(kx_malloc_service, mysql_free) - 24usize];
    [
        "Offset of field: kx_malloc_service::my_memdup",
    ][::std::mem::offset_of!(kx_malloc_service, my_memdup) - 32usize];
    [
        "Offset of field: kx_malloc_service::my_strdup",
    ][::std::mem::offset_of!(kx_malloc_service, my_strdup) - 40usize];
    [
        "Offset of field: kx_malloc_service::my_strndup",
    ][::std::mem::offset_of!(kx_malloc_service, my_strndup) - 48usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_plugin_registry_service {
    pub acquire: ::std::option::Option<unsafe extern "C" fn() -> *mut kx_registry>,
    pub release: ::std::option::Option<
        unsafe extern "C" fn(registry: *mut kx_registry) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kx_plugin_registry_service",
    ][::std::mem::size_of::<kx_plugin_registry_service>() - 16usize];
    [
        "Alignment of kx_plugin_registry_service",
    ][::std::mem::align_of::<kx_plugin_registry_service>() - 8usize];
    [
        "Offset of field: kx_plugin_registry_service::acquire",
    ][::std::mem::offset_of!(kx_plugin_registry_service, acquire) - 0usize];
    [
        "Offset of field: kx_plugin_registry_service::release",
    ][::std::mem::offset_of!(kx_plugin_registry_service, release) - 8usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_log_service {
    pub my_plugin_log_message: ::std::option::Option<
        unsafe extern "C" fn(
            plugin: *mut *mut ::std::os::raw::c_void,
            level: ::std::os::raw::c_int,
            format: *const ::std::os::raw::c_char,
            ...
        ) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_log_service"][::std::mem::size_of::<kx_log_service>() - 8usize];
    ["Alignment of kx_log_service"][::std::mem::align_of::<kx_log_service>() - 8usize];
    [
        "Offset of field: kx_log_service::my_plugin_log_message",
    ][::std::mem::offset_of!(kx_log_service, my_plugin_log_message) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_provided {
    pub name: *const ::std::os::raw::c_char,
    pub implementation: *const ::std::os::raw::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_provided"][::std::mem::size_of::<kx_provided>() - 16usize];
    ["Alignment of kx_provided"][::std::mem::align_of::<kx_provided>() - 8usize];
    [
        "Offset of field: kx_provided::name",
    ][::std::mem::offset_of!(kx_provided, name) - 0usize];
    [
        "Offset of field: kx_provided::implementation",
    ][::std::mem::offset_of!(kx_provided, implementation) - 8usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_required {
    pub name: *const ::std::os::raw::c_char,
    pub place: *mut *mut ::std::os::raw::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_required"][::std::mem::size_of::<kx_required>() - 16usize];
    ["Alignment of kx_required"][::std::mem::align_of::<kx_required>() - 8usize];
    [
        "Offset of field: kx_required::name",
    ][::std::mem::offset_of!(kx_required, name) - 0usize];
    [
        "Offset of field: kx_required::place",
    ][::std::mem::offset_of!(kx_required, place) - 8usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_metadata {
    pub key: *const ::std::os::raw::c_char,
    pub value: *const ::std::os::raw::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_metadata"][::std::mem::size_of::<kx_metadata>() - 16usize];
    ["Alignment of kx_metadata"][::std::mem::align_of::<kx_metadata>() - 8usize];
    [
        "Offset of field: kx_metadata::key",
    ][::std::mem::offset_of!(kx_metadata, key) - 0usize];
    [
        "Offset of field: kx_metadata::value",
    ][::std::mem::offset_of!(kx_metadata, value) - 8usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_component {
    pub name: *const ::std::os::raw::c_char,
    pub provides: *const kx_provided,
    pub requires_: *const kx_required,
    pub metadata: *const kx_metadata,
    pub init: ::std::option::Option<unsafe extern "C" fn() -> ::std::os::raw::c_int>,
    pub deinit: ::std::option::Option<unsafe extern "C" fn() -> ::std::os::raw::c_int>,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_component"][::std::mem::size_of::<kx_component>() - 48usize];
    ["Alignment of kx_component"][::std::mem::align_of::<kx_component>() - 8usize];
    [
        "Offset of field: kx_component::name",
    ][::std::mem::offset_of!(kx_component, name) - 0usize];
    [
        "Offset of field: kx_component::provides",
    ][::std::mem::offset_of!(kx_component, provides) - 8usize];
    [
        "Offset of field: kx_component::requires_",
    ][::std::mem::offset_of!(kx_component, requires_) - 16usize];
    [
        "Offset of field: kx_component::metadata",
    ][::std::mem::offset_of!(kx_component, metadata) - 24usize];
    [
        "Offset of field: kx_component::init",
    ][::std::mem::offset_of!(kx_component, init) - 32usize];
    [
        "Offset of field: kx_component::deinit",
    ][::std::mem::offset_of!(kx_component, deinit) - 40usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_registry {
    pub acquire: ::std::option::Option<
        unsafe extern "C" fn(
            name: *const ::std::os::raw::c_char,
            service: *mut *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub acquire_related: ::std::option::Option<
        unsafe extern "C" fn(
            name: *const ::std::os::raw::c_char,
            service: *mut ::std::os::raw::c_void,
            related: *mut *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub release: ::std::option::Option<
        unsafe extern "C" fn(
            service: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_registry"][::std::mem::size_of::<kx_registry>() - 24usize];
    ["Alignment of kx_registry"][::std::mem::align_of::<kx_registry>() - 8usize];
    [
        "Offset of field: kx_registry::acquire",
    ][::std::mem::offset_of!(kx_registry, acquire) - 0usize];
    [
        "Offset of field: kx_registry::acquire_related",
    ][::std::mem::offset_of!(kx_registry, acquire_related) - 8usize];
    [
        "Offset of field: kx_registry::release",
    ][::std::mem::offset_of!(kx_registry, release) - 16usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_simple_error_log {
    pub emit: ::std::option::Option<
        unsafe extern "C" fn(
            component: *const ::std::os::raw::c_char,
            file: *const ::std::os::raw::c_char,
            line: ::std::os::raw::c_int,
            severity: ::std::os::raw::c_int,
            number: ::std::os::raw::c_int,
            ...
        ) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kx_simple_error_log",
    ][::std::mem::size_of::<kx_simple_error_log>() - 8usize];
    [
        "Alignment of kx_simple_error_log",
    ][::std::mem::align_of::<kx_simple_error_log>() - 8usize];
    [
        "Offset of field: kx_simple_error_log::emit",
    ][::std::mem::offset_of!(kx_simple_error_log, emit) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_status_variable_registration {
    pub register_variable: ::std::option::Option<
        unsafe extern "C" fn(variables: *mut kx_show_var) -> ::std::os::raw::c_int,
    >,
    pub unregister_variable: ::std::option::Option<
        unsafe extern "C" fn(variables: *mut kx_show_var) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kx_status_variable_registration",
    ][::std::mem::size_of::<kx_status_variable_registration>() - 16usize];
    [
        "Alignment of kx_status_variable_registration",
    ][::std::mem::align_of::<kx_status_variable_registration>() - 8usize];
    [
        "Offset of field: kx_status_variable_registration::register_variable",
    ][::std::mem::offset_of!(kx_status_variable_registration, register_variable)
        - 0usize];
    [
        "Offset of field: kx_status_variable_registration::unregister_variable",
    ][::std::mem::offset_of!(kx_status_variable_registration, unregister_variable)
        - 8usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_keyring_external_status {
    pub are_registered: ::std::option::Option<
        unsafe extern "C" fn() -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kx_keyring_external_status",
    ][::std::mem::size_of::<kx_keyring_external_status>() - 8usize];
    [
        "Alignment of kx_keyring_external_status",
    ][::std::mem::align_of::<kx_keyring_external_status>() - 8usize];
    [
        "Offset of field: kx_keyring_external_status::are_registered",
    ][::std::mem::offset_of!(kx_keyring_external_status, are_registered) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_keyring_load {
    pub load: ::std::option::Option<
        unsafe extern "C" fn(
            component_path: *const ::std::os::raw::c_char,
            instance_path: *const ::std::os::raw::c_char,
        ) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_keyring_load"][::std::mem::size_of::<kx_keyring_load>() - 8usize];
    ["Alignment of kx_keyring_load"][::std::mem::align_of::<kx_keyring_load>() - 8usize];
    [
        "Offset of field: kx_keyring_load::load",
    ][::std::mem::offset_of!(kx_keyring_load, load) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_keyring_component_status {
    pub keyring_initialized: ::std::option::Option<
        unsafe extern "C" fn() -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kx_keyring_component_status",
    ][::std::mem::size_of::<kx_keyring_component_status>() - 8usize];
    [
        "Alignment of kx_keyring_component_status",
    ][::std::mem::align_of::<kx_keyring_component_status>() - 8usize];
    [
        "Offset of field: kx_keyring_component_status::keyring_initialized",
    ][::std::mem::offset_of!(kx_keyring_component_status, keyring_initialized) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_keyring_component_metadata_query {
    pub init: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub deinit: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub is_valid: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub next: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub get_length: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
            key_size: *mut usize,
            value_size: *mut usize,
        ) -> ::std::os::raw::c_int,
    >,
    pub get: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
            key: *mut ::std::os::raw::c_char,
            key_size: usize,
            value: *mut ::std::os::raw::c_char,
            value_size: usize,
        ) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kx_keyring_component_metadata_query",
    ][::std::mem::size_of::<kx_keyring_component_metadata_query>() - 48usize];
    [
        "Alignment of kx_keyring_component_metadata_query",
    ][::std::mem::align_of::<kx_keyring_component_metadata_query>() - 8usize];
    [
        "Offset of field: kx_keyring_component_metadata_query::init",
    ][::std::mem::offset_of!(kx_keyring_component_metadata_query, init) - 0usize];
    [
        "Offset of field: kx_keyring_component_metadata_query::deinit",
    ][::std::mem::offset_of!(kx_keyring_component_metadata_query, deinit) - 8usize];
    [
        "Offset of field: kx_keyring_component_metadata_query::is_valid",
    ][::std::mem::offset_of!(kx_keyring_component_metadata_query, is_valid) - 16usize];
    [
        "Offset of field: kx_keyring_component_metadata_query::next",
    ][::std::mem::offset_of!(kx_keyring_component_metadata_query, next) - 24usize];
    [
        "Offset of field: kx_keyring_component_metadata_query::get_length",
    ][::std::mem::offset_of!(kx_keyring_component_metadata_query, get_length) - 32usize];
    [
        "Offset of field: kx_keyring_component_metadata_query::get",
    ][::std::mem::offset_of!(kx_keyring_component_metadata_query, get) - 40usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_keyring_reader {
    pub init: ::std::option::Option<
        unsafe extern "C" fn(
            data_id: *const ::std::os::raw::c_char,
            auth_id: *const ::std::os::raw::c_char,
            reader: *mut *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub deinit: ::std::option::Option<
        unsafe extern "C" fn(
            reader: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub fetch_length: ::std::option::Option<
        unsafe extern "C" fn(
            reader: *mut ::std::os::raw::c_void,
            data_size: *mut usize,
            type_size: *mut usize,
        ) -> ::std::os::raw::c_int,
    >,
    pub fetch: ::std::option::Option<
        unsafe extern "C" fn(
            reader: *mut ::std::os::raw::c_void,
            data: *mut ::std::os::raw::c_uchar,
            data_room: usize,
            data_size: *mut usize,
            type_: *mut ::std::os::raw::c_char,
            type_room: usize,
            type_size: *mut usize,
        ) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_keyring_reader"][::std::mem::size_of::<kx_keyring_reader>() - 32usize];
    [
        "Alignment of kx_keyring_reader",
    ][::std::mem::align_of::<kx_keyring_reader>() - 8usize];
    [
        "Offset of field: kx_keyring_reader::init",
    ][::std::mem::offset_of!(kx_keyring_reader, init) - 0usize];
    [
        "Offset of field: kx_keyring_reader::deinit",
    ][::std::mem::offset_of!(kx_keyring_reader, deinit) - 8usize];
    [
        "Offset of field: kx_keyring_reader::fetch_length",
    ][::std::mem::offset_of!(kx_keyring_reader, fetch_length) - 16usize];
    [
        "Offset of field: kx_keyring_reader::fetch",
    ][::std::mem::offset_of!(kx_keyring_reader, fetch) - 24usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_keyring_writer {
    pub store: ::std::option::Option<
        unsafe extern "C" fn(
            data_id: *const ::std::os::raw::c_char,
            auth_id: *const ::std::os::raw::c_char,
            data: *const ::std::os::raw::c_uchar,
            data_size: usize,
            type_: *const ::std::os::raw::c_char,
        ) -> ::std::os::raw::c_int,
    >,
    pub remove: ::std::option::Option<
        unsafe extern "C" fn(
            data_id: *const ::std::os::raw::c_char,
            auth_id: *const ::std::os::raw::c_char,
        ) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_keyring_writer"][::std::mem::size_of::<kx_keyring_writer>() - 16usize];
    [
        "Alignment of kx_keyring_writer",
    ][::std::mem::align_of::<kx_keyring_writer>() - 8usize];
    [
        "Offset of field: kx_keyring_writer::store",
    ][::std::mem::offset_of!(kx_keyring_writer, store) - 0usize];
    [
        "Offset of field: kx_keyring_writer::remove",
    ][::std::mem::offset_of!(kx_keyring_writer, remove) - 8usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_keyring_generator {
    pub generate: ::std::option::Option<
        unsafe extern "C" fn(
            data_id: *const ::std::os::raw::c_char,
            auth_id: *const ::std::os::raw::c_char,
            type_: *const ::std::os::raw::c_char,
            data_size: usize,
        ) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kx_keyring_generator",
    ][::std::mem::size_of::<kx_keyring_generator>() - 8usize];
    [
        "Alignment of kx_keyring_generator",
    ][::std::mem::align_of::<kx_keyring_generator>() - 8usize];
    [
        "Offset of field: kx_keyring_generator::generate",
    ][::std::mem::offset_of!(kx_keyring_generator, generate) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_keyring_keys_metadata_iterator {
    pub init: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub deinit: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub is_valid: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub next: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
        ) -> ::std::os::raw::c_int,
    >,
    pub get_length: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
            data_id_size: *mut usize,
            auth_id_size: *mut usize,
        ) -> ::std::os::raw::c_int,
    >,
    pub get: ::std::option::Option<
        unsafe extern "C" fn(
            iterator: *mut ::std::os::raw::c_void,
            data_id: *mut ::std::os::raw::c_char,
            data_id_room: usize,
            auth_id: *mut ::std::os::raw::c_char,
            auth_id_room: usize,
        ) -> ::std::os::raw::c_int,
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kx_keyring_keys_metadata_iterator",
    ][::std::mem::size_of::<kx_keyring_keys_metadata_iterator>() - 48usize];
    [
        "Alignment of kx_keyring_keys_metadata_iterator",
    ][::std::mem::align_of::<kx_keyring_keys_metadata_iterator>() - 8usize];
    [
        "Offset of field: kx_keyring_keys_metadata_iterator::init",
    ][::std::mem::offset_of!(kx_keyring_keys_metadata_iterator, init) - 0usize];
    [
        "Offset of field: kx_keyring_keys_metadata_iterator::deinit",
    ][::std::mem::offset_of!(kx_keyring_keys_metadata_iterator, deinit) - 8usize];
    [
        "Offset of field: kx_keyring_keys_metadata_iterator::is_valid",
    ][::std::mem::offset_of!(kx_keyring_keys_metadata_iterator, is_valid) - 16usize];
    [
        "Offset of field: kx_keyring_keys_metadata_iterator::next",
    ][::std::mem::offset_of!(kx_keyring_keys_metadata_iterator, next) - 24usize];
    [
        "Offset of field: kx_keyring_keys_metadata_iterator::get_length",
    ][::std::mem::offset_of!(kx_keyring_keys_metadata_iterator, get_length) - 32usize];
    [
        "Offset of field: kx_keyring_keys_metadata_iterator::get",
    ][::std::mem::offset_of!(kx_keyring_keys_metadata_iterator, get) - 40usize];
};
pub type kx_aes_operation = ::std::option::Option<
    unsafe extern "C" fn(
        data_id: *const ::std::os::raw::c_char,
        auth_id: *const ::std::os::raw::c_char,
        mode: *const ::std::os::raw::c_char,
        block_size: usize,
        iv: *const ::std::os::raw::c_uchar,
        padding: ::std::os::raw::c_uchar,
        input: *const ::std::os::raw::c_uchar,
        input_size: usize,
        output: *mut ::std::os::raw::c_uchar,
        output_room: usize,
        output_size: *mut usize,
    ) -> ::std::os::raw::c_int,
>;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kx_keyring_aes {
    pub get_size: ::std::option::Option<
        unsafe extern "C" fn(
            input_size: usize,
            mode: *const ::std::os::raw::c_char,
            block_size: usize,
            output_size: *mut usize,
        ) -> ::std::os::raw::c_int,
    >,
    pub encrypt: kx_aes_operation,
    pub decrypt: kx_aes_operation,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kx_keyring_aes"][::std::mem::size_of::<kx_keyring_aes>() - 24usize];
    ["Alignment of kx_keyring_aes"][::std::mem::align_of::<kx_keyring_aes>() - 8usize];
    [
        "Offset of field: kx_keyring_aes::get_size",
    ][::std::mem::offset_of!(kx_keyring_aes, get_size) - 0usize];
    [
        "Offset of field: kx_keyring_aes::encrypt",
    ][::std::mem::offset_of!(kx_keyring_aes, encrypt) - 8usize];
    [
        "Offset of field: kx_keyring_aes::decrypt",
    ][::std::mem::offset_of!(kx_keyring_aes, decrypt) - 16usize];
};
