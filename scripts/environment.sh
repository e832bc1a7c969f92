# Sourced by the other scripts: versions, paths and what several of them do. It changes nothing by itself.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
pg_version=15
pgrx_version=0.18.1
system_bin=/usr/lib/postgresql/$pg_version/bin
# What is the same for every clone and survives `make clean`.
cache=${XDG_CACHE_HOME:-${HOME:?HOME must be set}/.cache}/pg_cdc_ods
cargo_pgrx_root=$cache/cargo-pgrx-$pgrx_version
solclient_library=$root/target/solclient/lib/libsolclient.so

export CARGO_TARGET_DIR=$root/target
export PGRX_HOME=$root/target/pgrx
export PATH=$cargo_pgrx_root/bin:$PATH
# What is installed must be readable by the server's user.
umask 022

say() { printf '== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# PostgreSQL refuses to run as root: there its server runs as the user that Debian's package makes.
if [ "$(id -u)" = 0 ]; then server_user=postgres; else server_user=$(id -un); fi

as_server_user() {
    if [ "$(id -u)" = 0 ]; then runuser -u "$server_user" -- "$@"; else "$@"; fi
}

# Names the folder for all that servers need: below target/ if their user can pass there, else below /var/tmp.
choose_run_root() {
    run_root=$root/target/run
    mkdir -p "$run_root"
    ! as_server_user test -x "$run_root" 2>/dev/null || return 0
    run_root=/var/tmp/pg_cdc_ods-$(printf '%s' "$root" | sha256sum | cut -c1-12)
    mkdir -p "$run_root"
    [ -O "$run_root" ] || fail "$run_root belongs to another user: remove it"
}

# Chooses the folder and keeps it while the calling script runs. One outside of the clone goes with its last user.
hold_run_root() {
    choose_run_root
    exec {run_root_lock}<"$run_root"
    flock --shared "$run_root_lock"
    trap release_run_root EXIT
}

release_run_root() {
    [ "$run_root" != "$root/target/run" ] || return 0
    ! flock --exclusive --nonblock "$run_root_lock" || rm -rf "$run_root"
}

private_prefix() { printf '%s/pg%s' "$run_root" "$pg_version"; }
private_bin() { printf '%s%s' "$(private_prefix)" "$system_bin"; }

# Takes away the extension's library of an installation, named by its pg_config, before another is put there. A server
# that runs keeps the file that it has loaded; written over in place, it would crash.
unlink_library() {
    local pg_config=$1
    shift
    "$@" rm -f "$("$pg_config" --pkglibdir)/pg_cdc_ods.so"
}
