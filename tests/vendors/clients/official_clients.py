"""Asks each vendor's own client for the balance, and prints what it reads: a JSON object by vendor.

    python official_clients.py https://localhost:PORT

Runs in an environment of its own (`make test-clients`), which has the clients and not Drawdown.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from typing import Any

KEY = "key-of-nobody"
NAME = "AC00000000000000000000000000000041"


def _deepgram(url: str) -> Any:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    environment = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
    client = DeepgramClient(api_key=KEY, environment=environment)
    answer = client.manage.v1.projects.billing.balances.list(NAME)
    return [[each.amount, each.units] for each in answer.balances or []]


def _digitalocean(url: str) -> Any:
    from pydo import Client

    client = Client(token=KEY, endpoint=url)
    config = client.prepayment_config.get()["config"]
    return [
        client.balance.get()["month_to_date_balance"],
        [config[key] for key in ("is_auto_prepay_enabled", "prepay_threshold", "prepay_amount")],
    ]


def _elevenlabs(url: str) -> Any:
    from elevenlabs.client import ElevenLabs

    answer = ElevenLabs(api_key=KEY, base_url=url).user.subscription.get()
    return [answer.character_limit, answer.character_count, answer.next_character_count_reset_unix]


def _openrouter(url: str) -> Any:
    from openrouter import OpenRouter

    with OpenRouter(api_key=KEY, server_url=f"{url}/api/v1") as client:
        answer = client.credits.get_credits().data
    return [answer.total_credits, answer.total_usage]


def _serpapi(url: str) -> Any:
    import serpapi

    class Client(serpapi.Client):
        BASE_DOMAIN = url

    return Client(api_key=KEY).account()["total_searches_left"]


def _telnyx(url: str) -> Any:
    from telnyx import Telnyx

    answer = Telnyx(api_key=KEY, base_url=f"{url}/v2").balance.retrieve().data
    return [answer.balance, answer.credit_limit, answer.currency]


def _twilio(url: str) -> Any:
    from twilio.rest import Client

    client = Client(NAME, KEY)
    client.api.base_url = url
    answer = client.balance.fetch()
    days = client.usage.records.daily.list(
        category="totalprice", start_date=date(2026, 3, 16), end_date=date(2026, 3, 17)
    )
    return [answer.balance, answer.currency, [[str(each.start_date), str(each.price)] for each in days]]


def _vonage(url: str) -> Any:
    from vonage_account import Account
    from vonage_http_client import Auth, HttpClient, HttpClientOptions

    options = HttpClientOptions(rest_host=url.removeprefix("https://"))
    answer = Account(HttpClient(Auth(api_key=NAME, api_secret=KEY), options)).get_balance()
    return [answer.value, answer.auto_reload]


CLIENTS = {
    "deepgram": _deepgram,
    "digitalocean": _digitalocean,
    "elevenlabs": _elevenlabs,
    "openrouter": _openrouter,
    "serpapi": _serpapi,
    "telnyx": _telnyx,
    "twilio": _twilio,
    "vonage": _vonage,
}

if __name__ == "__main__":
    print(json.dumps({name: read(sys.argv[1]) for name, read in CLIENTS.items()}))
