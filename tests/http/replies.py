"""Shared by several HTTP tests: an ordinary reply, and an address in look-alike digits."""

from tests.http.fault_server import reply

FULLWIDTH_127 = "\uff11\uff12\uff17"
FINE = reply(200, b'{"balance": 12.50}')
