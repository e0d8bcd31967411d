"""Conformance tests of every vendor. `test_conformance` makes one class of this for each discovered vendor."""

from __future__ import annotations

import asyncio
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.http import HttpOutcome, Network, Patience, RateLimits, check_base_url
from pipeline.landing.account_client import Call, client_for
from pipeline.landing.listing_walk import Resume, Span, Walk
from pipeline.schema.tables import RECORDS, vendor_table
from pipeline.schema.units import is_unit_code
from pipeline.settings import AccountSettings
from pipeline.support.json_paths import dig
from pipeline.support.secret import Secret
from pipeline.vendors._port import (
    AuthBasic,
    AuthHeader,
    AuthQuery,
    Endpoint,
    Field,
    Once,
    Pages,
    Reads,
    Records,
    Vendor,
    Window,
    addressed,
)
from tests.vendors.examples import EVERY_ENDPOINT, NOW, decoded, example, read, read_example

_IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_OWN_COLUMNS = {"account_id", "fetch_id", "row_number", "observed_at_utc", "loaded_at_utc"}
_FIRSTS = {"first_observed_at_utc", "first_stated_amount"}
_READS = {
    Reads.TEXT: "VARCHAR",
    Reads.CHOICE: "VARCHAR",
    Reads.UNIT: "VARCHAR",
    Reads.MONEY: "DECIMAL(27,9)",
    Reads.DOLLARS: "DECIMAL(27,9)",
    Reads.NUMBER: "DOUBLE",
    Reads.ANY_UNIT: "VARCHAR",
    Reads.INSTANT: "TIMESTAMP WITH TIME ZONE",
    Reads.INSTANT_UTC: "TIMESTAMP WITH TIME ZONE",
    Reads.DATE: "DATE",
    Reads.FLAG: "BOOLEAN",
}


