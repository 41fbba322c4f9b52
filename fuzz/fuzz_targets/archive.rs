// SPDX-License-Identifier: GPL-2.0-or-later
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyring_external_fuzz::archive(data));
