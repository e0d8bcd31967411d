"""Where requests may go: base URLs from the settings, and links from the vendors."""

import ipaddress
import re
from collections.abc import Callable, Collection, Hashable, Mapping
from urllib.parse import unquote_plus, urlencode

import httpx

_Refused = Callable[[str], ValueError]
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?P<colon>:(?P<port>.*))?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PATH = re.compile(r"[A-Za-z0-9._~/-]*")
# Result of one GET: a value, never an exception.
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")


def check_base_url(url: str, *, allow_http_loopback: bool) -> str:
    """Return the base URL in its one normal form, without a trailing slash.

    `allow_http_loopback` permits 127.0.0.0/8, ::1 and localhost, over http or https: a sandbox's address.

    Errors: `ValueError` with one clear sentence for anything but a plain https URL of a public host. URLs
    that two parsers could read differently are refused rather than understood: user names, backslashes,
    white space, other characters than ASCII, queries, fragments, and addresses in decimal, octal or hex.
    """

    def refused(why: str) -> ValueError:
        return ValueError(f"base_url {url!r} {why}")

    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise refused("must hold no white space, control character, backslash or character beyond ASCII")
    if "?" in url or "#" in url:
        raise refused("must hold neither a query nor a fragment")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise refused("must be a full URL such as https://api.example.com/v1")
    scheme = parts["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise refused("must begin with https://")
    if "@" in parts["authority"]:
        # The text before the @ may be a password, so the URL is not quoted here.
        raise ValueError("base_url must not hold a user name or password before the host")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise refused("has a host that cannot be read")
    host, is_loopback = _check_host(authority["host"].lower(), refused)
    if is_loopback and not allow_http_loopback:
        raise refused("points at this computer; set allow_http_loopback to permit that for a sandbox")
    if scheme != "https" and not is_loopback:
        raise refused("must begin with https://, because the key would be sent unencrypted")
    port = _check_port(authority["port"], refused) if authority["colon"] else _DEFAULT_PORTS[scheme]
    path = (parts["path"] or "").rstrip("/")
    if not _is_plain_path(path):
        raise refused("has a path with empty, dotted or unusual segments")
    return f"{scheme}://{host}{'' if port == _DEFAULT_PORTS[scheme] else f':{port}'}{path}"


def check_path(path: str) -> None:
    """Refuse a path that could mean another host, a query or a parent folder.

    Errors: `ValueError`, unless the path is empty or a slash before each of its plain segments.
    """
    if path and (path[0] != "/" or not _is_plain_path(path)):
        raise ValueError(f"path {path!r} must be plain segments, each after a slash")


def origin_of(url: httpx.URL) -> tuple[str, bytes, int | None]:
    """Return what must be equal for two URLs to be of one origin: scheme, host and port."""
    return url.scheme, url.raw_host, url.port or _DEFAULT_PORTS.get(url.scheme)


def resolve_link(link: str, *, page_url: str, base_url: str) -> httpx.URL | None:
    """Return where a vendor's link leads, or None when that is not the base URL's own origin.

    `link` may be absolute, or relative to `page_url`. Links that parsers could read differently count as
    foreign. The host is compared as httpx reads it, and httpx is what will connect.
    """
    if not link.isprintable() or " " in link or "\\" in link:
        return None
    try:
        url = httpx.URL(page_url).join(link).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError, TypeError):
        return None
    if url.userinfo or origin_of(url) != origin_of(httpx.URL(base_url)):
        return None
    return url


def carry_params(url: httpx.URL, params: Mapping[str, str]) -> httpx.URL:
    """Return the URL with those of `params` that its query does not set; what it sets stays as it is spelled.

    A parameter counts as set by its own name, or by one that begins with it and a bracket (`filter[status][]`).
    """
    names = {name for name, _ in url.params.multi_items()}
    missing = {
        name: value
        for name, value in params.items()
        if not any(each == name or each.startswith(f"{name}[") for each in names)
    }
    if not missing:
        return url
    # Appended as text: a cursor that httpx would spell in another way may no longer be the vendor's.
    query = "&".join(filter(None, (url.query.decode("ascii"), urlencode(missing))))
    return url.copy_with(query=query.encode("ascii"))


def without_params(url: httpx.URL, names: Collection[str]) -> httpx.URL:
    """Return the URL without the parameters of these names; the others stay as they are spelled."""
    if not names or not url.query:
        return url
    parts = url.query.decode("ascii").split("&")
    kept = [part for part in parts if unquote_plus(part.partition("=")[0]) not in names]
    return url if len(kept) == len(parts) else url.copy_with(query="&".join(kept).encode("ascii") or None)


def join_link(link: str, *, page_url: str) -> str:
    """Return a link in full, which may be relative to the page that holds it; as it is where it cannot be read."""
    try:
        return str(httpx.URL(page_url).join(link))
    except (httpx.InvalidURL, ValueError, TypeError):
        return link


def page_key(link: str, *, page_url: str, params: Mapping[str, str]) -> Hashable | None:
    """What is equal for two links to one page, however they are spelled; None for a link that cannot be read.

    `link` is read as `Client.follow` reads it, but its origin is not judged.
    """
    try:
        url = carry_params(httpx.URL(page_url).join(link), params)
        return origin_of(url), url.path.rstrip("/"), tuple(sorted(url.params.multi_items()))
    except (httpx.InvalidURL, ValueError, TypeError):
        return None


def _is_plain_path(path: str) -> bool:
    return bool(_PATH.fullmatch(path)) and not any(part in ("", ".", "..") for part in path.split("/")[1:])


def _check_host(host: str, refused: _Refused) -> tuple[str, bool]:
    if host.startswith("["):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise refused("has a host that is not an IPv6 address") from None
        if address.scope_id or not (address.is_loopback or _is_public_ipv6(address)):
            raise refused("points at a private, local or reserved address")
        return f"[{address.compressed}]", address.is_loopback
    if _NUMERIC_LABEL.fullmatch(host.rsplit(".", 1)[-1]):
        try:
            address4 = ipaddress.IPv4Address(host)
        except ValueError:
            raise refused("has a host that is a number but not a plain IPv4 address") from None
        if not (address4.is_loopback or (address4.is_global and not address4.is_multicast)):
            raise refused("points at a private, local or reserved address")
        return host, address4.is_loopback
    if host == "localhost":
        return host, True
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise refused("has a host that is not a plain host name")
    if any(label.startswith("xn--") for label in labels):
        raise refused("has an internationalised host name, which may look like another")
    if len(labels) == 1 or labels[-1] == "localhost":
        raise refused("must name a public host, with a dot")
    return host, False


def _is_public_ipv6(address: ipaddress.IPv6Address) -> bool:
    wraps_ipv4 = address.sixtofour is not None or address.teredo is not None
    return address in _GLOBAL_IPV6 and address.is_global and not wraps_ipv4


def _check_port(text: str, refused: _Refused) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text) or int(text) > 65535:
        raise refused("has a port that is not between 1 and 65535")
    return int(text)
