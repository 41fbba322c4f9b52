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
