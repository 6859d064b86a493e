#!/usr/bin/env bash
# Writes infra/tests/*.snapshot.json anew, after a change of infra/ that is meant. Read the difference: it is what a deployment would change.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for parameters in infra/tests/*.bicepparam; do
    # As tests/CloudShards.Infra.Tests/Infrastructure.cs has it.
    eng/bicep.sh snapshot "$parameters" --mode overwrite --deployment-name snapshot --location westeurope \
        --tenant-id 00000000-0000-0000-0000-000000000001 --subscription-id 00000000-0000-0000-0000-000000000002
    # The CLI writes outputs in another order each time.
    node -e '
        const fs = require("fs"), file = process.argv[1], snapshot = JSON.parse(fs.readFileSync(file, "utf8"));
        snapshot.outputs = Object.fromEntries(Object.entries(snapshot.outputs).sort(([a], [b]) => (a < b ? -1 : 1)));
        fs.writeFileSync(file, JSON.stringify(snapshot, null, 2) + "\n");
    ' "${parameters%.bicepparam}.snapshot.json"
done
