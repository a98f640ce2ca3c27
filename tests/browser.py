"""A headless Chromium for tests of pages; Debian's packages `chromium` and `chromium-driver`.

A test folder uses it by importing the fixture `browser` into its conftest.
"""

import json
import pathlib
import shutil

import pytest

FLAGS = (
    "--headless=new",
    # Containers run as root and have a small /dev/shm.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    # Nothing of the browser's own goes to the network.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)


class Browser:
    """A selenium driver with what tests of a local page need."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width=1280, height=900, dark=False):
        """Opens a file in a window of that size, with the logs of earlier pages dropped."""
        self.resize(width, height)
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": theme})
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(pathlib.Path(path).resolve().as_uri())

    def resize(self, width, height=900):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script, *arguments):
        """What a piece of script returns on the page."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def find_all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def console(self):
        """Messages of the console since the page was opened; reading them drops them."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """Addresses that the page asked for since it was opened; reading them drops them."""
        entries = (json.loads(entry["message"]) for entry in self.driver.get_log("performance"))
        messages = [entry["message"] for entry in entries]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def overflow(self):
        """Pixels by which the page is wider than its window."""
        return self.run("const e = document.documentElement; return e.scrollWidth - e.clientWidth")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless browser; the test is skipped where Chromium, its driver or selenium is absent."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    places = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, place in places.items() if place is None]
    if missing:
        pytest.skip(f"there is no {' and no '.join(missing)}")
    options = webdriver.ChromeOptions()
    options.binary_location = places["chromium"]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=places["chromedriver"])
    driver = webdriver.Chrome(options=options, service=service)
    # Away from the new tab's page, which loads parts of its own for a while.
    driver.get("about:blank")
    yield Browser(driver)
    driver.quit()
