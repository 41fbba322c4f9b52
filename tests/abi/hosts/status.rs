// SPDX-License-Identifier: GPL-2.0-or-later
//! Status variables, read as mysqld reads them.

use keyring_external::abi::sys::*;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

type Show = unsafe extern "C" fn(*mut c_void, *mut kx_show_var, *mut c_char) -> c_int;

/// The variables of a list, which one without a name ends.
///
/// # Safety
/// It is such a list.
pub unsafe fn entries(mut list: *const kx_show_var) -> Vec<kx_show_var> {
    let mut entries = Vec::new();
    unsafe {
        while !(*list).name.is_null() {
            entries.push(*list);
            list = list.add(1);
        }
    }
    entries
}

/// Name and value of a variable, and whether the value is a number.
pub fn shown(variable: &kx_show_var) -> (String, String, bool) {
    assert_eq!(variable.type_ as u32, KX_SHOW_FUNC);
    assert_eq!(variable.scope as u32, KX_SHOW_SCOPE_GLOBAL);
    let mut buffer = [0x7f as c_char; KX_SHOW_BUFFER as usize + 16];
    let mut out = kx_show_var { name: std::ptr::null(), value: null_mut(), type_: 0, scope: 0 };
    let shown = unsafe {
        let show = std::mem::transmute::<*mut c_void, Show>(variable.value.cast());
        assert_eq!(show(null_mut(), &mut out, buffer.as_mut_ptr()), 0);
        assert_eq!(show(null_mut(), null_mut(), buffer.as_mut_ptr()), 1);
        assert_eq!(show(null_mut(), &mut out, null_mut()), 1);
        let name = CStr::from_ptr(variable.name).to_str().unwrap().to_owned();
        match out.type_ as u32 {
            KX_SHOW_LONGLONG => (name, out.value.cast::<u64>().read_unaligned().to_string(), true),
            _ => (name, CStr::from_ptr(out.value).to_str().unwrap().to_owned(), false),
        }
    };
    assert!(buffer[KX_SHOW_BUFFER as usize..].iter().all(|b| *b == 0x7f), "written past the buffer");
    shown
}