@contextmanager
def answering(body: bytes) -> Iterator[tuple[str, list[tuple[str, str, Message]]]]:
    """A server that answers everything with one body: its address, and the requests that it has seen.

    A request is its method, its path with the query, and its headers.
    """
    seen: list[tuple[str, str, Message]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def parse_request(self) -> bool:
            # Before the method is checked, so that any would be seen.
            is_good = super().parse_request()
            seen.append((self.command, self.path, self.headers))
            return is_good

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def _places(endpoint: Endpoint) -> list[tuple[str, tuple[Field, ...]]]:
    return [(records.at, records.fields) for records in endpoint.records]


def _is_bare(vendor: Vendor, endpoint: Endpoint) -> bool:
    """Whether an answer's one row is little more than a key named balance, as Twilio's and Voxpria's."""
    row = dig(decoded(example(vendor.name, endpoint.name, endpoint.body), endpoint.body), endpoint.records[0].at)
    return isinstance(row, dict) and len(row) <= 3 and "balance" in row


class Conformance:
    """The tests; a subclass names its vendor."""

    vendor: ClassVar[Vendor]

    @property
    def records(self) -> list[tuple[Endpoint, Records]]:
        return [(endpoint, records) for endpoint in self.vendor.endpoints for records in endpoint.records]

    # -- names and addresses

    def test_its_names_are_safe_identifiers(self) -> None:
        names = [self.vendor.name, *(endpoint.name for endpoint in self.vendor.endpoints)]
        assert all(_IDENTIFIER.fullmatch(name) for name in names), names
        assert len({endpoint.name for endpoint in self.vendor.endpoints}) == len(self.vendor.endpoints)
        assert not self.vendor.name.startswith("_")

    def test_its_base_url_is_https_and_plain(self) -> None:
        if self.vendor.base_url is None:
            pytest.skip("its answers are files")
        assert self.vendor.base_url.startswith("https://")
        assert check_base_url(self.vendor.base_url, allow_http_loopback=False) == self.vendor.base_url
        assert all(endpoint.listing.path.startswith("/") for endpoint in self.vendor.endpoints)

    def test_it_states_its_assumptions(self) -> None:
        assert self.vendor.assumptions or self.vendor.source
        assert all(each.endswith(".") for each in self.vendor.assumptions)
        if self.vendor.base_url is not None:
            assert all(endpoint.doc.startswith("GET /") for endpoint in self.vendor.endpoints)

    def test_its_secrets_are_named_by_settings_that_hold_a_variables_name(self) -> None:
        assert bool(self.vendor.auth) == (self.vendor.base_url is not None)
        assert all(setting.endswith("_env") for setting in self.vendor.secret_settings)
        assert bool(self.vendor.secret_settings) == bool(self.vendor.auth)
        assert self.vendor.title

    def test_its_limit_and_listings_are_bounded(self) -> None:
        assert self.vendor.rate_limit.requests > 0
        for endpoint in self.vendor.endpoints:
            match endpoint.listing:
                case Pages() as pages:
                    assert (pages.look_back_days > 0) == (pages.newest_first_by is not None)
                    assert 0 < pages.page_cap <= 100_000
                case Window() as window:
                    assert window.look_back_days > 0
                    most = max(window.daily_look_back_days, window.history_days or 400) + 1
                    assert most / window.chunk_days <= 100, "an ordinary run asks for too much at once"
                    assert bool(window.page_param) == bool(window.page_count_at)

    def test_records_of_the_windows_day_are_requested_by_single_days(self) -> None:
        for endpoint, records in self.records:
            if records.is_of_window:
                assert isinstance(endpoint.listing, Window), endpoint.name
                assert endpoint.listing.chunk_days == 1, endpoint.name

    def test_the_balance_endpoint_is_not_optional(self) -> None:
        for endpoint, records in self.records:
            assert not (endpoint.is_optional and records.kind == "balances"), endpoint.name
            assert endpoint.is_optional or not endpoint.absent_outcomes, endpoint.name

    def test_a_vendor_states_a_balance_hourly(self) -> None:
        telling = [endpoint for endpoint, records in self.records if records.kind == "balances"]
        assert telling
        assert all(endpoint.refresh == "hourly" for endpoint in telling)

    # -- records

    def test_every_field_is_a_column_of_its_kind_in_a_type_that_it_can_be_read_as(self) -> None:
        for endpoint, records in self.records:
            types = {column.name: str(column.column.type) for column in RECORDS[records.kind].columns}
            for field in records.fields:
                where = f"{endpoint.name}: {field.column}"
                assert types.get(field.column) == _READS[field.reads], where
                assert field.sources, where
                # A file kept by hand states itself when each reading was made.
                assert field.column not in _OWN_COLUMNS - {"observed_at_utc"}, where
            assert len({field.column for field in records.fields}) == len(records.fields)

    def test_every_column_that_a_kind_needs_is_filled(self) -> None:
        for endpoint, records in self.records:
            always = {field.column for field in records.fields if field.is_required}
            always |= {field.column for field in records.fields if field.reads is Reads.CHOICE and field.absent}
            always |= {"is_partial"} if records.kind in ("usage_days", "resource_days") else set()
            always |= {"usage_date"} if records.is_of_window else set()
            always |= {column for column in _FIRSTS if column in RECORDS[records.kind].column_names}
            always |= _OWN_COLUMNS | set(records.constants)
            needed = {column.name for column in RECORDS[records.kind].columns if not column.is_nullable}
            assert needed <= always, f"{endpoint.name}: {records.kind} lacks {needed - always}"

    def test_every_record_has_a_required_field_of_its_table(self) -> None:
        for endpoint, records in self.records:
            table = vendor_table(self.vendor.name, records.kind)
            required = [field.column for field in records.fields if field.is_required]
            assert required, f"{endpoint.name}: nothing would tell that {records.kind} are gone"
            assert set(required) <= set(table.column_names)

    def test_its_constants_and_translations_are_allowed_values(self) -> None:
        for endpoint, records in self.records:
            columns = {column.name: column.column for column in RECORDS[records.kind].columns}
            produced = {name: {value} for name, value in records.constants.items()}
            for field in records.fields:
                if field.reads is Reads.CHOICE:
                    made = {*field.choices.values(), field.otherwise, field.absent} - {None}
                    produced[field.column] = {str(value) for value in made}
                    assert all(word == word.lower() for word in field.choices), endpoint.name
            for name, values in produced.items():
                assert name in columns, f"{endpoint.name}: {name}"
                if name.endswith("unit_code"):
                    assert all(is_unit_code(value) for value in values), values
                if columns[name].allowed:
                    assert values <= set(columns[name].allowed), values

    def test_a_vendors_unit_is_valid_and_named_somewhere(self) -> None:
        assert self.vendor.unit_code is None or is_unit_code(self.vendor.unit_code)
        balances = [records for _, records in self.records if records.kind == "balances"]
        told = all(
            "unit_code" in records.constants or any(field.column == "unit_code" for field in records.fields)
            for records in balances
        )
        assert told or self.vendor.unit_code or "unit" in self.vendor.settings

    def test_a_usage_cost_of_its_own_has_a_unit(self) -> None:
        for endpoint, records in self.records:
            if any(field.column == "cost_amount" for field in records.fields):
                fields = {field.column for field in records.fields}
                assert "cost_unit_code" in fields | set(records.constants), endpoint.name

    def test_each_claim_has_its_own_name(self) -> None:
        claims = [records.constants.get("claim") for _, records in self.records if records.kind == "vendor_claims"]
        assert None not in claims
        assert len(set(claims)) == len(claims)

    # -- bodies

    def test_the_documented_examples_are_read_without_a_reject(self) -> None:
        for endpoint in self.vendor.endpoints:
            for reading in read_example(self.vendor, endpoint):
                assert reading.rejects == [], endpoint.name
                assert reading.received == reading.accepted_rows(), endpoint.name
                assert sum(reading.received) > 0, f"{endpoint.name}: no {reading.records.kind} in the example"

    def test_every_documented_field_is_in_the_example_or_reported_missing(self) -> None:
        for endpoint in self.vendor.endpoints:
            for reading in read_example(self.vendor, endpoint):
                missing = {each.column_name for each in reading.drift if each.check_name == "missing_field"}
                for field in reading.records.fields:
                    is_stated = reading.accepted[field.column].null_count() < reading.accepted.height
                    assert is_stated or not field.is_documented or missing & set(field.sources), field

    def test_a_body_of_another_vendor_is_refused_and_not_misread(self) -> None:
        for endpoint in self.vendor.endpoints:
            for other, foreign in EVERY_ENDPOINT:
                if other.name == self.vendor.name:
                    continue
                for reading in read_example(self.vendor, endpoint, other, foreign):
                    where = f"{other.name} {foreign.name} read as {endpoint.name} {reading.records.kind}"
                    told = {each.check_name for each in reading.drift}
                    if reading.accepted.height and (_is_bare(self.vendor, endpoint) or _is_bare(other, foreign)):
                        # A bare balance may be part of another body: drift shows the difference.
                        assert told & {"unknown_field", "missing_field"}, where
                        continue
                    assert reading.accepted.height == 0, where
                    assert reading.records.is_optional or reading.rejects, where

    def test_a_body_of_another_endpoint_is_rejected_and_not_misread(self) -> None:
        for endpoint in self.vendor.endpoints:
            for sibling in self.vendor.endpoints:
                # Some listings are documented to look alike, and only their address determines their meaning.
                if sibling is not endpoint and _places(sibling) != _places(endpoint):
                    for reading in read_example(self.vendor, endpoint, sibling=sibling):
                        assert reading.accepted.height == 0, f"{sibling.name} read as {endpoint.name}"

    @pytest.mark.parametrize(
        "body", [b"null", b"true", b"0", b'""', b"[]", b"{}", b"[[]]", b"[null]", b'{"data":null}', b'{"data":[]}']
    )
    def test_a_body_without_its_rows_gives_none_and_is_accounted_for(self, body: bytes) -> None:
        for endpoint in self.vendor.endpoints:
            for reading in read(self.vendor, endpoint, body):
                assert reading.accepted.height == 0
                assert reading.received == reading.rejected_rows()

    # -- requests

    def test_it_only_ever_sends_get_and_carries_its_secrets(self) -> None:
        if self.vendor.base_url is None:
            pytest.skip("its answers are files")
        outcomes, seen = [], []
        for endpoint in self.vendor.endpoints:
            with answering(example(self.vendor.name, endpoint.name)) as (url, requests):
                outcomes.append(asyncio.run(self._walk(url, endpoint)))
            seen += requests
        assert set(outcomes) == {HttpOutcome.ok}
        assert {method for method, _, _ in seen} == {"GET"}
        for _, path, headers in seen:
            for auth in self.vendor.auth:
                match auth:
                    case AuthHeader():
                        assert headers[auth.name] == f"{auth.prefix}key-of-{auth.setting}"
                    case AuthQuery():
                        assert parse_qs(urlsplit(path).query)[auth.name] == [f"key-of-{auth.setting}"]
                    case AuthBasic():
                        user = f"key-of-{auth.user}" if auth.user.endswith("_env") else f"part-of-{auth.user}"
                        pair = b64encode(f"{user}:key-of-{auth.password}".encode()).decode()
                        assert headers["Authorization"] == f"Basic {pair}"
            assert "content-length" not in headers
            assert not {"{", "}", "%7B"} & set(path)

    async def _walk(self, base_url: str, endpoint: Endpoint) -> HttpOutcome:
        account = AccountSettings(
            account_id="main",
            vendor=self.vendor,
            base_url=base_url,
            secret_variables={},
            placeholders={key: f"part-of-{key}" for key in self.vendor.placeholders},
        )
        secrets = {key: Secret(f"key-of-{key}", name="A_KEY") for key in self.vendor.secret_settings}
        call = Call(account=account, vendor=self.vendor, secrets=secrets, endpoint=endpoint)
        async with Network() as network:
            with RateLimits() as limits:
                client = client_for(call, network, limits, patience=Patience(), allow_http_loopback=True)
                walk = Walk(
                    asks=client, land=lambda answer, step: None, resume=Resume(), today=NOW.date(), history_days=2,
                    wanted=Span(),
                )  # fmt: skip
                return (await walk.run(addressed(endpoint.listing, account.placeholders))).outcome

    def test_a_once_endpoint_requests_one_path(self) -> None:
        for endpoint in self.vendor.endpoints:
            if isinstance(endpoint.listing, Once):
                assert "?" not in endpoint.listing.path
