#!/usr/bin/env bash
# Makes the passwords that compose.yml hands to the containers, in docker/secrets or the folder given. What is there
# stays. Nobody else can enter the folder; the files themselves are readable, because the users inside the containers
# are not yours.
set -euo pipefail

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"
for name in postgres_password postgres_bridge_password solace_admin_password solace_bridge_password; do
    [ ! -e "$folder/$name" ] || continue
    # 24 random bytes are 32 characters, without those that URLs and shells mind.
    head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$folder/$name"
    chmod 444 "$folder/$name"
done
