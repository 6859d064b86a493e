#!/usr/bin/env bash
# Brings a project's PublicAPI.Unshipped.txt in line with its code: eng/public-api.sh sdk/CloudShards
# Read the difference before you commit it: it is what users will compile against.
set -euo pipefail
project=${1:?usage: eng/public-api.sh PROJECT_FOLDER}
file=$project/PublicAPI.Unshipped.txt
echo '#nullable enable' > "$file"
dotnet build "$project" --no-incremental -v q -p:TreatWarningsAsErrors=false 2>&1 \
    | sed -n "s/.*warning RS0016: Symbol '\(.*\)' is not part of the declared public API.*/\1/p" \
    | LC_ALL=C sort -u | { cat > "$file.new"; cat "$file" "$file.new"; } > "$file.merged"
mv "$file.merged" "$file"
rm "$file.new"
