// SPDX-License-Identifier: GPL-2.0-or-later
//! With the feature `bindgen` (`make bindings`): writes src/abi/sys.rs anew from include/. Without it
//! there is nothing to do, and no libclang is needed.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=KX_BINDINGS_OUT");
    println!("cargo:rerun-if-env-changed=KX_BINDINGS_RUN");
    #[cfg(feature = "bindgen")]
    bindings();
}

#[cfg(feature = "bindgen")]
fn bindings() {
    let header = "include/keyring_external_abi.h";
    println!("cargo:rerun-if-changed={header}");
    // The check in `make test` writes beside the committed file and compares.
    let out = std::env::var("KX_BINDINGS_OUT").unwrap_or_else(|_| "src/abi/sys.rs".to_owned());
    bindgen::Builder::default()
        .header(header)
        .allowlist_item("[Kk][Xx]_.*")
        .derive_debug(false)
        .layout_tests(true)
        .merge_extern_blocks(true)
        .formatter(bindgen::Formatter::Prettyplease)
        .disable_header_comment()
        .raw_line("// SPDX-License-Identifier: GPL-2.0-or-later")
        .raw_line("// Made by bindgen from include/keyring_external_abi.h: run `make bindings`, do not edit.")
        .rust_edition(bindgen::RustEdition::Edition2024)
        .generate()
        .expect("bindgen reads include/keyring_external_abi.h")
        .write_to_file(&out)
        .unwrap_or_else(|e| panic!("cannot write {out}: {e}"));
}
