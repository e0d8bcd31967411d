#!/bin/sh
# One dated copy of what cannot be recovered, readable by its owner only. Copies of more than 30 days are deleted.
set -eu
umask 077
folder=/var/backups/drawdown
name="$(date -u +%Y-%m-%dT%H%M%SZ).tgz"
# tar ends with 1 if a run added a file meanwhile: the copy is valid.
tar -czf "$folder/.$name" --exclude='.*' --warning=no-file-changed \
    -C /etc/drawdown accounts.toml -C /var/lib/drawdown landing || [ $? -eq 1 ]
# A copy that was interrupted keeps its hidden name.
mv "$folder/.$name" "$folder/$name"
find "$folder" -name '*.tgz' -mtime +30 -delete
