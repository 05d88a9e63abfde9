#!/usr/bin/env bash
# The house rules that no compiler checks.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

# A node fits on a screen or two.
while read -r file; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 400 ]; then
        echo "$file: $lines lines; a node's file has 400 at most"
        failed=1
    fi
done < <(git ls-files 'graph-nodes/*.rs')

# Nothing depends on, or tells of, the machine of whoever wrote it.
if git grep -nIE '(^|[^A-Za-z0-9_.)}*-])/(home|root|Users|work)/[A-Za-z0-9]' -- ':!scripts/house-rules.sh'; then
    echo "the lines above hold a path of a developer's machine"
    failed=1
fi
exit "$failed"
