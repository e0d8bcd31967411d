#!/bin/sh
# /usr/local/bin/drawdown: the command with this server's settings, for cron and for `runuser -u drawdown -- drawdown ...`.
set -aeu
. /etc/drawdown/drawdown.env
cd /var/lib/drawdown
exec /opt/drawdown/.venv/bin/drawdown "$@"
