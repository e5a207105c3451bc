#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Opens a page in Debian's Chromium, does to it what a person would, and says what it shows.

    page.py FILE STEP...

Steps, in order:

    eval EXPRESSION       prints the JavaScript expression's value as a line of JSON
    until EXPRESSION      waits until it is true
    before STATEMENT      opens the page again, and executes it before the page's own scripts
    click SELECTOR        clicks the middle of the first element that matches
    drag SELECTOR X0,Y0 X1,Y1    drags the mouse over it; positions are parts of its size, 0 to 1
    hover SELECTOR X,Y    moves the mouse there
    key KEY               presses a key: a letter, or Escape, Enter, Tab, ArrowUp, ...
    type SELECTOR TEXT    replaces the text of an input
    size WIDTH HEIGHT     of the window, in pixels
    scheme light|dark     what the user likes
    screenshot FILE       of the whole page, PNG
    view FILE             of what the window shows, PNG
    print FILE            PDF, as if printed

It fails when a step cannot be done, when the page has written to the console, or when it has asked
the network for anything. Then the last lines on standard error say why.
"""
import base64
import json
import os
import sys

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

import chromium

KEYS = {"Escape": Keys.ESCAPE, "Enter": Keys.ENTER, "Tab": Keys.TAB, "Space": Keys.SPACE,
        "ArrowUp": Keys.ARROW_UP, "ArrowDown": Keys.ARROW_DOWN, "ArrowLeft": Keys.ARROW_LEFT,
        "ArrowRight": Keys.ARROW_RIGHT}


class Page:
    def __init__(self, path):
        self.driver = chromium.start(("--hide-scrollbars", "--window-size=1280,1000"),
                                     ("browser", "performance"))
        self.address = "file://" + os.path.abspath(path)
        self.driver.get(self.address)

    def element(self, selector):
        element = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        return element

    def at(self, element, place):
        """Offsets from the element's middle, as pointers are moved by."""
        x, y = (float(part) - 0.5 for part in place.split(","))
        box = self.driver.execute_script(
            "const box = arguments[0].getBoundingClientRect(); return [box.width, box.height]", element)
        return round(x * box[0]), round(y * box[1])

    def eval(self, expression):
        print(json.dumps(self.driver.execute_script(f"return ({expression})")))

    def until(self, expression):
        WebDriverWait(self.driver, chromium.SECONDS, 0.05).until(
            lambda driver: driver.execute_script(f"return Boolean({expression})"), expression)

    def before(self, statement):
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": statement})
        self.driver.refresh()

    def click(self, selector):
        ActionChains(self.driver).move_to_element(self.element(selector)).click().perform()

    def drag(self, selector, start, end):
        element = self.element(selector)
        ActionChains(self.driver).move_to_element_with_offset(element, *self.at(element, start)) \
            .click_and_hold().move_to_element_with_offset(element, *self.at(element, end)) \
            .release().perform()

    def hover(self, selector, place):
        element = self.element(selector)
        ActionChains(self.driver).move_to_element_with_offset(element, *self.at(element, place)).perform()

    def key(self, key):
        ActionChains(self.driver).send_keys(KEYS.get(key, key)).perform()

    def type(self, selector, text):
        # clear() would be a change of its own, upon which a page may write into the input.
        self.element(selector).send_keys(Keys.CONTROL, "a", Keys.NULL, text)

    def size(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": int(width), "height": int(height), "deviceScaleFactor": 1, "mobile": False})

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": name}]})

    def screenshot(self, path):
        size = self.driver.execute_script(
            "const { scrollWidth, scrollHeight } = document.documentElement; return [scrollWidth, scrollHeight]")
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
            "captureBeyondViewport": True,
            "clip": {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}})
        self.write(path, shot)

    def view(self, path):
        self.write(path, self.driver.execute_cdp_cmd("Page.captureScreenshot", {}))

    def print(self, path):
        self.write(path, self.driver.execute_cdp_cmd("Page.printToPDF", {}))

    @staticmethod
    def write(path, answer):
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))

    def complaints(self):
        """What the page wrote to the console, and what it asked the network for."""
        for entry in self.driver.get_log("browser"):
            yield f"console: {entry['level']}: {entry['message']}"
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = message["params"]["request"]["url"]
                # The browser has pages of its own.
                if message["params"]["documentURL"] == self.address != address:
                    yield f"network: {address[:200]}"


STEPS = {"eval": 1, "until": 1, "before": 1, "click": 1, "drag": 3, "hover": 2, "key": 1, "type": 2, "size": 2,
         "scheme": 1, "screenshot": 1, "view": 1, "print": 1}


def main():
    path, words = sys.argv[1], sys.argv[2:]
    page = Page(path)
    try:
        while words:
            step = words[0]
            last = 1 + STEPS[step]
            print("#", *words[:last], file=sys.stderr)
            getattr(page, step)(*words[1:last])
            words = words[last:]
        complaints = list(page.complaints())
    finally:
        page.driver.quit()
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
