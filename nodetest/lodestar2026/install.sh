#!/usr/bin/env bash
# Installs Lodestar 1.44 (July 2026) into a folder, once:
#   install.sh FOLDER
# Needs Node.js 20 or newer with npm. Packages of the network are replaced by an empty one, and those of the database and
# the fork choice by stand-ins (package.json, "overrides").
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
stamp="$folder/.installed-$(cd "$here" && find . -type f | sort | xargs cat | sha256sum | cut -c1-16)"
[ -e "$stamp" ] && exit 0
mkdir -p "$folder"
rm -rf "$folder/node_modules" "$folder/stand-in"
cp -r "$here"/. "$folder/"
cd "$folder"
npm ci --silent --no-audit --no-fund
touch "$stamp"
