#!/usr/bin/env bash
# Runs the Bicep CLI that the tests use: eng/bicep.sh lint --pattern 'infra/**/*.bicep'
set -euo pipefail
project="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/tests/CloudShards.Infra.Tests"

dotnet restore "$project" --verbosity quiet >&2
cli=$(dotnet msbuild "$project" -target:FindBicepCli -getProperty:BicepCli)
# In the package it is executable for its owner alone.
[ -x "$cli" ] || chmod u+x "$cli"
exec "$cli" "$@"
