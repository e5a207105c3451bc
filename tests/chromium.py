# SPDX-License-Identifier: MIT
"""Starts Debian's Chromium without a window, for tests that look at a page. For Debian's own
python3, to which python3-selenium belongs."""
import os

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

# A page has this long to load, and a script to answer.
SECONDS = 120 * int(os.environ.get("TIME_FACTOR", "1"))


def start(flags=(), logs=()):
    """A driver with more flags, that keeps logs such as "browser" and "performance"."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # Root, as whom most tests run, has no sandbox; shared memory is small in containers.
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {log: "ALL" for log in logs})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_page_load_timeout(SECONDS)
    driver.set_script_timeout(SECONDS)
    return driver
