"""Headless Chromium with a dashboard, and the data that its charts received."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from selenium import webdriver
from selenium.common.exceptions import SessionNotCreatedException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from bi.superset.served import Api

_DATA = "/api/v1/chart/data"
_KEEP_DRAWN_TEXT = """
window.drawnText = [];
const draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...where) {
  window.drawnText.push(String(text));
  return draw.call(this, text, ...where);
};
"""
"""Charts are drawn on a canvas, whose text no selector finds."""
_HEIGHT = 2700
"""Height of the window: charts out of sight are not loaded."""


@dataclass
class Sight:
    """A rendered dashboard."""

    rows: dict[int, list[dict[str, Any]]]
    """Data of each chart, by the chart's id, with numbers as in the response."""
    statuses: list[int]
    errors: list[str]
    """Text of error banners."""
    text: str
    drawn: set[str]
    """Text in its charts: axes and legends."""
    width: int
    """Width of the page, more than the window's if it must be scrolled sideways."""


@contextmanager
def browser(api: Api) -> Iterator[webdriver.Chrome]:
    """Chromium, logged in by the form."""
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ["CHROMIUM"]
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = _started(options)
    driver.command_executor.client_config.timeout = 600
    try:
        driver.set_page_load_timeout(300)
        driver.get(f"{api.url}/login/")
        fill = WebDriverWait(driver, 120)
        fill.until(lambda seen: seen.find_elements(By.CSS_SELECTOR, "[data-test=username-input]"))
        for field, value in (("username", api.user), ("password", api.password)):
            driver.find_element(By.CSS_SELECTOR, f"[data-test={field}-input]").send_keys(value)
        driver.find_element(By.CSS_SELECTOR, "[data-test=login-button]").click()
        fill.until(lambda seen: "/login" not in seen.current_url)
        yield driver
    finally:
        driver.quit()


def _started(options: webdriver.ChromeOptions) -> webdriver.Chrome:
    # Its driver waits a minute for Chromium, which may not be enough on a busy machine.
    for _ in range(4):
        with suppress(SessionNotCreatedException):
            return webdriver.Chrome(options=options, service=Service(os.environ["CHROMEDRIVER"]))
    return webdriver.Chrome(options=options, service=Service(os.environ["CHROMEDRIVER"]))


def look(driver: webdriver.Chrome, url: str, width: int, charts: int, picture: Path) -> Sight:
    """Open a dashboard of a given number of charts, wait until they are drawn, and save a picture of it."""
    size = {"width": width, "height": _HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    keeper = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _KEEP_DRAWN_TEXT})
    driver.get_log("performance")
    driver.get(url)

    def count(selector: str) -> int:
        return len(driver.find_elements(By.CSS_SELECTOR, selector))

    deadline = time.monotonic() + 240
    calm = 0
    while calm < 3 and time.monotonic() < deadline:
        drawn = count(".dashboard-component-chart-holder") >= charts and not count(
            ".loading, [data-test=loading-indicator]"
        )
        calm = calm + 1 if drawn else 0
        time.sleep(1)
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", keeper)
    rows, statuses = _answers(driver)
    driver.save_screenshot(str(picture))
    return Sight(
        rows=rows,
        statuses=statuses,
        errors=[found.text for found in driver.find_elements(By.CSS_SELECTOR, "[role=alert], .ant-alert")],
        text=driver.find_element(By.TAG_NAME, "body").text,
        drawn=set(driver.execute_script("return window.drawnText")),
        width=driver.execute_script("return document.scrollingElement.scrollWidth"),
    )


def _answers(driver: webdriver.Chrome) -> tuple[dict[int, list[dict[str, Any]]], list[int]]:
    rows: dict[int, list[dict[str, Any]]] = {}
    statuses = []
    charts: dict[str, int | None] = {}
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        details = message["params"]
        if message["method"] == "Network.requestWillBeSent" and details["request"]["method"] == "POST":
            charts[details["requestId"]] = _chart(details["request"])
        if message["method"] != "Network.responseReceived" or details["requestId"] not in charts:
            continue
        if urlsplit(details["response"]["url"]).path != _DATA:
            continue
        status = details["response"]["status"]
        statuses.append(status)
        chart = charts[details["requestId"]]
        if chart is not None and status == 200:
            body = driver.execute_cdp_cmd("Network.getResponseBody", {"requestId": details["requestId"]})["body"]
            rows[chart] = json.loads(body, parse_float=Decimal)["result"][0]["data"]
    return rows, statuses


def _chart(request: dict[str, Any]) -> int | None:
    """Chart whose rows a request fetches; None for other requests, such as the filter's own list of values."""
    if urlsplit(request["url"]).path != _DATA:
        return None
    asked = parse_qs(urlsplit(request["url"]).query).get("form_data")
    form = json.loads(asked[0]) if asked else json.loads(request.get("postData") or "{}").get("form_data") or {}
    return form.get("slice_id")
