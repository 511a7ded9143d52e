"""JupyterLab in a real browser, on a copy of the project, with the network refused."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nbformat import NotebookNode
from playwright.sync_api import Page, expect, sync_playwright

from gpt_lib.course.export import ROOT, code_cell_sources
from gpt_lib.course.rules import project_files
from gpt_lib.data import DATA

CHROMIUM = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])),
    None,
)
ARTEFACTS = ROOT / "artefacts"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SECONDS_TO_START, MS_TO_RUN = 60, 400_000
expect.set_options(timeout=20_000)  # on a slow machine; what is right is seen at once


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        reason = "no chromium here: sudo apt install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    flags = [
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
    ]
    flags += [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def copy(tmp_path_factory) -> Path:
    """The project as a learner has it: nothing here touches the working tree."""
    root = tmp_path_factory.mktemp("learner")
    for path in [*project_files(ROOT), DATA / "tinyshakespeare.txt"]:
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    return root


def write_settings(folder: Path) -> None:
    """Cells that are not on the screen must be in the page; no news popup."""
    notebook = folder / "@jupyterlab" / "notebook-extension"
    notebook.mkdir(parents=True)
    (notebook / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    apputils = folder / "@jupyterlab" / "apputils-extension"
    apputils.mkdir(parents=True)
    (apputils / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )


@pytest.fixture(scope="session")
def lab(copy, tmp_path_factory):
    """The address of a running JupyterLab and its token."""
    state = tmp_path_factory.mktemp("lab")
    write_settings(state / "settings")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, base = secrets.token_hex(16), f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "JUPYTERLAB_SETTINGS_DIR": str(state / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(state / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(state / "config"),
        "IPYTHONDIR": str(state / "ipython"),
    }
    environment.pop("GPT_EXPORT", None)  # a learner's kernel writes modules
    arguments = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    arguments += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    arguments += [f"--IdentityProvider.token={token}", "--expose-app-in-browser"]
    arguments += [
        f"--ServerApp.root_dir={copy / 'notebooks'}",
        "--LabApp.news_url=None",
    ]
    arguments += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        wait_for(f"{base}/api/status?token={token}")
        yield base, token
    finally:
        server.terminate()
        server.wait(20)


def wait_for(address: str) -> None:
    for _ in range(4 * SECONDS_TO_START):
        try:
            urllib.request.urlopen(address)
            return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"JupyterLab did not answer within {SECONDS_TO_START} s")


class Lesson:
    """One notebook, open in JupyterLab."""

    def __init__(self, page: Page, lab: tuple[str, str], name: str) -> None:
        base, token = lab
        self.page, self.name = page, name
        self.outside, self.errors = [], []
        page.route(
            lambda url: not url.startswith((base, "blob:", "data:")),
            lambda route: (self.outside.append(route.request.url), route.abort()),
        )
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(f"{base}/lab/tree/{name}.ipynb?reset&token={token}")
        page.wait_for_function("window.jupyterapp?.restored", timeout=60_000)
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait for the kernel itself: Lab's indicator says idle before there is one."""
        self.page.wait_for_function(
            "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status"
            " === 'idle'",
            timeout=90_000,
        )

    def command(self, name: str) -> None:
        """Start one of Lab's commands without waiting for its end."""
        self.page.evaluate(
            "name => { window.done = undefined; jupyterapp.commands.execute(name)"
            ".then(ok => window.done = ok ?? null, error => window.done = error) }",
            name,
        )

    def start_all(self) -> None:
        self.command("notebook:run-all-cells")

    def finish(self) -> None:
        """Wait for the command in progress; True is Lab's word for no cell failed."""
        self.page.wait_for_function("window.done !== undefined", timeout=MS_TO_RUN)
        done = self.page.evaluate("window.done")
        assert done is True, f"a cell failed: {self.tracebacks()}"

    def tracebacks(self) -> list[str]:
        """The last lines of every error on the page."""
        errors = self.page.locator('[data-mime-type="application/vnd.jupyter.error"]')
        return [text[-400:] for text in errors.all_inner_texts()]

    def run_all(self) -> None:
        self.start_all()
        self.finish()

    def run_imports(self, notebook: NotebookNode) -> None:
        """Run the cells that import, up to the one that imports the checks.

        An exercise needs no more than these and its own two cells.
        """
        for index, source in enumerate(code_cell_sources(notebook)):
            if re.match(r"(#\| export\n)?(import|from) ", source):
                cell = self.page.locator(".jp-CodeCell").nth(index)
                cell.locator(".jp-InputPrompt").click()
                self.run_cell()
                if re.search(r"from gpt_lib import .*\bcheck\b", source):
                    return

    def use_theme(self, theme: str) -> None:
        self.page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})",
            THEMES[theme],
        )
        light = "true" if theme == "light" else "false"
        self.page.locator(f'body[data-jp-theme-light="{light}"]').wait_for(
            state="attached"
        )

    def cell(self, text: str):
        """The last code cell that holds `text`."""
        return self.page.locator(".jp-CodeCell", has_text=text).last

    def replace(self, text: str, source: str) -> None:
        """Give the code cell that holds `text` another source, and run it."""
        editor = self.cell(text).locator(".cm-content")
        editor.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)
        self.run_cell()

    def run_cell(self) -> None:
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_timeout(300)
        self.wait_until_idle()

    def select_and_run(self, text: str):
        """Run the code cell that holds `text`; returns it."""
        found = self.cell(text)
        found.locator(".jp-InputPrompt").click()
        self.run_cell()
        return found

    def screenshot(self, what: str) -> None:
        ARTEFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTEFACTS / f"{self.name}-{what}.png")

    def look(self, locator, what: str) -> None:
        """Bring something to the screen and keep a picture of it."""
        locator.scroll_into_view_if_needed()
        self.page.wait_for_timeout(300)
        self.screenshot(what)

    def assert_clean(self) -> None:
        assert not self.errors, self.errors
        assert not self.outside, f"asked for {self.outside}"
        for broken in ("Error displaying widget", "Error creating widget"):
            expect(self.page.get_by_text(re.compile(broken))).to_have_count(0)


@contextmanager
def opener(browser, lab) -> Iterator[Callable[..., Lesson]]:
    """Opens lessons in tabs of their own; their kernels end with the context."""
    opened = []

    def open_one(name: str, height: int = 1200) -> Lesson:
        page = browser.new_page(viewport={"width": 1300, "height": height})
        opened.append(Lesson(page, lab, name))
        return opened[-1]

    yield open_one
    for lesson in opened:
        print(lesson.tracebacks())  # what a failed test saw
        lesson.screenshot("last")
        lesson.command("kernelmenu:shutdown")
        lesson.page.wait_for_timeout(300)
        lesson.page.close()


@pytest.fixture
def open_lesson(browser, lab):
    """Opens a lesson for one test."""
    with opener(browser, lab) as open_one:
        yield open_one


@pytest.fixture(scope="module")
def open_in_module(browser, lab):
    """Opens a lesson for all tests of a module, which share its page and its kernel."""
    with opener(browser, lab) as open_one:
        yield open_one
