# SPDX-License-Identifier: MIT
"""The chat with all its workers, and Chromium with an empty profile, once for all tests of this folder."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples/chat"))
from cluster import Cluster

FLAGS = (
    *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"),
    *("disable-component-update", "disable-sync", "disable-dev-shm-usage", "no-proxy-server"),
)


@pytest.fixture(scope="session")
def chat() -> Iterator[Cluster]:
    with Cluster(f"browser-{os.getpid()}") as cluster:
        cluster.wait_until_ready()
        yield cluster


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """For one test, whose windows end with it."""
    empty = chromium.current_window_handle
    yield chromium
    for window in chromium.window_handles:
        if window != empty:
            chromium.switch_to.window(window)
            chromium.close()
    chromium.switch_to.window(empty)
