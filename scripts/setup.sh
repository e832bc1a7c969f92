#!/usr/bin/env bash
# Installs what building, testing and the demo need and the machine lacks. Quick when nothing is missing.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

# flock, runuser, sha256sum and the like are essential packages. Only `cargo pgrx test` as root calls sudo.
packages=(gcc libc6-dev make pkg-config clang libclang-dev libssl3
    "postgresql-$pg_version" "postgresql-server-dev-$pg_version")
[ "$(id -u)" != 0 ] || packages+=(sudo)
[ -e "$solclient_library" ] || python3 -m pip --version >/dev/null 2>&1 || packages+=(python3 python3-pip)

# Debian's package would make and start a cluster of its own, which this project does not need. This file says no while
# the package is installed; afterwards the system is as it was.
no_cluster=/etc/postgresql-common/createcluster.d/pg_cdc_ods.conf

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s\n' "$package"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    local missing
    command -v dpkg-query >/dev/null ||
        fail "this is no Debian: install the equivalents of ${packages[*]}, and see scripts/environment.sh for paths"
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
        fail "these Debian packages are missing: ${missing[*]}; install them as root"
    say "installing Debian packages: ${missing[*]}"
    trap 'as_root rm -f "$no_cluster"' EXIT
    as_root mkdir -p "$(dirname "$no_cluster")"
    as_root tee "$no_cluster" >/dev/null <<<'create_main_cluster = false'
    as_root apt-get update -qq || fail "'apt-get update' failed: check the network and /etc/apt/sources.list"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >/dev/null </dev/null || fail "'apt-get install ${missing[*]}' failed: run it by hand to see why"
    as_root rm -f "$no_cluster"
    trap - EXIT
}

install_cargo_pgrx() {
    [ ! -x "$cargo_pgrx_root/bin/cargo-pgrx" ] || return 0
    say "installing cargo-pgrx $pgrx_version (two minutes, once)"
    cargo install --quiet --locked cargo-pgrx --version "$pgrx_version" --debug --no-default-features \
        --root "$cargo_pgrx_root" --target-dir "$root/target/cargo-pgrx" ||
        fail "cargo could not install cargo-pgrx $pgrx_version: see above"
    rm -rf "$root/target/cargo-pgrx"
}

command -v cargo >/dev/null || fail "there is no cargo: install Rust 1.95 by rustup and open a new shell"
install_packages
install_cargo_pgrx
"$root/scripts/fetch-solclient.sh"
