# SPDX-License-Identifier: MIT
"""The chat's page in Chromium, used as people use it: typing, clicking, killing workers."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from cluster import Cluster
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

WATCHDOG = 60  # seconds
unique = count(1)


class Tab:
    """One window on the page. Windows, not tabs: what is hidden has slow timers."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self._browser = browser
        browser.switch_to.new_window("window")
        self._handle = browser.current_window_handle
        browser.set_window_size(1440, 900)
        browser.get(url)
        self.until(lambda: self.number("worker"), "a worker serves the tab")

    def find(self, selector: str) -> Any:
        self._browser.switch_to.window(self._handle)
        return self._browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """What stands there now; asked by script, for the element may be drawn anew at any time."""
        return self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def number(self, name: str) -> int:
        digits = self.text(f"#{name}").replace(",", "")
        return int(digits) if digits.isdigit() else 0

    def run(self, script: str, *arguments: Any) -> Any:
        self._browser.switch_to.window(self._handle)
        return self._browser.execute_script(script, *arguments)

    def say(self, text: str) -> None:
        self.find("#text").send_keys(text + Keys.ENTER)

    def lines(self) -> list[str]:
        query = "return [...document.querySelectorAll('.message:not(.pending) .bubble')].map(line => line.textContent)"
        return self.run(query)

    def until(self, condition: Callable[[], Any], what: str) -> None:
        WebDriverWait(self._browser, WATCHDOG, 0.05).until(lambda _: condition(), f"never came true: {what}")

    def start_job(self) -> str:
        """Starts a job and returns the selector of its row."""
        old = set(self.job_names())
        self.find("#start-job").click()
        self.until(lambda: set(self.job_names()) - old, "the job is shown")
        (new,) = set(self.job_names()) - old
        return f'.job[data-job="{new}"]'

    def job_names(self) -> list[str]:
        return self.run("return [...document.querySelectorAll('.job')].map(row => row.dataset.job)")

    def percent(self, job: str) -> int:
        return self.run("return document.querySelector(arguments[0] + ' progress')?.value ?? 0", job)


@pytest.fixture
def tabs(browser: webdriver.Chrome, chat: Cluster) -> tuple[Tab, Tab]:
    return Tab(browser, chat.url), Tab(browser, chat.url)


def test_two_tabs_on_two_workers_see_each_others_messages(tabs: tuple[Tab, Tab]) -> None:
    one, two = tabs
    assert one.number("worker") != two.number("worker")
    hello, answer = f"hello {next(unique)}", f"answer {next(unique)}"
    one.say(hello)
    two.until(lambda: hello in two.lines(), "the message crosses")
    two.say(answer)
    one.until(lambda: answer in one.lines(), "the answer crosses")
    one.until(lambda: len(one.run("return [...document.querySelectorAll('#people li')]")) == 2, "both are present")
    assert one.text("#people").count(f"worker {two.number('worker')}") == 1


def test_a_killed_worker_costs_its_tab_no_message(tabs: tuple[Tab, Tab]) -> None:
    one, two = tabs
    worker = one.number("worker")
    one.find("#traffic").click()
    two.find("#traffic").click()
    one.until(lambda: one.number("received") > 40, "there is traffic")
    one.find("#kill").click()
    one.until(lambda: one.number("worker") not in (0, worker), "another worker serves the tab")
    seen = one.number("received")
    one.until(lambda: one.number("received") > seen + 40, "the traffic goes on")
    one.find("#traffic").click()
    two.find("#traffic").click()
    last = f"the end {next(unique)}"
    one.say(last)
    for tab in tabs:
        tab.until(lambda tab=tab: last in tab.lines(), "the last message came")
        tab.until(lambda tab=tab: not tab.run("return here().pending.size"), "everything is acknowledged")
    one.until(lambda: one.number("back") or one.text("#back").endswith("ms"), "the page tells how long it took")
    for tab in tabs:
        assert (tab.number("lost"), tab.number("duplicates")) == (0, 0)
    numbers = "return [...here().lastOf].map(([who, number]) => `${who} ${number}`).sort().join()"
    one.until(lambda: one.run(numbers) == two.run(numbers), "both have seen the same of everybody")
    assert one.run("return here().position") == two.run("return here().position")


def test_a_message_written_while_no_worker_is_there_is_sent_later(tabs: tuple[Tab, Tab]) -> None:
    one, two = tabs
    text = f"written in the dark {next(unique)}"
    one.run("const old = socket; socket = null; old.close()")
    one.say(text)
    assert one.text(".message.pending .bubble") == text
    one.run("connect()")
    two.until(lambda: text in two.lines(), "the message comes after all")
    one.until(lambda: not one.text(".message.pending"), "the page shows it as sent")


def test_a_jobs_progress_bar_moves_to_100_percent_in_every_tab(tabs: tuple[Tab, Tab]) -> None:
    one, two = tabs
    job = one.start_job()
    two.until(lambda: 0 < two.percent(job) < 100, "the bar moves in the other tab")
    for tab in tabs:
        tab.until(lambda tab=tab: tab.percent(job) == 100, "the bar is full")
    assert "done by pid" in one.text(f"{job} .where")


def test_a_job_whose_celery_worker_is_killed_runs_again_and_ends(tabs: tuple[Tab, Tab]) -> None:
    one, _ = tabs
    job = one.start_job()
    one.until(lambda: one.percent(job) > 20, "it runs")
    one.find(f"{job} button").click()
    one.until(lambda: "run 2" in one.text(f"{job} .where"), "it runs again")
    one.until(lambda: one.percent(job) == 100, "it ends")


def test_the_page_can_be_used_by_keyboard_alone(tabs: tuple[Tab, Tab]) -> None:
    one, _ = tabs
    text = f"without a mouse {next(unique)}"
    one.find("body").send_keys("/")
    assert one.run("return document.activeElement.id") == "text"
    one.say(text)
    one.until(lambda: text in one.lines(), "Enter sends")
    one.run("document.querySelectorAll('#rooms button')[1].focus()")
    one.find("#rooms li:nth-child(2) button").send_keys(Keys.ENTER)
    one.until(lambda: one.text("#title") == "# engineering" and one.number("worker"), "Enter opens a room")
    named = "return [...document.querySelectorAll('button, input, textarea')].filter(e => !e.closest('[hidden]') && "
    unnamed = one.run(named + "!(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)")
    assert unnamed == []


def test_the_page_needs_nothing_from_elsewhere_and_fits_a_phone(browser: webdriver.Chrome, chat: Cluster) -> None:
    tab = Tab(browser, chat.url)
    browser.set_window_size(500, 800)
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth")
    loaded = tab.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert len(loaded) >= 4
    assert [name for name in loaded if not name.startswith(chat.url)] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
