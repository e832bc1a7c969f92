#!/usr/bin/env bash
# Installs what building and testing need and the machine lacks. Quick when nothing is missing.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

packages=(gcc libc6-dev make pkg-config clang libclang-dev sudo libssl3 "postgresql-$pg_version" "postgresql-server-dev-$pg_version")

install_packages() {
    local missing=() package
    python3 -m pip --version >/dev/null 2>&1 || packages+=(python3 python3-pip)
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "install these packages by your own package manager: ${missing[*]}"
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    say "installing Debian packages: ${missing[*]}"
    # Debian's package would create and start a cluster of its own; this project needs none.
    $sudo mkdir -p /etc/postgresql-common
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Options::=--force-confold "${missing[@]}" >/dev/null ||
        fail "apt-get could not install ${missing[*]}: run it by hand to see why"
}

install_cargo_pgrx() {
    [ ! -x "$cargo_pgrx_root/bin/cargo-pgrx" ] || return 0
    say "installing cargo-pgrx $pgrx_version (two minutes, once)"
    cargo install --quiet --locked cargo-pgrx --version "$pgrx_version" --debug --no-default-features \
        --root "$cargo_pgrx_root" --target-dir "$root/target/cargo-pgrx" ||
        fail "cargo could not install cargo-pgrx $pgrx_version"
    rm -rf "$root/target/cargo-pgrx"
}

command -v cargo >/dev/null || fail "there is no cargo: install Rust 1.95 first"
install_packages
install_cargo_pgrx
"$root/scripts/private-postgres.sh"
"$root/scripts/fetch-solclient.sh"
