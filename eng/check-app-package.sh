#!/usr/bin/env bash
# Checks a published function app: eng/check-app-package.sh FOLDER. A package that lacks one of these starts in Azure, and does nothing.
set -euo pipefail
app=$1
sources="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/functions/CloudShards.Functions"
missing=0

complain() {
    echo "$app: $1" >&2
    missing=1
}

for file in CloudShards.Functions.dll host.json worker.config.json functions.metadata extensions.json \
    .azurefunctions/Microsoft.Azure.WebJobs.Extensions.FunctionMetadataLoader.dll; do
    [ -f "$app/$file" ] || complain "$file is missing"
done

functions=$(grep -rhoE '\[Function\((nameof\()?"?[A-Za-z]+' --include='*.cs' "$sources" | grep -oE '[A-Za-z]+$' | sort -u)
[ -n "$functions" ] || complain "$sources has no function"
for function in $functions; do
    grep -qE "\"name\": *\"$function\"" "$app/functions.metadata" || complain "functions.metadata lacks $function"
done

grep -qi 'storage' "$app/extensions.json" || complain "extensions.json lacks the storage extension: its triggers would never fire"
[ ! -e "$app/local.settings.json" ] || complain "local.settings.json must not be published"

[ "$missing" -eq 0 ] && echo "$app: $(wc -w <<<"$functions") functions, complete"
exit "$missing"
