#!/bin/sh
# Installs Rust with rustup for a workflow: rust.sh TOOLCHAIN [COMPONENT...]
set -eu
toolchain=$1
shift
if ! command -v rustup >/dev/null; then
    curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs |
        sh -s -- -y --no-modify-path --profile minimal --default-toolchain none
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
fi
rustup toolchain install "$toolchain" --profile minimal --no-self-update
for component in "$@"; do
    rustup component add --toolchain "$toolchain" "$component"
done
rustup default "$toolchain"
# For the steps that follow.
echo "${CARGO_HOME:-$HOME/.cargo}/bin" >>"$GITHUB_PATH"
rustc --version >>"$GITHUB_STEP_SUMMARY"
