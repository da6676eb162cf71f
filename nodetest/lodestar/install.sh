#!/usr/bin/env bash
# Installs the newest Lodestar that can be had (1.5.1, February 2023) into a folder, once:
#   install.sh FOLDER
# Needs Node.js 20 or newer with npm, and a C++ compiler for two native parts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
stamp="$folder/.installed-$(cat "$here/package.json" "$here/pnpm-lock.yaml" "$here/install.sh" | sha256sum | cut -c1-16)"
[ -e "$stamp" ] && exit 0
mkdir -p "$folder"
cp "$here/package.json" "$here/pnpm-lock.yaml" "$here/polyfill.cjs" "$folder/"
cd "$folder"
npm install --silent --no-audit --no-fund --prefix ./pnpm pnpm@9.15.9
pnpm=./pnpm/node_modules/.bin/pnpm
"$pnpm" install --frozen-lockfile --reporter=silent
"$pnpm" rebuild --reporter=silent # pnpm install skips the native parts
# With today's libp2p it cannot listen; without listening it runs well, alone.
find node_modules/.pnpm -path '*beacon-node/lib/network/nodejs/util.js' \
  -exec sed -i 's/addresses: { listen: localMultiaddrs }/addresses: { listen: [] }/' {} +
touch "$stamp"
