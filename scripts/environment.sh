# Sourced by the other scripts: where things are. Nothing here changes the machine.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pgrx_version=0.18.1
pg_version=15
pg_bin=/usr/lib/postgresql/$pg_version/bin
cargo_pgrx_root=${XDG_CACHE_HOME:-$HOME/.cache}/pg_cdc_ods/cargo-pgrx-$pgrx_version

export PGRX_HOME=$root/target/pgrx
export PATH=$cargo_pgrx_root/bin:$PATH

say() { printf '== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# As root PostgreSQL refuses to run: then its server runs as the user that Debian's package made.
server_user=$(id -un)
[ "$(id -u)" != 0 ] || server_user=postgres

as_server_user() {
    if [ "$(id -u)" = 0 ]; then runuser -u "$server_user" -- "$@"; else "$@"; fi
}

# A folder that the server's user can reach: below target/ if the way there is open, else below /var/tmp.
run_root=$root/target/run
choose_run_root() {
    mkdir -p "$run_root"
    if ! as_server_user test -x "$run_root" 2>/dev/null; then
        run_root=/var/tmp/pg_cdc_ods-$(printf '%s' "$root" | sha256sum | cut -c1-12)
        mkdir -p "$run_root"
    fi
}
private_prefix() { printf '%s/pg%s' "$run_root" "$pg_version"; }
private_pg_config() { printf '%s%s/pg_config' "$(private_prefix)" "$pg_bin"; }
